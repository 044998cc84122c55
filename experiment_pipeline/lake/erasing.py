"""Erasing from the lake: no file of any version of its tables keeps a record of an identity (rule E6).

    rewrite  one commit for each partition replaces the files that hold such records by files without them
    delete   files that no present version names, and that hold some, are deleted: replaced ones, and those of the dead

Whoever calls it has the lake to itself (`exclusive_lock`, `Lake.alone`): nobody writes, and an ingestion waits. What is
killed in between is found again by the next run, and each commit leaves a lake that every reader may read.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

import duckdb
from duckdb import DuckDBPyConnection

from experiment_pipeline.domain.erasures import ErasedIdentity
from experiment_pipeline.domain.events import LINK_EVENT
from experiment_pipeline.lake.delta import EVENTS, REJECTED, DataFile, Snapshot, TableDefinition
from experiment_pipeline.lake.judging import sql
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.partitions import LINKS, hidden_by
from experiment_pipeline.lake.removing import REMOVAL_EVENT
from experiment_pipeline.storage.files import files_below, readable, sync

OnFile = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Held:
    """The records of an identity in files: how many files were searched, and how many records each that has any has."""

    searched: int
    records: dict[str, int]

    @property
    def total(self) -> int:
        """All records."""
        return sum(self.records.values())


@dataclass(frozen=True, slots=True)
class LakeErasing:
    """One identity's records in the lake of one environment.

    Attributes:
        on_file: is told after each file that was searched.
    """

    lake: Lake
    environment_key: str
    identity: ErasedIdentity
    on_file: OnFile = lambda: None

    def events(self) -> Held:
        """Return the events, links and removals of the identity in the present version."""
        table = self._open(EVENTS)
        if table is None:
            return Held(0, {})
        with self.lake.connect() as connection:
            files = self._event_files(table)
            return self._held({file.path: table.readable(file) for file in files}, connection)

    def linked(self) -> list[str]:
        """Return the other ends of the identity's links, as they are stored now (rule D6)."""
        table = self._open(EVENTS)
        files = [] if table is None else table.files(self.environment_key, [LINKS])
        if not files:
            return []
        with self.lake.connect() as connection:
            bound = {"files": files, "identifier": self.identity.identifier, "link_event": LINK_EVENT}
            return [other for (other,) in connection.execute(sql("linked_identities"), bound).fetchall()]

    def rejected(self) -> Held:
        """Return the identity's rejected records in the present version."""
        table = self._open(REJECTED)
        if table is None:
            return Held(0, {})
        with self.lake.connect() as connection:
            found = {file.path: table.readable(file) for file in table.data_files()}
            rows = {path: self._rejected_rows(connection, readable) for path, readable in found.items()}
        return Held(len(found), {path: len(each) for path, each in rows.items() if each})

    def old_files(self) -> Held:
        """Return the files below the lake that no present version names, and that hold records of the identity.

        One that cannot be read was never finished, and counts as one record.
        """
        with self.lake.connect() as connection:
            events = self._held(dict(self._unnamed(EVENTS)), connection, unfinished=1)
            rejected = dict(self._unnamed(REJECTED))
            rows = {path: len(self._rejected_rows(connection, readable)) for path, readable in rejected.items()}
        found = {path: count for path, count in rows.items() if count}
        return Held(events.searched + len(rejected), events.records | found)

    def erase_events(self) -> None:
        """Rewrite every file that holds events, links or removals of the identity, partition by partition."""
        table = self._open(EVENTS)
        if table is None:
            return
        held = self.events().records
        partitions: defaultdict[str, list[DataFile]] = defaultdict(list)
        for file in self._event_files(table):
            if file.path in held:
                partitions[hidden_by(file.partition["month"])].append(file)
        for _, files in sorted(partitions.items()):
            table = Snapshot.open(self.lake.root, EVENTS)
            with self.lake.connect() as connection:
                added = [self._without_events(connection, table, file) for file in files]
            table.commit_rewrite(files, [file for file in added if file is not None])

    def erase_rejected(self) -> None:
        """Rewrite every file that holds rejected records of the identity."""
        table = self._open(REJECTED)
        if table is None:
            return
        held = self.rejected().records
        files = [file for file in table.data_files() if file.path in held]
        if not files:
            return
        with self.lake.connect() as connection:
            added = [self._without_rejected(connection, table, file) for file in files]
        table.commit_rewrite(files, [file for file in added if file is not None])

    def delete_old_files(self) -> None:
        """Delete the files that `old_files` finds."""
        for name in self.old_files().records:
            path = self.lake.root / name
            path.unlink(missing_ok=True)
            sync(path.parent)

    def _open(self, definition: TableDefinition) -> Snapshot | None:
        is_there = Snapshot.exists(self.lake.root, definition)
        return Snapshot.open(self.lake.root, definition) if is_there else None

    def _event_files(self, table: Snapshot) -> list[DataFile]:
        return [file for file in table.data_files() if file.partition["environment_key"] == self.environment_key]

    @property
    def _of_identity(self) -> dict[str, Any]:
        return {
            "identifier": self.identity.identifier,
            "before": self.identity.before,
            "link_event": LINK_EVENT,
            "removal_event": REMOVAL_EVENT,
        }

    def _held(self, files: dict[str, str], connection: DuckDBPyConnection, *, unfinished: int | None = None) -> Held:
        """Count the identity's events in files; one that cannot be read counts as `unfinished`, without it raises."""
        records: dict[str, int] = {}
        for path, file in files.items():
            try:
                bound = {"files": [file], **self._of_identity}
                ((count,),) = connection.execute(sql("erasable_events"), bound).fetchall()
            except (duckdb.InvalidInputException, duckdb.IOException):
                if unfinished is None:
                    raise
                count = unfinished
            if count:
                records[path] = count
            self.on_file()
        return Held(len(files), records)

    def _without_events(self, connection: DuckDBPyConnection, table: Snapshot, file: DataFile) -> DataFile | None:
        bound = {"files": [table.readable(file)], **self._of_identity}
        return _rewritten(connection, table, file, sql("events_without_identity"), bound)

    def _rejected_rows(self, connection: DuckDBPyConnection, readable: str) -> list[int]:
        """Return the numbers of a file's rows, from 0, that are rejected records of the identity."""
        bound = {"files": [readable], "identifier": self.identity.identifier, "environment_key": self.environment_key}
        try:
            rows = connection.execute(sql("erasable_rejected"), bound).fetchall()
        except (duckdb.InvalidInputException, duckdb.IOException):
            return [-1]
        finally:
            self.on_file()
        return [
            number for number, record, landed_at in rows if self.identity.has_stored(record, landed_at.astimezone(UTC))
        ]

    def _without_rejected(self, connection: DuckDBPyConnection, table: Snapshot, file: DataFile) -> DataFile | None:
        numbers = self._rejected_rows(connection, table.readable(file))
        bound = {"files": [table.readable(file)], "numbers": numbers}
        return _rewritten(connection, table, file, sql("rejected_without_rows"), bound)

    def _unnamed(self, definition: TableDefinition) -> Iterator[tuple[str, str]]:
        """Yield the files of a table that its present version does not name: below the lake, and how it is read."""
        table = self._open(definition)
        if table is None:
            return
        root = self.lake.root / definition.name
        named = {root / unquote(file.path) for file in table.data_files()}
        for path in files_below(root, "*.parquet"):
            below = PurePosixPath(str(path)[len(str(root)) + 1 :])
            if path not in named and self._may_be_ours(below, definition):
                yield f"{definition.name}/{below}", readable(path)

    def _may_be_ours(self, path: PurePosixPath, definition: TableDefinition) -> bool:
        if "_delta_log" in path.parts:
            return False
        return definition is REJECTED or f"environment_key={self.environment_key}" in unquote(str(path)).split("/")


def _rewritten(
    connection: DuckDBPyConnection, table: Snapshot, file: DataFile, statement: str, bound: dict[str, Any]
) -> DataFile | None:
    """Write what a statement keeps of a file to a new one of the same batches; None where that is nothing."""
    ((count,),) = connection.execute(f"select count(*) from (\n{statement})", bound).fetchall()  # noqa: S608 - ours
    if not count:
        return None
    name = f"merged-to-{file.newest_batch}" if file.batch is None else f"batch-{file.batch:08}"
    return table.write(connection.sql(statement, params=bound), count, file.partition, name=name)
