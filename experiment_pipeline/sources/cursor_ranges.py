"""Ranges of a query to a database: the rows that its cursor has not passed (rules D1, D2)."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import structlog

from experiment_pipeline.domain.source_cursors import (
    LATE_BY,
    CursorBounds,
    CursorValue,
    from_text,
    is_alike,
    largest_by,
    next_bounds,
    to_text,
)
from experiment_pipeline.domain.source_ranges import RangeContent, ReadSoFar, SourceRange
from experiment_pipeline.domain.sources import Cursor
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.sources.source_rows import CursorRange, Database, SourceRows

IN_FUTURE = "rows later than now are not read before their time: correct them, or leave them out in the query"
log = structlog.get_logger(__name__)


class CursorRanges:
    """The rows of one query, of which each pull reads those that are new; without a cursor, all of them each time."""

    def __init__(self, database: Database, query: str, cursor: Cursor | None, timezone: str | None) -> None:
        """Read a query.

        Args:
            database: that runs it.
            query: one SELECT statement.
            cursor: the column that grows.
            timezone: of times without one.
        """
        self._database = database
        self._query = query
        self._cursor = cursor
        self._timezone = timezone

    def unread(
        self, read: ReadSoFar, since: datetime | None = None, *, now: datetime | None = None
    ) -> Iterator[RangeContent]:
        """Yield what is to be read: one range, or none.

        Args:
            read: what has landed before.
            since: leave rows up to this moment of the cursor, now and in later pulls.
            now: UTC; the present moment where it is left out. Rows whose cursor is later are not read yet.

        Raises:
            ConfigurationError: the query or the cursor is not what it has to be.
            SourceUnreachable: the server cannot be reached.
        """
        if self._cursor is None:
            if since is not None:
                raise ConfigurationError.of("--since", "Needs a cursor: the rows of a query have no other time.")
            yield RangeContent()
            return
        read_until = None if read.until is None else from_text(read.until)
        newest = self._newest(self._cursor.column, read_until, now or datetime.now(UTC))
        bounds = next_bounds(self._cursor, read_until, newest)
        if bounds is not None and since is not None:
            bounds = self._later(bounds, since)
        if bounds is not None:
            after = None if bounds.after is None else to_text(bounds.after)
            content = RangeContent(after=after, until=to_text(bounds.until))
            if not self._is_as_read(content, read):
                yield content

    def _is_as_read(self, content: RangeContent, read: ReadSoFar) -> bool:
        """Return whether a range is the last one again, with as many rows: an idle table lands nothing."""
        if read.rows is None or (content.after, content.until) != (read.after, read.until):
            return False
        with closing(self.rows(content)) as rows:
            return sum(batch.height for batch in rows.batches()) == read.rows

    def can_read_again(self, planned: SourceRange) -> bool:  # noqa: ARG002 - what files need to know
        """Return that a range can be read again: the rows of a cursor stay where they are."""
        return True

    def rows(self, planned: RangeContent | SourceRange) -> SourceRows:
        """Return the rows of a range.

        Raises:
            ConfigurationError: the query is none that only reads, or the server refuses it.
            SourceUnreachable: the server cannot be reached.
        """
        if self._cursor is None:
            return self._database.rows(self._query)
        after, until = (None if text is None else from_text(text) for text in (planned.after, planned.until))
        return self._database.rows(self._query, CursorRange(self._cursor.column, after, until))

    def require_unchanged(self, planned: SourceRange) -> None:
        """Accept what was read: it was one snapshot, or each row is as it is read again."""

    def sample(self) -> SourceRows:
        """Return the rows of the query, of which the caller takes the first ones."""
        return self.rows(RangeContent())

    def state(self, read: ReadSoFar) -> dict[str, str | None]:
        """Return how far the cursor has been read, and its largest value."""
        if self._cursor is None:
            return {}
        read_until = None if read.until is None else from_text(read.until)
        newest = self._newest(self._cursor.column, read_until, datetime.now(UTC))
        return {"read_until": read.until, "newest": None if newest is None else to_text(newest)}

    def _newest(self, column: str, read_until: CursorValue | None, now: datetime) -> CursorValue | None:
        """Return the largest cursor by now: one of 2099 would pass all the rows that are still to come."""
        newest = self._database.newest(self._query, column)
        limit = None if newest is None else largest_by(now, newest, self._timezone)
        if newest is None or limit is None or not _is_before(limit, newest):
            return newest
        if isinstance(limit, datetime) and isinstance(read_until, datetime) and is_alike(limit, read_until):
            limit = max(limit, min(read_until, limit + LATE_BY))  # a clock that was put back
        until = self._database.newest(self._query, column, limit)
        log.warning("source.rows_in_future", column=column, largest=to_text(newest), note=IN_FUTURE)
        return until

    def _later(self, bounds: CursorBounds, since: datetime) -> CursorBounds:
        start = self._as_cursor(since, bounds.until)
        if bounds.after is not None and not _is_before(bounds.after, start):
            return bounds
        if not _is_before(start, bounds.until):
            largest = f"the cursor's largest value is {to_text(bounds.until)}"
            raise ConfigurationError.of("--since", f"Would leave every row that is new: {largest}.")
        return CursorBounds(start, bounds.until)

    def _as_cursor(self, since: datetime, like: CursorValue) -> CursorValue:
        """Return a moment as a value of the cursor."""
        local = since.astimezone(ZoneInfo(self._timezone or "UTC"))
        if isinstance(like, datetime):
            return since if like.tzinfo is not None else local.replace(tzinfo=None)
        if isinstance(like, date):
            return local.date()
        raise ConfigurationError.of("--since", "Needs a cursor of times: this one has whole numbers or text.")


def _is_before(one: CursorValue, other: CursorValue) -> bool:
    """Whether one of two values of the same type is smaller."""
    smaller: bool = one < other  # type: ignore[operator] # both are of the cursor's type
    return smaller
