"""A new health check is one new file: nothing else names it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from experiment_pipeline import health
from experiment_pipeline.assets.health_checks import check_results, check_specs, judge
from experiment_pipeline.health.catalogue import HEALTH_CHECKS, find_checks
from tests.health.test_split import inputs

NEW_CHECK = """
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck

def judge(inputs):
    share = inputs.results.split.identities["b"] / 10
    return Finding("late", Severity.WARNING, "Late", "Data is late.", {"share": share})

CHECK = HealthCheck("data_in_time", "experiment_results", "Data came in time.", judge)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A second folder of health checks beside the package's own."""
    monkeypatch.setattr(health, "__path__", [*health.__path__, str(tmp_path)])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("experiment_pipeline.health.added_")]:
        del sys.modules[name]


def test_catalogue__file_that_was_added__is_found_and_becomes_an_asset_check(folder: Path) -> None:
    (folder / "added_check.py").write_text(NEW_CHECK)
    checks = find_checks()
    (added,) = set(checks) - set(HEALTH_CHECKS)
    assert added.name == "data_in_time"
    (spec,) = (spec for spec in check_specs(checks) if spec.name == "data_in_time")
    assert spec.asset_key == dg.AssetKey("experiment_results")
    assert spec.partitions_def is not None
    outcome = check_results("experiment_results", judge(inputs({"control": 9, "b": 1}), checks))["data_in_time"]
    assert (outcome.passed, outcome.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert outcome.description == "Late. Data is late."
    assert {name: value.value for name, value in outcome.metadata.items()} == {"code": "late", "share": 0.1}
    assert "data_in_time" not in check_results("srm", judge(inputs({}), checks))


def test_catalogue__file_without_a_check__is_refused_by_its_name(folder: Path) -> None:
    (folder / "added_nothing.py").write_text("")
    with pytest.raises(TypeError, match=r"experiment_pipeline\.health\.added_nothing: must hold its HealthCheck"):
        find_checks()


def test_catalogue__two_checks_of_one_name__are_refused(folder: Path) -> None:
    (folder / "added_check.py").write_text(NEW_CHECK)
    (folder / "added_twin.py").write_text(NEW_CHECK)
    with pytest.raises(ValueError, match="names must be unique"):
        find_checks()


def test_catalogue__every_check__is_about_an_artifact_of_the_results_stage() -> None:
    assert {check.artifact for check in HEALTH_CHECKS} <= {"srm", "bayesian_results", "experiment_results"}
