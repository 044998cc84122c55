"""Opening and migrating the registry's database."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.errors import ConfigurationError, Conflict
from experiment_pipeline.registry.columns import UtcDateTime, metadata
from experiment_pipeline.registry.engine import _altering, is_current, migrate, open_engine, reading, writing
from experiment_pipeline.registry.tables import VERSION_TABLE, environments
from tests.conftest import MakeDatabase
from tests.registry.migrating import open_and_migrate


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def empty_database(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    """The URL of a database without a table."""
    return make_database(request.param)


def differences(url: str) -> list[object]:
    """Migrate a database, and return how its tables are not those of the code."""
    engine = open_engine(url)
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        found: list[object] = compare_metadata(context, metadata)
    assert is_current(engine)
    engine.dispose()
    return found


@pytest.mark.usefixtures("storage_as_shipped")
def test_migrate__empty_database__makes_exactly_the_tables(empty_database: str) -> None:
    assert differences(empty_database) == []


def test_migrate__copied_as_in_other_tests__makes_the_same_tables(tmp_path: Path) -> None:
    assert differences(f"sqlite:///{tmp_path / 'copied.sqlite'}") == []


def test_altering__row_that_refers_to_a_missing_one__is_refused_and_nothing_changes(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    migrate(engine)
    orphan = "insert into ended_phases values (7, 1, '2026-03-01', '2026-03-02', '[]')"
    with pytest.raises(Conflict, match="1 rows of ended_phases"), _altering(engine) as connection:
        connection.exec_driver_sql(orphan)
    with reading(engine) as connection:
        assert connection.exec_driver_sql("select count(*) from ended_phases").scalar() == 0
    with pytest.raises(IntegrityError), writing(engine) as connection:  # references are held again
        connection.exec_driver_sql(orphan)
    engine.dispose()


def test_is_current__database_without_schema__is_false(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    assert not is_current(engine)
    engine.dispose()


@pytest.mark.slow
def test_migrate__many_processes_at_once__all_find_it_current(empty_database: str) -> None:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as processes:
        assert list(processes.map(open_and_migrate, [empty_database] * 8)) == [True] * 8


@pytest.mark.usefixtures("storage_as_shipped")
def test_open_engine__sqlite__is_durable_and_keeps_references(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    with reading(engine) as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_writing__within_a_transaction__joins_it_and_is_undone_with_it(database_url: str) -> None:
    engine = open_engine(database_url)
    migrate(engine)
    with writing(engine) as outer:
        with writing(outer) as inner:
            assert inner is outer
            inner.execute(environments.insert().values(key="lost", name="Lost", created_at=datetime.now(UTC)))
        with reading(outer) as inner:
            assert inner.scalar(select(environments.c.key)) == "lost"
        outer.rollback()
    with reading(engine) as connection:
        assert connection.scalar(select(environments.c.key)) is None
    engine.dispose()


def test_writing__within_a_transaction_that_reads__is_a_mistake(database_url: str) -> None:
    engine = open_engine(database_url)
    with (
        reading(engine) as connection,
        pytest.raises(RuntimeError, match="begun to read"),
        writing(connection),
    ):
        pytest.fail("entered")
    engine.dispose()


def test_times__without_an_offset__are_never_stored() -> None:
    with pytest.raises(ValueError, match="must be aware"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), sqlite.dialect())  # noqa: DTZ001


@pytest.mark.parametrize("url", ["mysql://user:secret@host/db", "postgres password=secret", "://secret"])
def test_open_engine__unusable_url__is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_engine(url)
    assert "registry_url" in refused.value.errors
    assert "secret" not in str(refused.value)
