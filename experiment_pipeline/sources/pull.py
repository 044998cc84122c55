"""Pull of a source: what is new of it is read, mapped and landed, every row once (rules D1-D3).

plan   the registry gets the range, before anything is read of it
read   its rows become records, in a hidden folder
land   the folder gets its name, which is made of source and range: all of it is visible, or nothing is
close  the registry gets the counts

A process that dies leaves an open range. The next pull closes it where its folder has landed, and else reads it again
into the same folder, or everything anew where that is what it is asked for.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from typing import Protocol

import polars as pl

from experiment_pipeline.domain.source_ranges import RangeContent, ReadSoFar, SourceRange
from experiment_pipeline.domain.sources import (
    DUCKDB,
    Connection,
    RowsKind,
    Source,
    check_url_of_files,
    mapping_path,
    to_declared,
    url_of,
)
from experiment_pipeline.durable_files import make_folder
from experiment_pipeline.errors import ConfigurationError, Conflict, SourceUnreachable
from experiment_pipeline.landing.source_objects import AGAIN, since_part
from experiment_pipeline.sources.cursor_ranges import CursorRanges
from experiment_pipeline.sources.databases import open_database
from experiment_pipeline.sources.duckdb_rows import DuckDBDatabase, is_database
from experiment_pipeline.sources.file_ranges import FileRanges
from experiment_pipeline.sources.landing_folder import discard, folder_of_range, has_landed, land, landed_files
from experiment_pipeline.sources.row_profile import RowProfile
from experiment_pipeline.sources.row_records import OnRows, OnValues, RowRecords
from experiment_pipeline.sources.source_rows import SourceRows
from experiment_pipeline.storage.files import whole
from experiment_pipeline.storage.locks import exclusive
from experiment_pipeline.storage.object_path import ObjectPath, StoragePath

LOCK = ".lock"  # hidden from ingestion
MANY_ROWS = 100  # of which a column that is null in every one is a mistake; fewer are rejected row by row
FIELD_OF_ALL = "query"
OPTION = "--"
NOT_OF_SOURCES = ("connections.", OPTION)  # fields that a pull refuses, too
NOTHING_LEFT = "Gives no rows now: --again would remove what the source has brought, and put nothing in its place."
OnBatch = Callable[[SourceRange, int], None]  # told the range and how many rows of it were read just now


class RangeLedger(Protocol):
    """The registry's ranges of sources, as a pull needs them."""

    def open_range(self, source: str) -> SourceRange | None:
        """Return the range that was planned and has not landed."""

    def read_so_far(self, source: str) -> ReadSoFar:
        """Return what has landed."""

    def next_number(self, source: str) -> int:
        """Return the number of the next range."""

    def plan(self, planned: SourceRange) -> None:
        """Record what is read next."""

    def close(self, source: str, number: int, *, rows: int | None, records: int, now: datetime) -> None:
        """Record that a range has landed."""

    def withdraw(self, source: str, number: int) -> None:
        """Forget a range of which nothing has landed."""

    def record_failure(self, source: str, message: str, now: datetime) -> None:
        """Keep why the last pull did not work."""

    def clear_failure(self, source: str) -> None:
        """Forget it: a pull has worked."""


class Ranges(Protocol):
    """The data of a source: files, or a query to a database."""

    def unread(
        self, read: ReadSoFar, since: datetime | None = None, *, now: datetime | None = None
    ) -> Iterator[RangeContent]:
        """Yield what is to be read, by range."""
        ...

    def can_read_again(self, planned: SourceRange) -> bool:
        """Return whether a range that was planned can still be read."""
        ...

    def rows(self, planned: SourceRange) -> SourceRows:
        """Return the rows of a range."""
        ...

    def require_unchanged(self, planned: SourceRange) -> None:
        """Raise Conflict where what was read has changed meanwhile."""
        ...

    def sample(self) -> SourceRows:
        """Return rows to look at."""
        ...

    def state(self, read: ReadSoFar) -> Mapping[str, int | str | None]:
        """Return how far the source has been read, for people."""
        ...


