"""The events lake: its two Delta tables below one folder, and the engine that reads and writes their files."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import duckdb
from duckdb import DuckDBPyConnection

from experiment_pipeline.domain.event_files import EventFiles
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.errors import UnsoundLake
from experiment_pipeline.lake.delta import EVENTS, REJECTED, Snapshot
from experiment_pipeline.lake.dropped import require_whole
from experiment_pipeline.lake.partitions import LINKS, is_of_removals, partition_of, removals_of
from experiment_pipeline.lake.soundness import named
from experiment_pipeline.storage.files import know_bucket, local_folder, replacing
from experiment_pipeline.storage.locks import exclusive, shared
from experiment_pipeline.storage.object_path import ObjectPath, StoragePath
from experiment_pipeline.storage.retention import require_retention

WRITING = ".writing.lock"
HISTORY = ".history"  # the file that names what may have changed rows of known batches last


class Lake:
    """Both tables below one folder, and the engine that reads and writes their files."""

    def __init__(
        self, root: StoragePath, *, memory_limit: str = "2GiB", threads: int = 2, spill_dir: Path | None = None
    ) -> None:
        self.root = root = root.absolute()  # DuckDB takes a leading ~ of a relative path for a home directory
        self._engine: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory_limit,
            "threads": threads,
            "temp_directory": str((spill_dir or _spill_of(root)).absolute()),
        }

    @property
    def folder(self) -> Path:
        """The local folder of the lake.

        Raises:
            ConfigurationError: it is in an object storage.
        """
        return local_folder(self.root)

    def connect(self) -> DuckDBPyConnection:
        """Open a DuckDB of its own, in memory, that spills to disk; the caller closes it."""
        connection = duckdb.connect(config=self._engine)
        know_bucket(connection, self.root)
        return connection

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep every vacuum waiting, from the first file that is written until a commit names them all.

        A vacuum takes files that no commit names for a dead writer's once they are old; a clock that is set forward
        makes them old at once.
        """
        with shared(self.root, WRITING):
            yield

    def alone(self) -> AbstractContextManager[None]:
        """Wait for living writers, and keep others waiting: what no commit names is a dead writer's meanwhile."""
        return exclusive(self.root, WRITING)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever ingested."""
        return not Snapshot.exists(self.root, EVENTS)

    def begin_history(self) -> None:
        """Record that rows of batches that were read already may change: what was computed of them is no use later."""
        with replacing(self.root / HISTORY) as temporary:
            temporary.write_text(uuid4().hex, "utf-8")

    @property
    def newest_batch(self) -> int:
        """The newest batch that is in the lake; 0 for none."""
        return 0 if self.is_empty else Snapshot.open(self.root, EVENTS).batch

    def event_files(self, environment_key: str, window: Window, data_version: int = 0) -> EventFiles:
        """Return Parquet files that hold every event of an environment in a window, and often more; may be none.

        All are of one version of the lake, pruned by environment and month. They stay readable until a vacuum that
        comes at least its retention after they were replaced. Read them with

            read_parquet($files, hive_partitioning = false)

        since a folder above the lake may be called `batch=7`, and filter by `batch <= $data_version` (rule E6), event
        and `timestamp`, which is a UTC `timestamptz`, without rows that removals hide. Columns are those of `EVENTS`
        but for the two that folders are named by; within a file rows are sorted by (event, feature_name, identity_hash,
        timestamp). DuckDB refuses an empty list: there is nothing to ask then.

        Raises:
            UnsoundLake: the lake does not hold every batch up to this data version, or a file of it is missing.
            RowsDropped: rows that this data version sees were removed later, and have been dropped (rule E6).
        """
        table = None if self.is_empty else Snapshot.open(self.root, EVENTS)
        held = 0 if table is None else table.batch
        if held < data_version:
            lacking = named(range(held + 1, data_version + 1))
            raise UnsoundLake(f"The lake lacks {lacking}. See `lake repair --dry-run`.")
        if table is None:
            return EventFiles([])
        read = [*months(window), LINKS]
        require_whole(table, data_version, environment_key, read)
        found: defaultdict[tuple[bool, bool], list[str]] = defaultdict(list)
        for file in table.files(environment_key, [*read, *map(removals_of, read)]):
            partition = partition_of(file)
            found[partition.startswith(LINKS), is_of_removals(partition)].append(file)
        return EventFiles(
            events=found[False, False],
            removals=found[False, True],
            links=found[True, False],
            removed_links=found[True, True],
            history=f"{table.identity} {self._history}".rstrip(),
        )

    @property
    def _history(self) -> str:
        try:
            return (self.root / HISTORY).read_text("utf-8")
        except FileNotFoundError:
            return ""

    def vacuum(self, retention: timedelta, *, dry_run: bool = False) -> list[str]:
        """Delete files that were replaced, or left by a killed process; return their paths. Waits for living writers.

        Args:
            retention: how long ago at least; longer than any reader runs, for it needs the files of its version. In a
                bucket `LEAST_RETENTION` at least: nothing there keeps a vacuum waiting for living writers.
            dry_run: return the paths only.

        Raises:
            ConfigurationError: the retention is too short, or this machine's clock goes ahead of the bucket's.
        """
        if self.is_empty:
            return []
        if isinstance(self.root, ObjectPath):
            require_retention(self.root, retention)
        with self.alone():
            tables = [Snapshot.open(self.root, definition) for definition in (EVENTS, REJECTED)]
            return [path for table in tables for path in table.vacuum(retention, dry_run=dry_run)]


def _spill_of(root: StoragePath) -> Path:
    return root.scratch if isinstance(root, ObjectPath) else root / ".spill"


def months(window: Window) -> list[str]:
    """Return every month that a window touches, as partitions are named: YYYY-MM."""
    first, last = window.started_at, window.as_of
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    return [f"{first.year + at // 12:04}-{at % 12 + 1:02}" for at in range(first.month - 1, first.month - 1 + count)]
