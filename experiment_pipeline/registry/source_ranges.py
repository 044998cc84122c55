"""Ranges of sources in the registry: planned before they are read, closed once they have landed (rule D2)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.domain.source_ranges import ReadSoFar, SourceFailure, SourceFile, SourceProgress, SourceRange
from experiment_pipeline.errors import Conflict
from experiment_pipeline.landing.source_objects import AGAIN
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.source_tables import source_files, source_ranges, source_versions, sources

COLUMNS = tuple(column.name for column in source_ranges.columns)


@dataclass(frozen=True, slots=True)
class SourceRanges:
    """Store of the ranges: the ledger of `sources.pull` (`RangeLedger`)."""

    database: Database

    def list(self, source: str, *, newest: int | None = None) -> Sequence[SourceRange]:
        """Return the ranges of a source, the first one first; or so many of the newest."""
        wanted = select(source_ranges).where(source_ranges.c.source == source)
        with reading(self.database) as connection:
            rows = connection.execute(wanted.order_by(source_ranges.c.number.desc()).limit(newest)).mappings().all()
            files = _files(connection, source, [row["number"] for row in rows])
        return [SourceRange(**{name: row[name] for name in COLUMNS}, files=files[row["number"]]) for row in rows[::-1]]

    def open_range(self, source: str) -> SourceRange | None:
        """Return the range that was planned and has not landed; there is at most one of a source."""
        newest = self.list(source, newest=1)
        return newest[0] if newest and newest[0].landed_at is None else None

    def read_so_far(self, source: str) -> ReadSoFar:
        """Return what has landed of a source: a position of another cursor or connection says nothing of this one."""
        columns = source_ranges.c
        landed = (columns.source == source) & columns.landed_at.is_not(None)
        last = select(columns.until, columns.after, columns.rows).where(landed).order_by(columns.number.desc()).limit(1)
        last_again = select(func.max(columns.number)).where(landed & columns.name.startswith(AGAIN))
        with reading(self.database) as connection:
            position = connection.execute(last.where(columns.version.in_(_versions(connection, source)))).one_or_none()
            again = connection.scalar(last_again) or 0
            left = (columns.number > again) & columns.after.is_not(None) & columns.until.is_(None)
            since = connection.scalars(select(columns.after).where(landed & left).distinct()).all()
            files = SourceRanges(connection).read_files(source)
        until, after, rows = (None, None, None) if position is None else position
        return ReadSoFar(files, until, max(map(datetime.fromisoformat, since), default=None), after, rows)

    def read_files(self, source: str) -> Sequence[SourceFile]:
        """Return the files of a source that have landed, each as it was when it was read last."""
        files, ranges = source_files.c, source_ranges.c
        landed = (ranges.source == files.source) & (ranges.number == files.number) & ranges.landed_at.is_not(None)
        statement = select(files.path, files.bytes, files.modified_at).where(files.source == source)
        with reading(self.database) as connection:
            rows = connection.execute(statement.join(source_ranges, landed).order_by(files.number)).all()
        return list({row.path: SourceFile(row.path, row.bytes, row.modified_at) for row in rows}.values())

    def progress(self) -> dict[str, SourceProgress]:
        """Return how far each source has been read, by key; nothing of those that have not been."""
        columns = source_ranges.c
        sums = [func.coalesce(func.sum(column), 0) for column in (columns.rows, columns.records)]
        statement = (
            select(columns.source, func.count(), *sums, func.max(columns.landed_at))
            .where(columns.landed_at.is_not(None))
            .group_by(columns.source)
        )
        with reading(self.database) as connection:
            rows = connection.execute(statement).all()
        return {
            source: SourceProgress(ranges, int(read), int(records), landed_at)
            for source, ranges, read, records, landed_at in rows
        }

    def failures(self) -> dict[str, SourceFailure]:
        """Return the failures of the sources whose last pull did not work, by key."""
        columns = sources.c
        failed = select(columns.key, columns.failed_at, columns.failure).where(columns.failed_at.is_not(None))
        with reading(self.database) as connection:
            return {key: SourceFailure(at, message) for key, at, message in connection.execute(failed)}

    def record_failure(self, source: str, message: str, now: datetime) -> None:
        """Keep why the last pull of a source did not work."""
        with writing(self.database) as connection:
            values = {"failed_at": now, "failure": message}
            connection.execute(update(sources).where(sources.c.key == source).values(values))

    def clear_failure(self, source: str) -> None:
        """Forget the last failure of a source: a pull has worked."""
        if source in self.failures():
            with writing(self.database) as connection:
                values = {"failed_at": None, "failure": None}
                connection.execute(update(sources).where(sources.c.key == source).values(values))

    def next_number(self, source: str) -> int:
        """Return the number that the next range of a source has."""
        with reading(self.database) as connection:
            last = connection.scalar(select(func.max(source_ranges.c.number)).where(source_ranges.c.source == source))
        return (last or 0) + 1

    def plan(self, planned: SourceRange) -> None:
        """Record what is read next.

        Raises:
            Conflict: another range of the source is open, or has the number.
        """
        with writing(self.database) as connection:
            unfinished = SourceRanges(connection).open_range(planned.source)
            if unfinished is not None:
                raise Conflict(f"Range {unfinished.number} of the source '{planned.source}' has not landed yet.")
            values = {name: getattr(planned, name) for name in COLUMNS}
            files = [
                {"source": planned.source, "number": planned.number, "position": position}
                | {"path": file.path, "bytes": file.bytes, "modified_at": file.modified_at}
                for position, file in enumerate(planned.files)
            ]
            try:
                with connection.begin_nested():
                    connection.execute(insert(source_ranges).values(values))
            except IntegrityError:
                raise Conflict(f"Another process reads the source '{planned.source}' at the moment.") from None
            if files:
                connection.execute(insert(source_files), files)

    def close(self, source: str, number: int, *, rows: int | None, records: int, now: datetime) -> None:
        """Record that a range has landed.

        Args:
            source: its key.
            number: of the open range.
            rows: that were read; None where it landed before and nobody counted them.
            records: that landed.
            now: UTC.

        Raises:
            Conflict: the range is not open.
        """
        values = {"landed_at": now, "rows": rows, "records": records}
        is_open = _is(source, number) & source_ranges.c.landed_at.is_(None)
        with writing(self.database) as connection:
            if connection.execute(update(source_ranges).where(is_open).values(values)).rowcount == 0:
                raise Conflict(f"Range {number} of the source '{source}' is not open.")

    def withdraw(self, source: str, number: int) -> None:
        """Forget a range of which nothing has landed, and nothing will.

        Raises:
            Conflict: the range is not open.
        """
        is_open = _is(source, number) & source_ranges.c.landed_at.is_(None)
        of_range = (source_files.c.source == source) & (source_files.c.number == number)
        with writing(self.database) as connection:
            if connection.scalar(select(source_ranges.c.number).where(is_open)) is None:
                raise Conflict(f"Range {number} of the source '{source}' is not open.")
            connection.execute(delete(source_files).where(of_range))
            connection.execute(delete(source_ranges).where(is_open))


def _versions(connection: Connection, source: str) -> list[int]:
    """Return the versions of a source whose cursor and connection are the present ones."""
    present = connection.scalar(select(sources.c.declared).where(sources.c.key == source))
    known = select(source_versions.c.version, source_versions.c.declared).where(source_versions.c.source == source)
    rows = connection.execute(known)
    return [version for version, declared in rows if _position_of(declared) == _position_of(present)]


def _position_of(declared: Mapping[str, Any] | None) -> tuple[str | None, str | None]:
    """Return what a position is one of: the connection, and the column of the cursor."""
    found = declared or {}
    return found.get("connection"), (found.get("cursor") or {}).get("column")


def _is(source: str, number: int) -> ColumnElement[bool]:
    return (source_ranges.c.source == source) & (source_ranges.c.number == number)


def _files(connection: Connection, source: str, numbers: Sequence[int]) -> dict[int, tuple[SourceFile, ...]]:
    """Return the files of ranges, by number."""
    found: defaultdict[int, tuple[SourceFile, ...]] = defaultdict(tuple)
    if not numbers:
        return found
    files = source_files.c
    within = files.number.between(min(numbers), max(numbers))
    statement = select(source_files).where(files.source == source, within).order_by(files.number, files.position)
    for row in connection.execute(statement):
        found[row.number] += (SourceFile(row.path, row.bytes, row.modified_at),)
    return found
