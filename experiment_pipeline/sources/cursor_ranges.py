"""Ranges of a query to a database: the rows that its cursor has not passed (rules D1, D2)."""

from collections.abc import Iterator
from datetime import date, datetime
from zoneinfo import ZoneInfo

from experiment_pipeline.domain.source_cursors import CursorBounds, CursorValue, from_text, next_bounds, to_text
from experiment_pipeline.domain.source_ranges import RangeContent, ReadSoFar, SourceRange
from experiment_pipeline.domain.sources import Cursor
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.sources.source_rows import CursorRange, Database, SourceRows


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

    def unread(self, read: ReadSoFar, since: datetime | None = None) -> Iterator[RangeContent]:
        """Yield what is to be read: one range, or none.

        Args:
            read: what has landed before.
            since: leave rows up to this moment of the cursor.

        Raises:
            ConfigurationError: the query or the cursor is not what it has to be.
            SourceUnreachable: the server cannot be reached.
        """
        if self._cursor is None:
            if since is not None:
                raise ConfigurationError.of("--since", "Needs a cursor: the rows of a query have no other time.")
            yield RangeContent()
            return
        newest = self._database.newest(self._query, self._cursor.column)
        read_until = None if read.until is None else from_text(read.until)
        bounds = next_bounds(self._cursor, read_until, newest)
        if bounds is not None and since is not None:
            bounds = self._later(bounds, since)
        if bounds is not None:
            yield RangeContent(
                after=None if bounds.after is None else to_text(bounds.after), until=to_text(bounds.until)
            )

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
        newest = self._database.newest(self._query, self._cursor.column)
        return {"read_until": read.until, "newest": None if newest is None else to_text(newest)}

    def _later(self, bounds: CursorBounds, since: datetime) -> CursorBounds | None:
        start = self._as_cursor(since, bounds.until)
        if bounds.after is not None and not _is_before(bounds.after, start):
            return bounds
        return CursorBounds(start, bounds.until) if _is_before(start, bounds.until) else None

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
