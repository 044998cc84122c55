"""Connections that are kept for a whole run."""

from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dagster._core.storage.event_log.sqlite import sqlite_event_log

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.resources.dagster_instance import open_instance
from experiment_pipeline.resources.kept_event_log import event_log_kept_open
from experiment_pipeline.resources.warehouse import WarehouseResource
from tests.assets.conftest import Installation, crowd


def opened(monkeypatch: pytest.MonkeyPatch) -> list[duckdb.DuckDBPyConnection]:
    """Every connection to DuckDB from here on."""
    connections: list[duckdb.DuckDBPyConnection] = []
    connect = duckdb.connect

    def counted(**arguments: object) -> duckdb.DuckDBPyConnection:
        connections.append(connect(**arguments))  # type: ignore[arg-type]
        return connections[-1]

    monkeypatch.setattr(duckdb, "connect", counted)
    return connections


def test_engine_of_a_run__keeps_its_connection__until_a_call_fails(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.land("first", crowd(10, 10))
    installation.ingest()
    installation.refresh()
    partition_key = installation.partition()
    artifact = installation.settings.artifacts_dir / "first_exposures" / f"{partition_key}.parquet"
    warehouse = (installation.definitions.resources or {})["warehouse"]
    assert isinstance(warehouse, WarehouseResource)
    connections = opened(monkeypatch)
    experiment, as_of = installation.experiment(), installation.state().as_of
    assert as_of is not None
    run = installation.registry.runs.open(experiment.id, "run", as_of, installation.settings.lease_duration)
    scope = AnalysisScope.of(experiment, run)
    with warehouse.yield_for_execution(dg.build_init_resource_context()):
        engine = warehouse.engine()
        assert engine.variant_identities(scope) == engine.variant_identities(scope) == {"control": 10, "b": 10}
        assert len(connections) == 1
        good = artifact.read_bytes()
        artifact.write_bytes(b"torn")
        with pytest.raises(duckdb.InvalidInputException):
            engine.variant_identities(scope)
        artifact.write_bytes(good)
        assert engine.variant_identities(scope) == {"control": 10, "b": 10}
    assert len(connections) == 2
    for connection in connections:
        with pytest.raises(duckdb.ConnectionException):
            connection.execute("select 1")


def test_refresh__of_one_experiment__opens_one_connection(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.land("first", crowd(10, 10))
    installation.ingest()
    connections = opened(monkeypatch)
    installation.refresh()
    assert len(connections) == 1


def test_event_log_kept_open__of_a_run_on_disk__keeps_its_journal_until_the_end(tmp_path: Path) -> None:
    with open_instance(tmp_path) as instance:
        run = instance.create_run_for_job(dg.job(name="any")(lambda: None))
        log = tmp_path / "history" / "runs" / f"{run.run_id}.db-wal"
        instance.report_engine_event("queued", run)
        with event_log_kept_open(instance, run.run_id):
            instance.report_engine_event("first", run)
            assert log.exists()
            instance.report_engine_event("second", run)
        assert not log.exists()
        assert [entry.message for entry in instance.all_logs(run.run_id)][-2:] == ["first", "second"]


def test_event_log_kept_open__within_itself__opens_each_file_once_and_leaves_the_storage_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance(tmp_path) as instance:
        run = instance.create_run_for_job(dg.job(name="any")(lambda: None))
        with event_log_kept_open(instance, run.run_id):
            with event_log_kept_open(instance, run.run_id):
                instance.report_engine_event("inner", run)
            opened: list[object] = []
            monkeypatch.setattr(sqlite_event_log, "create_engine", lambda *given, **_: opened.append(given))
            instance.report_engine_event("outer", run)
            assert opened == []
            monkeypatch.undo()
        instance.report_engine_event("after", run)
        assert [entry.message for entry in instance.all_logs(run.run_id)][-3:] == ["inner", "outer", "after"]
