"""`keep` of an environment: declared in a manifest, listed, and applied by `lake vacuum` (rule X8)."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.lake.ledger import land, record

OLD = int(datetime(2024, 5, 5, tzinfo=UTC).timestamp() * 1_000)


def keep(run: Run, tmp_path: Path, text: str) -> str:
    path = tmp_path / "keep.yaml"
    path.write_text(f"environments: {{production: {{keep: {text}}}}}", "utf-8")
    applied = run("apply", path)
    return applied.output if applied.exit_code == 0 else applied.stderr


def test_vacuum__keep_of_an_environment__dry_run_counts_what_vacuum_drops(declared: Run, tmp_path: Path) -> None:
    land(tmp_path / "data" / "landing", [record(), record(timestamp=OLD)], "20260301T000000Z-a.jsonl", "production")
    assert declared("lake", "ingest").exit_code == 0
    keep(declared, tmp_path, "P700D")
    assert "production  Production  P700D" in declared("environments", "list").stdout
    planned, done, again = (
        json.loads(declared("lake", "vacuum", *options, "--json").stdout)["expired"][0]
        for options in (["--dry-run"], [], [])
    )
    assert planned == done
    assert (planned["events"], planned["months"], planned["keep"]) == (1, ["2024-05"], "P700D")
    assert again["events"] == 0
    assert "production keeps P700D: 0 events of 0 months" in declared("lake", "vacuum").stdout


@pytest.mark.parametrize("text", ["P30D", "soon", "-1"])
def test_apply__keep_that_is_none__is_refused_by_its_name(declared: Run, tmp_path: Path, text: str) -> None:
    assert "environments.production.keep" in keep(declared, tmp_path, text)


def test_apply__keep_forever__ends_it(declared: Run, tmp_path: Path) -> None:
    keep(declared, tmp_path, "P700D")
    keep(declared, tmp_path, "forever")
    assert json.loads(declared("environments", "list", "--json").stdout)[0]["keep"] is None
