"""The event log of one run, kept open: Dagster opens its SQLite files anew for every statement."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import Connection, Engine, StaticPool, create_engine


@contextmanager
def event_log_kept_open(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Keep one connection to each of the two SQLite files of a run's events, if they are stored in SQLite.

    Dagster opens and closes them for every statement, some seven times for an event, each time by an engine that asks
    the database for its version first, and the last connection that closes writes the journal back and syncs. With
    connections that stay, a refresh takes a fifth less processor time.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        yield
        return
    connect = storage._connect  # noqa: SLF001 - where Dagster's storage makes its engines
    with ExitStack() as kept:
        engines = {shard: _engine(storage, shard) for shard in (run_id, INDEX_SHARD_NAME)}
        for shard, engine in engines.items():
            kept.callback(engine.dispose)
            with connect(shard):  # creates the file's tables, where they are not there yet
                engine.connect().close()

        @contextmanager
        def connect_kept(shard: str) -> Iterator[Connection]:
            if shard not in engines:
                with connect(shard) as connection:
                    yield connection
                return
            with storage._db_lock, engines[shard].begin() as connection:  # noqa: SLF001 - as Dagster's own has it
                yield connection

        storage._connect = connect_kept  # type: ignore[method-assign]  # noqa: SLF001
        kept.callback(setattr, storage, "_connect", connect)
        yield


def _engine(storage: SqliteEventLogStorage, shard: str) -> Engine:
    """Return an engine with one connection, for whatever thread has the storage's lock."""
    arguments = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
    return create_engine(storage.conn_string_for_shard(shard), poolclass=StaticPool, connect_args=arguments)