@dataclass(frozen=True, slots=True)
class PlannedPull:
    """The plan of a pull: what it would do.

    Attributes:
        finished: the range that an interrupted pull has left, which would be finished first; None for none.
        contents: what would be read then, by range.
        replaces: whether that would take the place of everything that the source has brought (rule D5).
    """

    finished: SourceRange | None
    contents: tuple[RangeContent, ...]
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull of a source.

    Attributes:
        source: as it is declared now.
        ranges: what it reads.
        ledger: the registry's ranges.
        landing: root of the landing zone.
        now: UTC.
        on_batch: for progress.
        profile: of what is read now, for who wants one.
        on_values: is told what of the values that land is no number.
    """

    source: Source
    ranges: Ranges
    ledger: RangeLedger
    landing: StoragePath
    now: Callable[[], datetime]
    on_batch: OnBatch = lambda _planned, _rows: None
    profile: RowProfile | None = None
    on_values: OnValues = lambda _found: None

    def run(self, since: datetime | None = None, *, again: bool = False) -> list[SourceRange]:
        """Land what is new of the source.

        Args:
            since: leave files that were modified earlier, or rows whose cursor is not later, for good.
            again: land everything as it is now, as one range that replaces what the source has brought (rule D5).

        Returns:
            The ranges that have landed now, with their counts.

        Raises:
            ConfigurationError: files, query or a column are not what the source says; names the field below
                `sources.KEY`. Nothing of that range has landed.
            Conflict: another process pulls the source, or a file has changed while it was read.
            SourceUnreachable: a server is lost. The range stays planned, and the next pull reads it.
        """
        key = self.source.key
        with self._exclusive():
            try:
                with naming(key):
                    landed = self._landed_now(since, again=again)
            except (ConfigurationError, Conflict, SourceUnreachable) as failed:
                if not str(failed).startswith(OPTION):
                    self.ledger.record_failure(key, str(failed), self.now())
                raise
            self.ledger.clear_failure(key)
        return landed

    def plan(self, since: datetime | None = None, *, again: bool = False) -> PlannedPull:
        """Return what `run` would do; files are listed or the newest cursor is asked for, and nothing else is read.

        Raises:
            ConfigurationError: files, query or cursor are not what the source says.
            SourceUnreachable: a server cannot be reached.
        """
        with naming(self.source.key):
            left = self.ledger.open_range(self.source.key)
            finished = left if left is not None and self._would_finish(left, again=again) else None
            if again:
                return PlannedPull(finished, (self._everything(),), replaces=True)
            read = self.ledger.read_so_far(self.source.key)
            if finished is not None:
                files, until = (*read.files, *finished.files), finished.until or read.until
                read = replace(read, files=files, until=until, after=finished.after, rows=None)
            return PlannedPull(finished, tuple(self.ranges.unread(read, since, now=self.now())))

    def _landed_now(self, since: datetime | None, *, again: bool) -> list[SourceRange]:
        landed = [done for done in [self._resumed(again=again)] if done is not None]
        if again:
            return [*landed, self._read(self._planned(self._everything(), AGAIN))]
        unread = self.ranges.unread(self.ledger.read_so_far(self.source.key), since, now=self.now())
        return [*landed, *(self._read(self._planned(content)) for content in unread)]

    def _would_finish(self, left: SourceRange, *, again: bool) -> bool:
        """Return whether a range that was left open has landed, or is read; for `again` it is not read any more."""
        is_as_before = left.version == self.source.version and self.ranges.can_read_again(left)
        return has_landed(self._folder(left)) or (not again and is_as_before)

    def _everything(self) -> RangeContent:
        """Return all of the source as one range: it is one batch that removes the old rows and adds the new ones."""
        contents = list(self.ranges.unread(ReadSoFar(), now=self.now()))
        if not contents:
            raise ConfigurationError.of(FIELD_OF_ALL, NOTHING_LEFT)
        files = tuple(file for content in contents for file in content.files)
        return RangeContent(files, contents[0].after, contents[-1].until)

    def _resumed(self, *, again: bool) -> SourceRange | None:
        """Finish the range that a process left open, if there is one; for `again` only one that has landed."""
        planned = self.ledger.open_range(self.source.key)
        if planned is None:
            return None
        folder = self._folder(planned)
        if has_landed(folder):
            return self._closed(planned, None, _records_in(folder))
        if self._would_finish(planned, again=again):
            return self._read(planned)
        discard(folder)
        self.ledger.withdraw(planned.source, planned.number)
        return None

    def _planned(self, content: RangeContent, prefix: str = "") -> SourceRange:
        source, number = self.source, self.ledger.next_number(self.source.key)
        now, name = self.now(), f"{prefix}{range_name(source, number, content)}"
        planned = SourceRange(
            source.key, number, source.version, name, now, content.after, content.until, content.files
        )
        self.ledger.plan(planned)
        return planned

    def _read(self, planned: SourceRange) -> SourceRange:
        try:
            rows, records = self._landed(planned)
        except (ConfigurationError, Conflict):
            self.ledger.withdraw(planned.source, planned.number)
            raise
        return self._closed(planned, rows, records)

    def _landed(self, planned: SourceRange) -> tuple[int, int]:
        """Return how many rows were read, and how many records of them have landed."""
        counted = 0

        def count(rows: int) -> None:
            nonlocal counted
            counted += rows
            self.on_batch(planned, rows)

        def frames(rows: SourceRows) -> Iterator[pl.DataFrame]:
            yield from self._watched(rows, records, count)
            self.ranges.require_unchanged(planned)
            if not counted and planned.name.startswith(AGAIN):
                raise ConfigurationError.of(FIELD_OF_ALL, NOTHING_LEFT)

        records = row_records(self.source)
        with closing(self.ranges.rows(planned)) as rows:
            records.check(rows.schema)
            landed = land(frames(rows), self._folder(planned))
        return counted, landed

    def _watched(self, rows: SourceRows, records: RowRecords, count: OnRows) -> Iterator[pl.DataFrame]:
        if self.profile is None:
            return records.of(rows.batches(), count, self.on_values)
        watched = self.profile.watch_rows(rows, records)
        return self.profile.watch_records(records.of(watched, count, self.on_values))

    def _closed(self, planned: SourceRange, rows: int | None, records: int) -> SourceRange:
        now = self.now()
        self.ledger.close(planned.source, planned.number, rows=rows, records=records, now=now)
        return replace(planned, rows=rows, records=records, landed_at=now)

    def _folder(self, planned: SourceRange) -> StoragePath:
        return folder_of_range(self.landing, self.source.environment_key, self.source.key, planned.name)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Acquire the source's lock, which is released when a process dies. In a bucket, wait for it."""
        folder = folder_of_range(self.landing, self.source.environment_key, self.source.key, LOCK).parent
        if isinstance(folder, ObjectPath):
            with exclusive(folder, LOCK):
                yield
            return
        make_folder(folder)
        with (folder / LOCK).open("w") as lock:
            try:
                flock(lock, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                raise Conflict(f"Another process pulls the source '{self.source.key}' at the moment.") from None
            yield


def range_name(source: Source, number: int, content: RangeContent) -> str:
    """Return the name of a range's folder: version, oldest day if any, number, and a digest of what is read and how.

    The digest keeps a registry that was restored from a backup from taking another range's folder for its own.
    """
    files = [[file.path, file.bytes, file.modified_at.isoformat()] for file in content.files]
    text = json.dumps([to_declared(source), files, content.after, content.until], sort_keys=True)
    return f"v{source.version}-{since_part(source.oldest)}{number}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def open_ranges(source: Source, connection: Connection | None, environ: Mapping[str, str]) -> Ranges:
    """Return what a source reads; a database is not connected yet.

    Args:
        source: as it is declared.
        connection: that it names, if any.
        environ: the variables that connections name.

    Raises:
        ConfigurationError: the connection's variable is not set, its URL is none that can be read, or a driver is not
            installed; names the field below `connections.KEY`.
    """
    if connection is None:
        return FileRanges(source.files or "", source.query)
    url = url_of(connection, environ)
    check_url_of_files(connection, url)
    if url.startswith(DUCKDB):
        path = url.removeprefix(DUCKDB)
        if not is_database(path):
            return FileRanges(path, source.query)
        database = DuckDBDatabase(path, connection.key)
        return CursorRanges(database, source.query or "", source.cursor, source.timezone)
    return CursorRanges(open_database(url, connection.key), source.query or "", source.cursor, source.timezone)


def row_records(source: Source) -> RowRecords:
    """Return what the rows of a source become."""
    mappings = {mapping_path(source, position): mapping for position, mapping in enumerate(source.mappings)}
    supersedes = None if source.rows is RowsKind.APPEND or source.cursor is None else source.cursor.column
    key = source.environment_key
    return RowRecords(mappings, source.timezone, key, MANY_ROWS, cursor=supersedes, oldest=source.oldest)


def _records_in(folder: StoragePath) -> int:
    files = map(whole, landed_files(folder))
    counts = (pl.scan_parquet(file, hive_partitioning=False).select(pl.len()) for file in files)
    return sum(int(count.collect().item()) for count in counts)


@contextmanager
def naming(key: str) -> Iterator[None]:
    """Name the source in an error of the block, but for fields that are not the source's: those of its connection."""
    try:
        yield
    except ConfigurationError as refused:
        names = {name: name if name.startswith(NOT_OF_SOURCES) else f"sources.{key}.{name}" for name in refused.errors}
        raise ConfigurationError({names[name]: messages for name, messages in refused.errors.items()}) from None
