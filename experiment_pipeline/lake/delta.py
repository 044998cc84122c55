"""Delta: the tables `events` and `rejected`, whose files DuckDB writes and reads.

Delta's log decides which files count: files become visible, and invisible again, in one atomic commit. DuckDB writes
the Parquet files beforehand; a file that no commit names does not exist for any reader, and vacuum removes it later.
docs/adr/0010 says what is left behind whenever a writer dies.
"""

import json
import math
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Protocol, Self
from urllib.parse import unquote
from uuid import uuid4

import polars as pl
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.schema import PrimitiveType
from deltalake.table import FilterConjunctionType
from deltalake.transaction import AddAction, RemoveAction

from experiment_pipeline.domain.batches import PlannedBatch
from experiment_pipeline.errors import Conflict, LakeError, UnsoundLake
from experiment_pipeline.lake.batch_commits import BatchCommit, BatchSummary
from experiment_pipeline.storage.delta_tables import create_table, is_table, open_table
from experiment_pipeline.storage.files import adding, make_parents, present, readable, sync
from experiment_pipeline.storage.object_path import StoragePath, storage_errors

INGESTION = "experiment-pipeline/ingestion"  # the application whose transaction version is the batch number
COMPACTION = "experiment-pipeline/compaction"  # counts the rewrites
LOG = "_delta_log"
BATCH_FILE = re.compile(r"batch-(\d+)-[^/]*\.parquet$")  # another name is that of a merged file
MERGED_FILE = re.compile(r"merged-to-(\d+)-[^/]*\.parquet$")  # named by the newest batch in it
CONFIGURATION = {
    "delta.checkpointInterval": "20",
    # Each checkpoint lists the files replaced within so long, which a vacuum deletes after a day. With Delta's own
    # seven days a checkpoint has 3 MB, and there are 190 a day where a batch comes every 30 s.
    "delta.deletedFileRetentionDuration": "interval 2 days",
}
# Version 2 of the format keeps times and hashes as differences, quicker to write and read. A thread reads whole groups.
FILE_FORMAT = "format parquet, parquet_version v2, compression zstd, row_group_size 122_880"

TEXT, LONG, DOUBLE, TIMESTAMP = (PrimitiveType(name) for name in ("string", "long", "double", "timestamp"))


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """A Delta table's columns and the ones among them that its folders are named by."""

    name: str
    schema: Schema
    partition_by: tuple[str, ...]


EVENTS = TableDefinition(
    name="events",
    partition_by=("environment_key", "month"),
    schema=Schema(
        [
            Field("environment_key", TEXT, nullable=False),
            Field("month", TEXT, nullable=False),  # of the timestamp, in UTC: YYYY-MM
            Field("event", TEXT, nullable=False),
            Field("feature_name", TEXT),
            Field("identifier", TEXT, nullable=False),
            Field("identity_hash", LONG, nullable=False),
            Field("value", TEXT),
            Field("numeric_value", DOUBLE),  # rule E5
            Field("timestamp", TIMESTAMP, nullable=False),
            Field("traits", TEXT),
            Field("metadata", TEXT),
            Field("event_id", TEXT),
            Field("event_hash_high", LONG, nullable=False),  # rule E4: both halves of 128 bits
            Field("event_hash_low", LONG, nullable=False),
            Field("landed_at", TIMESTAMP, nullable=False),
            Field("batch", LONG, nullable=False),
            Field("source", TEXT),  # that brought it; null of what no source has
            Field("source_version", LONG),  # of the source's query and mapping (rule D5)
            Field("source_cursor", LONG),  # where later rows supersede it (rule D7)
        ]
    ),
)

REJECTED = TableDefinition(
    name="rejected",
    partition_by=(),
    schema=Schema(
        [
            Field("environment_key", TEXT, nullable=False),
            Field("object", TEXT, nullable=False),
            Field("line", LONG, nullable=False),
            Field("position", LONG),  # within the line's envelope, from 1
            Field("reason", TEXT, nullable=False),
            Field("record", TEXT, nullable=False),
            Field("landed_at", TIMESTAMP, nullable=False),
            Field("batch", LONG, nullable=False),
        ]
    ),
)


class Rows(Protocol):
    """Rows that DuckDB copies to a file: its relations. The API reads Delta's log too, and does without DuckDB."""

    def query(self, virtual_table_name: str, sql_query: str, /) -> object:
        """Run a statement that calls these rows by a name."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file; `path` is relative to its table."""

    path: str
    partition: Mapping[str, str]
    bytes: int
    rows: int

    @property
    def batch(self) -> int | None:
        """The batch of its rows; None where it was merged from the files of several."""
        found = BATCH_FILE.search(self.path)
        return int(found[1]) if found else None

    @property
    def newest_batch(self) -> int:
        """The newest batch that it has rows of; 0 where it was merged before names of merged files said so."""
        found = BATCH_FILE.search(self.path) or MERGED_FILE.search(self.path)
        return int(found[1]) if found else 0


