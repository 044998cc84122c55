"""Tables of first exposures in a warehouse: one generation is read, whoever is killed or runs beside (rule N3)."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import psycopg
import pytest

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.errors import ConfigurationError, Superseded
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.ibis.engine import Rows
from experiment_pipeline.warehouse.ibis.exposure_tables import ExposureTable, ExposureTables
from experiment_pipeline.warehouse.ibis.statements import statement
from experiment_pipeline.warehouse.ibis.warehouse import IbisWarehouse
from experiment_pipeline.warehouse.limits import WarehouseLimits
from tests.warehouse.contract import HOUR, metric
from tests.warehouse.ibis import writing_process
from tests.warehouse.ibis.conftest import Table
from tests.warehouse.ibis.test_in_place import SCOPE, did, seen
from tests.warehouse.ibis.writing_process import KILLED, PREPARE, WHOLE

ROWS = [seen("1", "a"), seen("2", "a"), seen("2", "b", 2 * HOUR), seen("3", "b"), did("1", "4", 3 * HOUR)]
SPENT = metric(1, Aggregation.SUM)
STORING = pytest.mark.parametrize("table", ["clickhouse", "postgres"], indirect=True)
OVER_THE_WIRE = pytest.mark.parametrize("table", ["postgres"], indirect=True)  # accounts with rights of their own


@contextmanager
def opened(url: str, folder: Path, *, writes: bool = True) -> Iterator[IbisWarehouse]:
    engine = IbisWarehouse.open(ConnectionUrl(url, "test"), ArtifactStore(folder), WarehouseLimits(writes=writes))
    try:
        yield engine
    finally:
        engine.close()


def generations(engine: IbisWarehouse) -> list[str]:
    """Return the tables of first exposures that there are in the warehouse, and drop none."""
    rows = engine.analysis.engine.run(statement(engine.analysis.engine.dialect.name, "tables")).rows
    return sorted(row["name"] for row in rows if ExposureTable.of_name(row["name"]))


@pytest.fixture
def filled(table: Table) -> Iterator[Table]:
    drop_generations(table.url)  # other tests of this warehouse leave theirs
    table.replace_rows(ROWS)
    yield table
    drop_generations(table.url)


def drop_generations(url: str) -> None:
    with opened(url, Path()) as engine:
        for name in generations(engine):
            engine.analysis.engine.run(f"drop table {name}")


@STORING
def test_first_exposures__that_are_stored__give_what_computed_ones_give__n3(filled: Table, tmp_path: Path) -> None:
    with opened(filled.url, tmp_path / "stored") as storing, opened(filled.url, tmp_path, writes=False) as computing:
        found, wanted = (each.write_first_exposures(SCOPE) for each in (storing, computing))
        assert (found.identities, found.quarantined) == (wanted.identities, wanted.quarantined) == (3, 1)
        assert storing.exposure_buckets(SCOPE).rows.equals(computing.exposure_buckets(SCOPE).rows)
        ours, theirs = (each.variant_aggregates(SCOPE, (SPENT,)) for each in (storing, computing))
        assert ours.rows.equals(theirs.rows)
        (name,) = generations(storing)
        assert (name in ours.sql, name in theirs.sql) == (True, False)
        assert storing.stamp("checkout-1").table == name


@STORING
def test_first_exposures__stored_again__leave_one_generation__n3(filled: Table, tmp_path: Path) -> None:
    with opened(filled.url, tmp_path) as engine:
        engine.write_first_exposures(SCOPE)
        (first,) = generations(engine)
        later = replace(SCOPE, window=Window(SCOPE.window.started_at, SCOPE.window.as_of + HOUR))
        engine.write_first_exposures(later)
        (second,) = generations(engine)
        assert second > first
        assert engine.variant_identities(later) == {"a": 1, "b": 1}
        with pytest.raises(Superseded):
            engine.variant_identities(SCOPE)


@STORING
def test_two_refreshes__of_one_experiment_at_once__leave_one_generation__n3(filled: Table, tmp_path: Path) -> None:
    began = Barrier(2)

    def refreshed(engine: IbisWarehouse) -> bool:
        began.wait()
        try:
            engine.write_first_exposures(SCOPE)
        except Superseded:
            return False
        return True

    with opened(filled.url, tmp_path) as one, opened(filled.url, tmp_path) as other:
        with ThreadPoolExecutor(2) as pool:
            assert any(pool.map(refreshed, (one, other)))
        named = one.stamp("checkout-1").table
        assert generations(one) == [named]
        assert one.variant_identities(SCOPE) == {"a": 1, "b": 1}


@STORING
def test_generation__that_another_refresh_has_passed__is_dropped_and_not_named__n3(
    filled: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(filled.url, tmp_path) as engine:
        engine.write_first_exposures(SCOPE)
        (later,) = generations(engine)
        monkeypatch.setattr("experiment_pipeline.warehouse.ibis.exposure_tables.time.time_ns", lambda: 1_000_000)
        with pytest.raises(Superseded):
            engine.write_first_exposures(SCOPE)
        assert generations(engine) == [later]
        assert engine.stamp("checkout-1").table == later


@OVER_THE_WIRE
@pytest.mark.usefixtures("filled")
def test_table__of_an_account_that_may_not_write__is_refused_and_the_stamp_stays__n7(
    postgres_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("create role reader login password 'hunter2'; grant select on events to reader")
    url = postgres_url.replace("postgresql://postgres:@", "postgresql://reader:hunter2@")
    try:
        with opened(postgres_url, tmp_path) as engine:
            engine.write_first_exposures(SCOPE)
            before = engine.stamp("checkout-1")
        with (
            opened(url, tmp_path) as reader,
            pytest.raises(ConfigurationError, match="warehouse init --grants") as told,
        ):
            reader.write_first_exposures(SCOPE)
        assert "hunter2" not in str(told.value)
        with opened(url, tmp_path, writes=False) as reader:
            assert reader.stamp("checkout-1") == before
            assert reader.write_first_exposures(SCOPE).identities == 3
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("drop owned by reader; drop role reader")


@pytest.mark.parametrize("engine", ["clickhouse", "postgres"])
def test_refresh__that_is_killed_before_its_stamp__leaves_a_table_that_the_next_one_drops__n3(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"chdb://{tmp_path / 'chdb'}" if engine == "clickhouse" else request.getfixturevalue("own_postgres_url")

    def ran(mode: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", writing_process.__name__, url, str(tmp_path / "artifacts"), mode]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert ran(PREPARE).returncode == 0
    assert ran(KILLED).returncode == -signal.SIGKILL
    done = ran(WHOLE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len([name for name in found["tables"] if ExposureTable.of_name(name)]) == 1
    assert found["identities"] == {"a": 1}


@pytest.fixture
def own_postgres_url(postgres_url: str) -> Iterator[str]:
    """A database of its own: the shared one has a table of events already."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("create database killed")
    yield postgres_url.replace("/postgres?", "/killed?")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("drop database killed with (force)")


def test_table__in_an_engine_that_stores_none__is_refused_before_anything_runs__n1() -> None:
    ran: list[str] = []

    def run(sql: str) -> Rows:
        ran.append(sql)
        return []

    tables = ExposureTables("spark", run)
    with pytest.raises(ConfigurationError, match="EXPERIMENT_PIPELINE_WAREHOUSE_WRITE: is not possible with spark"):
        tables.create(ExposureTable.new(SCOPE, Path("artifacts")), "select 1")
    assert ran == []


def test_name__of_a_generation__is_read_back_and_no_other_is() -> None:
    table = ExposureTable.new(SCOPE, Path("artifacts"))
    assert ExposureTable.of_name(table.name) == table
    assert table.name.startswith("first_exposures_1_1_")
    assert ExposureTable.of_name("first_exposures") is None
    assert ExposureTable.of_name("events_2026") is None
    assert ExposureTable.new(replace(SCOPE, phase=2), Path("artifacts")).of != table.of
    assert timedelta(microseconds=table.generation) > timedelta(days=365)
