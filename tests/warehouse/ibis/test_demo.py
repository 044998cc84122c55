"""`demo --warehouse`: the demo's numbers, computed in ClickHouse and in Spark."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from experiment_pipeline.cli.main import main
from tests.cli.test_demo import KEYS

SHOWN = ("name", "variants", "inference", "effect", "verdict", "reason", "anytime", "frequentist", "post_stratified")


def run(data_dir: Path, *arguments: str) -> str:
    result = CliRunner().invoke(main, ["--data-dir", str(data_dir), *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def shown(data_dir: Path) -> dict[str, Any]:
    """Return what people see of every metric of every experiment: identities, values, effects and verdicts."""
    payloads = {key: json.loads(run(data_dir, "results", key, "--json"))["results"]["payload"] for key in KEYS}
    return {
        f"{key}{path}": value
        for key, payload in payloads.items()
        for path, value in leaves(
            {
                "metrics": [{name: metric.get(name) for name in SHOWN} for metric in payload["metrics"]],
                "srm": payload["srm"],
                "decision": payload["decision"],
            }
        )
    }


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [leaf for name, below in value.items() for leaf in leaves(below, f"{path}/{name}")]
    if isinstance(value, list):
        return [leaf for number, below in enumerate(value) for leaf in leaves(below, f"{path}/{number}")]
    return [(path, value)]


def same(value: Any, wanted: Any) -> bool:
    return math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-9) if isinstance(wanted, float) else value == wanted


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Results of the demo by default."""
    data_dir = tmp_path_factory.mktemp("demo") / "data"
    run(data_dir, "demo")
    return shown(data_dir)


@pytest.mark.parametrize(("engine", "name"), [("clickhouse", "ClickHouse"), ("spark", "Spark")])
def test_demo__in_a_warehouse__shows_the_numbers_of_the_default(
    embedded: dict[str, Any], tmp_path: Path, engine: str, name: str
) -> None:
    printed = run(tmp_path / "data", "demo", "--warehouse", engine)
    assert f"Results were computed in {name}" in printed
    assert f"computed in {engine}, where the events lie" in printed
    for told in ("211 of 623  33.868 %", "1,745 of 2,211  78.924 %", "+45.055 points"):
        assert told in printed
    found = shown(tmp_path / "data")
    assert found.keys() == embedded.keys()
    differing = {path: (value, embedded[path]) for path, value in found.items() if not same(value, embedded[path])}
    assert differing == {}
    again = run(tmp_path / "data", "demo", "--warehouse", engine)
    assert "0 new events ingested" in again
