"""Dagster's history of runs: deleting a run with all that it has left behind.

Dagster's own `delete_run` leaves, on SQLite, the run's history file (emptied, and as large as before), and on every
database the evaluations of its checks and its compute logs.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import dagster as dg
from dagster._core.instance import RUNLESS_RUN_ID
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME

PAGE = 500  # runs read at once
BESIDE = ("", "-wal", "-shm")  # SQLite's files of one database, by what follows its name
NOT_OF_A_RUN = {INDEX_SHARD_NAME, RUNLESS_RUN_ID}

Kept = Callable[[Sequence[str]], Collection[str]]


def delete_runs(instance: dg.DagsterInstance, selected: dg.RunsFilter, kept: Kept) -> int:
    """Delete every selected run but the kept ones, however many there are.

    Args:
        instance: that has them.
        selected: which runs may go.
        kept: returns those of a page of run ids that stay.

    Returns:
        How many were deleted.
    """
    deleted, cursor = 0, None
    while page := instance.get_run_ids(selected, cursor=cursor, limit=PAGE):
        staying = kept(page)
        for run_id in page:
            if run_id in staying:
                cursor = run_id  # a deleted run would be no cursor
            else:
                delete_run(instance, run_id)
                deleted += 1
    return deleted


def delete_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete a run, its events, the evaluations of its checks, its compute logs and its history file."""
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        with storage.index_connection() as connection:
            of_run = AssetCheckExecutionsTable.c.run_id == run_id
            connection.execute(AssetCheckExecutionsTable.delete().where(of_run))
            if isinstance(storage, SqliteEventLogStorage):
                storage.delete_events_for_run(connection, run_id)
    if isinstance(storage, SqliteEventLogStorage):
        # Dagster would open the run's file, check its schema, empty it row by row, and leave it.
        instance.run_storage.delete_run(run_id)
        _remove(Path(storage.path_for_shard(run_id)))
    else:
        instance.delete_run(run_id)


def remove_orphaned_history(instance: dg.DagsterInstance, age: timedelta) -> int:
    """Remove the history files that no run has any more and that are older than an age.

    Returns:
        How many were removed; 0 where Dagster's storage keeps no file per run.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return 0
    written_before = time.time() - age.total_seconds()
    found = [run_id for run_id in storage.get_all_run_ids() if run_id not in NOT_OF_A_RUN]
    old = [run_id for run_id in found if _written_at(Path(storage.path_for_shard(run_id))) < written_before]
    orphans = set(old) - set(_known(instance, old))
    for run_id in orphans:
        _remove(Path(storage.path_for_shard(run_id)))
    return len(orphans)


def _known(instance: dg.DagsterInstance, run_ids: list[str]) -> Iterator[str]:
    for at in range(0, len(run_ids), PAGE):
        yield from instance.get_run_ids(dg.RunsFilter(run_ids=run_ids[at : at + PAGE]))


def _remove(database: Path) -> None:
    for beside in BESIDE:
        database.with_name(database.name + beside).unlink(missing_ok=True)


def _written_at(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return float("inf")
