"""One of the Delta tables of all looks: its schema, and commits that happen at most once.

A commit carries the number of its batch as Delta's own application transaction. Who opens the table sees the number of
the newest one, and of two commits that race Delta refuses the second.
"""

import io
import json
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote
from uuid import uuid4

import polars as pl
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.schema import PrimitiveType
from deltalake.transaction import AddAction, RemoveAction

from experiment_pipeline.errors import Conflict, LakeError
from experiment_pipeline.results.published_tables import PublishedTable, Row
from experiment_pipeline.results.results_table import ColumnType
from experiment_pipeline.storage.delta_tables import create_table, is_table, open_table
from experiment_pipeline.storage.files import make_folder, sync
from experiment_pipeline.storage.object_path import StoragePath

WRITER = "experiment-pipeline/tables"  # the application whose transaction version is the number of the batch
LOG = "_delta_log"
CONFIGURATION = {"delta.checkpointInterval": "20", "delta.deletedFileRetentionDuration": "interval 2 days"}
SMALL_FILES = 8  # are merged; fewer are no burden to readers
DELTA_TYPES = {
    ColumnType.TEXT: "string",
    ColumnType.WHOLE: "long",
    ColumnType.NUMBER: "double",
    ColumnType.TRUTH: "boolean",
    ColumnType.TIME: "timestamp",
}
POLARS_TYPES: dict[ColumnType, Any] = {
    ColumnType.TEXT: pl.String,
    ColumnType.WHOLE: pl.Int64,
    ColumnType.NUMBER: pl.Float64,
    ColumnType.TRUTH: pl.Boolean,
    ColumnType.TIME: pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A Parquet file in a table's folder that no commit names yet; `path` is relative to the folder."""

    path: str
    bytes: int
    rows: int


def no_folder(place: StoragePath) -> LakeError:
    """Return the error of a file that stands where a folder of the tables has to be."""
    return LakeError(f"{place} is not a folder: the tables of all looks need one there. Move the file away.")


class LookTable:
    """One table at one version; a commit through it fails where another process has committed a batch since."""

    def __init__(self, root: StoragePath, definition: PublishedTable, table: DeltaTable) -> None:
        self.root, self.definition, self._table = root, definition, table

    @classmethod
    def open(cls, folder: StoragePath, definition: PublishedTable) -> Self | None:
        """Return the newest version of a table; None where there is none.

        Raises:
            LakeError: its log cannot be read.
        """
        root = folder.absolute() / definition.name
        for place in (folder, root):
            if isinstance(place, Path) and place.exists() and not place.is_dir():
                raise no_folder(place)
        try:
            return cls(root, definition, open_table(root)) if is_table(root) else None
        except DeltaError as broken:
            cause = str(broken).strip().partition("\n")[0]
            raise LakeError(
                f"The table in {root} cannot be read: {cause}. Move the folder away: the next write makes it anew."
            ) from broken

    @classmethod
    def open_or_create(cls, folder: StoragePath, definition: PublishedTable) -> Self:
        """Return the newest version of a table, which is created where there is none, with every column."""
        found = cls.open(folder, definition)
        if found is None:
            root = folder.absolute() / definition.name
            make_folder(root)
            create_table(
                root,
                Schema(_fields(definition)),
                name=definition.name,
                description=definition.description,
                configuration=CONFIGURATION,
            )
        elif not found.add_columns():
            return found
        opened = cls.open(folder, definition)
        assert opened is not None  # noqa: S101 - it was there, or has been created
        return opened

    @property
    def batch(self) -> int:
        """The newest batch that the table holds; 0 for none."""
        return self._table.transaction_version(WRITER) or 0

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(pl.DataFrame(self._table.get_add_actions(flatten=True))["num_records"].to_list())

    def write(self, rows: Sequence[Row]) -> WrittenFile:
        """Write rows to a file of the table's folder and sync it; no reader sees it before a commit names it."""
        schema = {column.name: POLARS_TYPES[column.type] for column in self.definition.columns}
        path = self.root / f"look-{uuid4()}.parquet"
        content = io.BytesIO()  # Polars itself does not say that the disk is full
        pl.DataFrame(rows, schema=schema, orient="row").write_parquet(content, compression="zstd")
        try:
            path.write_bytes(content.getvalue())
            sync(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return WrittenFile(path.name, path.stat().st_size, len(rows))

    def commit(self, batch: int, files: Iterable[WrittenFile], *, replace: bool, now_ms: int) -> None:
        """Make the files of a batch visible with one commit, at most once.

        Args:
            batch: its number; one that the table does not hold.
            files: that were written; may be none.
            replace: whether what the table holds goes with the same commit.
            now_ms: milliseconds since 1970, from which a vacuum counts its retention.

        Raises:
            Conflict: another process has committed a batch meanwhile.
            LakeError: the commit failed otherwise.
        """
        added = [
            AddAction(file.path, file.bytes, {}, now_ms, True, json.dumps({"numRecords": file.rows})) for file in files
        ]
        actions: list[AddAction | RemoveAction] = [*(self._removals(now_ms) if replace else ()), *added]
        try:
            self._table.create_write_transaction(
                actions,
                mode="append",
                schema=self._table.schema(),
                commit_properties=CommitProperties(app_transactions=[Transaction(WRITER, batch)]),
            )
        except CommitFailedError as failed:
            raise Conflict(f"{self.definition.name}: another process committed first: {failed}") from failed
        except DeltaError as failed:
            raise LakeError(f"The table in {self.root} cannot be written: {' '.join(str(failed).split())}") from failed
        sync(self.root / LOG)
        sync(self.root)

    def remove_unnamed(self, files: Iterable[WrittenFile]) -> None:
        """Remove those of the files that no commit names, after a failure: a full disk would have some of each attempt.

        A commit may be there although an error followed it. Where that cannot be known the files stay.
        """
        with suppress(OSError, DeltaError):
            named = {Path(unquote(uri)).name for uri in open_table(self.root).file_uris()}
            for file in files:
                if file.path not in named:
                    (self.root / file.path).unlink(missing_ok=True)

    def compact(self) -> int:
        """Merge small files where there are many; return how many were merged."""
        if len(self._table.file_uris()) < SMALL_FILES:
            return 0
        return int(self._table.optimize.compact()["numFilesRemoved"])

    def vacuum(self, retention: timedelta, *, dry_run: bool) -> list[str]:
        """Delete files that no version younger than the retention needs, and leftovers of kills; return their paths."""
        hours = math.ceil(retention / timedelta(hours=1))
        return self._table.vacuum(retention_hours=hours, enforce_retention_duration=False, dry_run=dry_run, full=True)

    def _removals(self, now_ms: int) -> list[RemoveAction]:
        actions = pl.DataFrame(self._table.get_add_actions(flatten=True))
        return [RemoveAction(row["path"], True, now_ms, row["size_bytes"], {}) for row in actions.iter_rows(named=True)]

    def add_columns(self) -> bool:
        """Add the columns that the table lacks, because it is from before they were there; return whether it did."""
        known = {field.name for field in self._table.schema().fields}
        lacking = [field for field in _fields(self.definition) if field.name not in known]
        if lacking:
            with suppress(CommitFailedError):  # another process has added them
                self._table.alter.add_columns(lacking)
        return bool(lacking)


def _fields(definition: PublishedTable) -> list[Field]:
    return [
        Field(column.name, PrimitiveType(DELTA_TYPES[column.type]), metadata={"comment": column.description})
        for column in definition.columns
    ]
