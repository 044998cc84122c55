"""Storage as tests of this process use it: registries in SQLite are copied, nothing is synced.

Syncing keeps data through a power cut, which no test makes; migrating an empty database comes to the same every time,
and so does compiling a statement, which an engine does once, and each test has engines of its own. The files of
migrations are read once. Dagster's databases in memory keep their connections, where Dagster opens one per statement.
Processes that tests start migrate and sync as they do elsewhere, and so does a test that asks for `storage_as_shipped`.
"""

import functools
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import Pool, QueuePool

from experiment_pipeline.registry import engine

MOST_ENGINES = 50
DAGSTERS_STORAGES = {
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
}
DAGSTERS_STORAGES_IN_MEMORY = {
    "dagster._core.storage.event_log.in_memory",
    "dagster._core.storage.runs.in_memory",
}

migrate_step_by_step = command.upgrade
configure_synced = engine._configure_sqlite


@contextmanager
def quick_storage() -> Iterator[None]:
    """Take every shortcut within the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "upgrade", _upgrade)
        patch.setattr(engine, "_configure_sqlite", _configure_unsynced)
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(os, "sync", lambda: None)
        patch.setattr(SQLiteDialect_pysqlite, "engine_created", staticmethod(_compiling_once()))
        for storage in DAGSTERS_STORAGES & sys.modules.keys():  # tests of what is not Dagster do not import it
            patch.setattr(f"{storage}.create_engine", _making_once())
        for storage in DAGSTERS_STORAGES_IN_MEMORY & sys.modules.keys():
            patch.setattr(f"{storage}.create_engine", _pooled_engine)
        patch.setattr(ScriptDirectory, "from_config", _reading_once())
        event.listen(Pool, "connect", _leave_unsynced)
        yield
        event.remove(Pool, "connect", _leave_unsynced)


@contextmanager
def storage_as_shipped() -> Iterator[None]:
    """Migrate and sync registries within the block as elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "upgrade", migrate_step_by_step)
        patch.setattr(engine, "_configure_sqlite", configure_synced)
        yield


@functools.cache
def migrated_database() -> bytes:
    """Return a SQLite file with an empty registry, which migrations have made."""
    with storage_as_shipped(), TemporaryDirectory() as folder:
        file = Path(folder) / "registry.sqlite"
        made = engine.open_engine(f"sqlite:///{file}")
        engine.migrate(made)
        made.dispose()
        return file.read_bytes()


@functools.cache
def _statements() -> tuple[str, ...]:
    """Return what makes the tables of `migrated_database`, and their rows."""
    with closing(sqlite3.connect(":memory:")) as database:
        content = bytearray(migrated_database())
        content[18:20] = b"\x01\x01"  # in memory there is no write-ahead log
        database.deserialize(bytes(content))
        return tuple(line for line in database.iterdump() if line not in {"BEGIN TRANSACTION;", "COMMIT;"})


def _upgrade(config: Config, revision: str) -> None:
    connection = config.attributes["connection"]
    assert isinstance(connection, Connection)
    if connection.dialect.name != "sqlite" or inspect(connection).get_table_names():
        migrate_step_by_step(config, revision)
        return
    for statement in _statements():
        connection.exec_driver_sql(statement)


def _compiling_once() -> Callable[[Engine], None]:
    """Return what makes an engine of SQLite use the statements that another of its kind has compiled."""
    kinds: dict[object, Engine] = {}
    for serializer in (None, engine.to_json):  # Dagster's, and the registry's
        kinds[serializer] = create_engine("sqlite://", json_serializer=serializer, query_cache_size=5000)
        kinds[serializer].connect().close()  # it asks the database what it can do

    def share(created: Engine) -> None:
        kind = kinds.get(created.dialect._json_serializer)
        if kind is not None:
            created.dialect, created._compiled_cache = kind.dialect, kind._compiled_cache

    return share


def _making_once() -> Callable[..., Engine]:
    """Return what makes the engine of each of Dagster's databases once: Dagster makes one for each connection."""
    made: dict[tuple[str, ...], Engine] = {}

    def engine_of(url: str, **options: Any) -> Engine:
        key = (url, *sorted(options))
        if key not in made:
            if len(made) == MOST_ENGINES:
                made.clear()
            made[key] = create_engine(url, **options)
        return made[key]

    return engine_of


def _pooled_engine(url: str, **options: Any) -> Engine:
    """Return an engine of a database in memory that keeps the connections that are given back, until it is disposed."""
    return create_engine(url, **options | {"poolclass": QueuePool, "connect_args": {"check_same_thread": False}})


def _reading_once() -> Callable[[Config], ScriptDirectory]:
    """Return what reads each folder of migrations once: there are a hundred files in Dagster's."""
    read_folder = ScriptDirectory.from_config
    folders: dict[str | None, ScriptDirectory] = {}

    def folder_of(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in folders:
            folders[place] = read_folder(config)
        return folders[place]

    return folder_of


def _configure_unsynced(connection: DBAPIConnection, record: object) -> None:
    configure_synced(connection, record)
    _leave_unsynced(connection, record)


def _leave_unsynced(connection: DBAPIConnection, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")
