"""A data directory may have any name: no library below takes its path for a URI, a pattern, or a partition's folder."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fastapi.testclient import TestClient

from experiment_pipeline.api.app import create_collector
from experiment_pipeline.cli.main import main
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from tests.lake.ledger import exposure, land, record

MANIFEST = """
environments: {prod: {}}
metrics:
  bought: {aggregation: occurrence, definition: {version: 1, event: purchase}}
experiments:
  checkout:
    hypothesis: A larger button sells more.
    feature: checkout
    status: running
    started_at: 2026-02-01T00:00:00Z
    variants: [{key: larger, percentage_allocation: 50}]
    metrics: [{metric: bought, expected_direction: increase}]
"""
URI, PATTERN, HIVE = '50% of My data #1 {é} "it\'s" `a|b;c:d@e$F', "data [a-c]*[!x]", "event=x"
MATCHES = "data bcd"  # what the pattern would find beside itself
MOMENT = 1_772_000_000_000


class Installation:
    """The command line over one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.settings = Settings(data_dir=data_dir)

    def __call__(self, *arguments: str) -> str:
        outcome: Result = CliRunner().invoke(main, ["--data-dir", str(self.data_dir), *arguments])
        assert outcome.exit_code == 0, (arguments, outcome.output, outcome.exception)
        return outcome.output

    def land(self, name: str, first: int, last: int) -> None:
        identities = [f"user-{number}" for number in range(first, last)]
        exposed = [exposure(identifier=name, value=("control", "larger")[len(name) % 2]) for name in identities]
        land(self.settings.landing_dir, [*exposed, "{"], name)

    def collect(self) -> None:
        """Send one purchase to a collector over this directory."""
        registry = Registry.open(self.settings.database_url)
        body = {"events": [record(identifier="user-1", timestamp=MOMENT + 1)]}
        with TestClient(create_collector(registry, self.settings)) as client:
            assert client.post("/v1/events", json=body, headers={"X-Environment-Key": "prod"}).status_code == 202


@pytest.mark.parametrize(
    "name", [URI, *(pytest.param(each, marks=pytest.mark.slow) for each in ("My data", PATTERN, HIVE))]
)
def test_data_directory__of_any_name__goes_the_whole_way_twice(tmp_path: Path, name: str) -> None:
    manifest = tmp_path / "experiments.yaml"
    manifest.write_text(MANIFEST)
    here = Installation(tmp_path / "batch=7" / name / "data")
    here("apply", str(manifest))
    here.land("20260301T110000Z-a.jsonl", 0, 100)
    assert "100 new events, 0 duplicates, 1 rejected" in here("lake", "ingest")
    shutil.copytree(tmp_path / "batch=7" / name, tmp_path / "batch=7" / MATCHES)  # its rows belong to somebody else
    here.land("20260301T110100Z-b.jsonl", 50, 150)
    assert "50 new events, 50 duplicates, 1 rejected" in here("lake", "ingest")
    here.collect()
    assert "1 new events, 0 duplicates, 0 rejected" in here("lake", "ingest")
    assert len(json.loads(here("lake", "rejected", "--json"))) == 2
    assert "150 identities exposed" in here("refresh", "checkout")
    assert here("lake", "compact", "--whole") == "Merged 3 files with 151 events into 1.\n"
    assert here("lake", "vacuum", "--retention-hours", "0") == "3 files deleted.\n"
    assert "prod         2026-02     151      1" in here("lake", "status")
    assert "150 identities exposed" in here("results", "checkout")


@pytest.mark.parametrize("name", ["a%20b", "a\\b", "a\nb", "a?b", "a\udcffb"])
def test_data_directory__that_a_library_would_look_for_elsewhere__is_refused_before_anything_is_made(
    tmp_path: Path, name: str
) -> None:
    outcome = CliRunner().invoke(main, ["--data-dir", os.fspath(tmp_path / name / "data"), "environments", "list"])
    assert outcome.exit_code == 2
    assert "DATA_DIR" in outcome.output
    assert "Choose another folder" in outcome.output
    assert not list(tmp_path.iterdir())


def test_data_directory__below_a_folder_that_looks_like_a_home__is_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiments.yaml").write_text(MANIFEST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    here = Installation(Path("~data"))
    here("apply", "experiments.yaml")
    here.land("20260301T110000Z-a.jsonl", 0, 100)
    here("lake", "ingest")
    assert "100 identities exposed" in here("refresh", "checkout")
    assert len(list((tmp_path / "~data" / "lake").rglob("*.parquet"))) == 2
    assert len(list((tmp_path / "~data" / "artifacts").rglob("*.parquet"))) == 5
