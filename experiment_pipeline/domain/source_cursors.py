"""Cursors: the values of a column that grows, and which rows are read next (rule D2)."""

import json
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from experiment_pipeline.domain.sources import Cursor
from experiment_pipeline.domain.texts import printable, quoted, shortened
from experiment_pipeline.errors import ConfigurationError

CursorValue = datetime | date | int | str

LATE_BY = timedelta(
    minutes=5
)  # where no overlap is declared: a transaction may commit later than one that began after it
DAY = timedelta(days=1)  # rows of a day come until its end
INTEGER, DATE = re.compile(r"-?\d+"), re.compile(r"\d{4}-\d{2}-\d{2}")
MOST_AHEAD = timedelta(hours=14)  # of UTC: where a time without a zone may already be
ANEW = "Pull the source with --again to read everything anew."
AFTER_ALL = "~"  # sorts behind whatever follows the date in a time's text
SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True, slots=True)
class CursorBounds:
    """The rows that are read together.

    Attributes:
        after: exclusive; None for all.
        until: inclusive: the largest value when they were planned.
    """

    after: CursorValue | None
    until: CursorValue


def to_text(value: CursorValue) -> str:
    """Return a value as the registry keeps it: its form tells what it is, since texts alone have quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value.isoformat() if isinstance(value, date) else str(value)


def from_text(text: str) -> CursorValue:
    """Return the value that `to_text` has written."""
    if text.startswith('"'):
        value: str = json.loads(text)
        return value
    if INTEGER.fullmatch(text):
        return int(text)
    return date.fromisoformat(text) if DATE.fullmatch(text) else datetime.fromisoformat(text)


def next_bounds(cursor: Cursor, read_until: CursorValue | None, newest: CursorValue | None) -> CursorBounds | None:
    """Return what is to be read of a source next; None where there is nothing.

    Rows that appear late are read, too: what the cursor has passed is read again by its overlap. Without one that is
    five minutes of times and a day of dates; whole numbers and texts have none.

    Args:
        cursor: as it is declared.
        read_until: the last value that was read; None where nothing was.
        newest: the largest value now; None where there are no rows.

    Raises:
        ConfigurationError: the cursor goes backwards, is of another type than before, or has an overlap without times.
    """
    if cursor.overlap is not None and isinstance(newest, int | str):
        message = f"Must be left out: column {quoted(cursor.column)} has no times, so nothing can be so far back."
        raise ConfigurationError.of("cursor.overlap", message)
    if newest is None or read_until is None:
        return None if newest is None else CursorBounds(None, newest)
    if not is_alike(newest, read_until):
        before = f"{_shown(read_until)} was read last, and its largest value is now {_shown(newest)}"
        message = f"Column {quoted(cursor.column)} is of another type than before: {before}. {ANEW}"
        raise ConfigurationError.of("cursor.column", message)
    comparable: Any = newest
    if comparable < read_until:
        message = (
            f"Column {quoted(cursor.column)} goes backwards: its largest value is {_shown(newest)}, and rows up to "
            f"{_shown(read_until)} have been read. It must be a column that grows. {ANEW}"
        )
        raise ConfigurationError.of("cursor.column", message)
    after = _back(read_until, cursor.overlap)
    return None if after == newest else CursorBounds(after, newest)


def is_alike(one: CursorValue, other: CursorValue) -> bool:
    """Whether two values are of one type, so that they can be compared."""
    return _kind(one) == _kind(other)


def largest_by(now: datetime, like: CursorValue, timezone: str | None) -> CursorValue | None:
    """Return the largest cursor that a row can have had by now; None where cursors are no times.

    Args:
        now: UTC.
        like: a value of the cursor; a text that begins with a date is a time, compared by its day.
        timezone: of times without one; where it is not known, the one that is furthest ahead counts.
    """
    local = now + MOST_AHEAD if timezone is None else now.astimezone(ZoneInfo(timezone))
    if isinstance(like, datetime):
        return local.replace(tzinfo=None) if like.tzinfo is None else now
    if isinstance(like, date):
        return local.date()
    is_time = isinstance(like, str) and DATE.match(like)  # as SQLite has times
    return f"{local.date()}{AFTER_ALL}" if is_time else None


def _back(value: CursorValue, overlap: timedelta | None) -> CursorValue:
    """Return the value after which rows are read again."""
    if isinstance(value, datetime):
        back = LATE_BY if overlap is None else overlap
        return value - back if value.replace(tzinfo=None) - datetime.min > back else value  # noqa: DTZ901 - a bound
    if isinstance(value, date):
        days = -((overlap or timedelta()) // -DAY) or 1
        return value - days * DAY if value.toordinal() > days else value
    return value


def _shown(value: CursorValue) -> str:
    return printable(shortened(to_text(value), SHOWN))


def _kind(value: CursorValue) -> object:
    return (type(value), isinstance(value, datetime) and value.tzinfo is None)
