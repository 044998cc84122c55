"""A team's own executor, whose steps are processes: two components over a range of experiments in one run (P1, P2)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.automation.component.project import RUNNING, Project, project_in

EXECUTOR = """
import dagster as dg

@dg.definitions
def executor():
    return dg.Definitions(executor=dg.multiprocess_executor.configured({"max_concurrent": 2}))
"""
KEYS = ("first", "second", "third")
RESULTS = (dg.AssetKey("experiment_results"), dg.AssetKey(["growth", "results"]))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_in(tmp_path) as made:
        yield made


@pytest.mark.slow
def test_component__multiprocess_executor__runs_two_components_over_a_range_at_once__p2(
    project: Project, tmp_path: Path
) -> None:
    project.make_tables({"first": (100, 100), "second": (100, 300), "third": (100, 100)})
    project.write(experiments=dict.fromkeys(KEYS, RUNNING))
    project.write({"results": {"key": "growth/results"}}, dict.fromkeys(KEYS, RUNNING), folder="growth")
    (project.root / project.name / "defs/executor.py").write_text(EXECUTOR)
    home = tmp_path / "home"
    home.mkdir()
    selected = ("--select", "*", "--partition-range", "first...third")
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "asset", "materialize", "-m", f"{project.name}.definitions", *selected],
        cwd=project.root,
        env={**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(project.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Executing steps using multiprocess executor" in done.stderr
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for asset in RESULTS:
            assert instance.get_materialized_partitions(asset) == set(KEYS)
            split = dg.AssetCheckKey(asset, "split_as_configured")
            history = instance.event_log_storage.get_asset_check_execution_history(split, limit=10)
            outcomes = {record.partition: record.status.name for record in history}
            assert outcomes == {"first": "SUCCEEDED", "second": "FAILED", "third": "SUCCEEDED"}