class Snapshot:
    """One table at one version: everything read through it is of that version, whatever others commit meanwhile.

    A commit through it fails when another process has committed the same batch since (rule E7).
    """

    def __init__(self, root: StoragePath, definition: TableDefinition, table: DeltaTable) -> None:
        self._root = root
        self._definition = definition
        self._table = table
        self._uncommitted: list[StoragePath] = []

    @classmethod
    def open(cls, lake: StoragePath, definition: TableDefinition) -> Self:
        """Return the newest version of a table.

        Raises:
            LakeError: there is no such table yet, or its log cannot be read.
        """
        root = lake / definition.name
        try:
            return cls(root, definition, open_table(root))
        except TableNotFoundError:
            raise LakeError(f"{root}: no such table; ingest something first") from None
        except DeltaError as broken:
            raise _unreadable(definition, broken) from broken

    @staticmethod
    def exists(lake: StoragePath, definition: TableDefinition) -> bool:
        """Return whether there is such a table."""
        return is_table(lake / definition.name)

    @classmethod
    def open_or_create(cls, lake: StoragePath, definition: TableDefinition) -> Self:
        """Return the newest version of a table, which is created where there is none."""
        root = lake / definition.name
        make_parents(root / LOG)
        if not cls.exists(lake, definition):
            partition_by = list(definition.partition_by)
            create_table(root, definition.schema, partition_by=partition_by, configuration=CONFIGURATION)
        table = cls.open(lake, definition)
        return cls.open(lake, definition) if table.add_columns() else table

    def add_columns(self) -> bool:
        """Add the columns that the table lacks, because it is from before they were there; return whether it did."""
        known = {field.name for field in self._table.schema().fields}
        lacking = [field for field in self._definition.schema.fields if field.name not in known]
        if lacking:
            with suppress(CommitFailedError):  # another process has added them
                self._table.alter.add_columns(lacking)
        return bool(lacking)

    @property
    def identity(self) -> str:
        """The table's id: made with the table, and kept in every copy of it."""
        return str(self._table.metadata().id)

    @property
    def batch(self) -> int:
        """The newest batch that this table holds; 0 for none."""
        return self.transaction(INGESTION)

    def transaction(self, application: str) -> int:
        """Return the number of an application's newest transaction; 0 for none."""
        return self._table.transaction_version(application) or 0

    def files(
        self, environment_key: str, months: Collection[str] | None = None, *, without_missing: bool = False
    ) -> list[str]:
        """Return the files of some months of one environment, for `read_parquet`.

        Args:
            environment_key: of the events.
            months: of their times, as YYYY-MM, and partitions of their removals; None for all.
            without_missing: leave out files that are not there.

        Raises:
            UnsoundLake: a file is not there.
        """
        pruning: FilterConjunctionType = [("environment_key", "=", environment_key)]
        if months is not None:
            pruning.append(("month", "in", sorted(months)))
        paths = [unquote(uri) for uri in self._table.file_uris(file_pruning_predicate=pruning)]
        there = present(paths, self._root)
        if len(there) < len(paths) and not without_missing:
            lost = len(paths) - len(there)
            raise UnsoundLake(f"{lost:,} files of the lake are missing. See `lake repair --dry-run`.")
        return [readable(path) for path in paths if path in there]

    def all_files(self) -> list[str]:
        """Return every file, for `read_parquet`."""
        return [readable(unquote(uri)) for uri in self._table.file_uris()]  # Delta writes `%20` for a space

    def summary(self, batch: int) -> BatchSummary:
        """Return the summary of a batch from its commit.

        Raises:
            LakeError: the commit has been cleaned from the Delta log.
        """
        for commit in self.batch_commits():
            if commit.batch.number == batch:
                return commit.summary
        raise LakeError(f"{self._root}: holds batch {batch}, but its commit has been cleaned from the Delta log")

    def batch_commits(self) -> Iterator[BatchCommit]:
        """Yield what the commits say of their batches, newest first, as far back as the Delta log reaches.

        Raises:
            LakeError: a commit cannot be read.
        """
        try:
            commits = self._table.history()
        except DeltaError as broken:
            raise _unreadable(self._definition, broken) from broken
        for commit in commits:
            if "batch" in commit:
                yield BatchCommit.from_properties(commit)

    @property
    def version(self) -> int:
        """The number of the commit that this snapshot was read after."""
        return self._table.version()

    def write(self, rows: Rows, count: int, partition: Mapping[str, str], name: str) -> DataFile:
        """Write rows to a new file in this table's folder and sync it; no reader sees it before a commit names it.

        After a failure no file of the same commit stays: on a full disk each attempt would leave some until a vacuum.
        """
        folder = "/".join(f"{column}={value}" for column, value in partition.items())
        path = PurePosixPath(folder, f"{name}-{uuid4()}.parquet")
        target = self._root / path
        self._uncommitted.append(target)
        try:
            with adding(target) as file:
                quoted = str(file).replace("'", "''")
                rows.query("rows", f"copy (from rows) to '{quoted}' ({FILE_FORMAT})")
            sync(target)
        except BaseException:
            self._remove_uncommitted(named=())
            raise
        size = target.stat().st_size
        return DataFile(path=path.as_posix(), partition=partition, bytes=size, rows=count)

    def data_files(self) -> list[DataFile]:
        """Return every file with its partition and size, in order of their paths."""
        actions = pl.DataFrame(self._table.get_add_actions(flatten=True))
        return [
            DataFile(
                path=row["path"],
                partition={column: row[f"partition.{column}"] for column in self._definition.partition_by},
                bytes=row["size_bytes"],
                rows=row["num_records"],
            )
            for row in actions.sort("path").iter_rows(named=True)
        ]

    def missing_files(self) -> list[DataFile]:
        """Return the files that the log lists and that are not there, in order of their paths."""
        uris = self._table.file_uris()
        if len(present([unquote(uri) for uri in uris], self._root)) == len(uris):
            return []
        return [file for file in self.data_files() if not (self._root / file.path).exists()]

    def readable(self, file: DataFile) -> str:
        """Return a file for `read_parquet`."""
        return readable(self._root / file.path)

    def commit_batch(
        self, batch: PlannedBatch, installation: str, added: Sequence[DataFile], summary: BatchSummary
    ) -> None:
        """Make a batch visible, at most once.

        The commit says all that the registry knows of the batch, so that a registry that has lost it learns it again.

        Raises:
            Conflict: another process has committed it first.
        """
        properties = CommitProperties(
            app_transactions=[Transaction(INGESTION, batch.number)],
            custom_metadata=BatchCommit(batch, installation, summary).to_properties(),
        )
        self._commit([_add_action(file, is_new_data=True) for file in added], properties)

    def commit_rewrite(
        self, replaced: Sequence[DataFile], added: Sequence[DataFile], transactions: Mapping[str, int] | None = None
    ) -> None:
        """Replace files by others with the same rows, or without rows that were removed.

        Delta itself would let two processes replace the same files, and count their rows twice. It refuses two commits
        of one application that race, so every rewrite is the next transaction of one; it may be one of others, too.

        Raises:
            Conflict: another process has replaced files meanwhile.
        """
        numbers = {COMPACTION: self.transaction(COMPACTION) + 1, **(transactions or {})}
        now = time.time_ns() // 1_000_000  # vacuum counts its retention from here
        self._commit(
            [
                *(RemoveAction(file.path, False, now, file.bytes, dict(file.partition)) for file in replaced),
                *(_add_action(file, is_new_data=False) for file in added),
            ],
            CommitProperties(app_transactions=[Transaction(*each) for each in numbers.items()]),
        )

    def _commit(self, actions: list[AddAction | RemoveAction], properties: CommitProperties) -> None:
        try:
            self._table.create_write_transaction(
                actions,
                mode="append",
                schema=self._definition.schema,
                partition_by=list(self._definition.partition_by),
                commit_properties=properties,
            )
        except Exception as failed:
            # A commit may be there although an error followed it. Where that cannot be known the files stay.
            with suppress(OSError, DeltaError):
                self._remove_uncommitted({unquote(uri) for uri in open_table(self._root).file_uris()})
            if isinstance(failed, CommitFailedError):
                raise Conflict(f"{self._definition.name}: another process committed first: {failed}") from failed
            with storage_errors(self._root):
                raise
        self._uncommitted.clear()
        for folder in {self._root / LOG, *((self._root / action.path).parent for action in actions)}:
            sync(folder)

    def _remove_uncommitted(self, named: Collection[str]) -> None:
        """Remove what was written through this snapshot, but for files that commits name."""
        for path in self._uncommitted:
            if str(path) not in named:
                with suppress(OSError):
                    path.unlink()
        self._uncommitted.clear()

    def vacuum(self, retention: timedelta, *, dry_run: bool) -> list[str]:
        """Remove files that no version younger than the retention needs, and leftovers of kills; return their paths."""
        with storage_errors(self._root):
            return self._table.vacuum(
                retention_hours=math.ceil(retention / timedelta(hours=1)),
                enforce_retention_duration=False,
                dry_run=dry_run,
                full=True,
            )


def _unreadable(table: TableDefinition, broken: DeltaError) -> LakeError:
    """Return the error of a Delta log with its cause in one line: others are the stack of Delta's own code."""
    cause = str(broken).strip().partition("\n")[0]
    return LakeError(f"The Delta log of the lake's table {table.name} cannot be read: {cause}")


def _add_action(file: DataFile, *, is_new_data: bool) -> AddAction:
    return AddAction(
        path=file.path,
        size=file.bytes,
        partition_values=file.partition,
        modification_time=0,
        data_change=is_new_data,
        stats=json.dumps({"numRecords": file.rows}),
    )
