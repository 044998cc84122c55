"""Runs of a command's own process: locked while it lives, found when it was killed (rules R3, R7)."""

from pathlib import Path

import dagster as dg

from experiment_pipeline.resources.own_runs import close_killed_run, killed_runs, locked_run


@dg.job
def nothing() -> None:
    """No step."""


def test_killed_runs__of_a_process_that_lives__are_none(tmp_path: Path) -> None:
    assert killed_runs(tmp_path) == []
    with locked_run(tmp_path, "mine"):
        assert killed_runs(tmp_path) == []
    assert killed_runs(tmp_path) == []


def test_killed_runs__whose_file_nobody_locks__are_closed_in_dagster_where_it_knows_them(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        started = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
        ended = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.SUCCESS)
        for run_id in (started.run_id, ended.run_id, "elsewhere"):
            (tmp_path / "own_runs").mkdir(exist_ok=True)
            (tmp_path / "own_runs" / run_id).touch()
        assert killed_runs(tmp_path) == sorted([started.run_id, ended.run_id, "elsewhere"])
        for run_id in killed_runs(tmp_path):
            close_killed_run(tmp_path, instance, run_id)
        statuses = [run.status for each in (started, ended) if (run := instance.get_run_by_id(each.run_id))]
    assert statuses == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
    assert killed_runs(tmp_path) == []
