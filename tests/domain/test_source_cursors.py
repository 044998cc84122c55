"""Cursors: which rows are read next, and what the registry keeps of them (rule D2)."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.source_cursors import (
    CursorBounds,
    CursorValue,
    from_text,
    largest_by,
    next_bounds,
    to_text,
)
from experiment_pipeline.domain.sources import Cursor
from experiment_pipeline.errors import ConfigurationError

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
NAIVE = NOON.replace(tzinfo=None)
HOUR = timedelta(hours=1)
VALUES = st.integers() | st.text() | st.dates() | st.datetimes() | st.datetimes(timezones=st.just(UTC))


@given(VALUES)
def test_cursor_value__as_text__is_the_same_again(value: CursorValue) -> None:
    found = from_text(to_text(value))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("overlap", "read_until", "newest", "bounds"),
    [
        (None, None, None, None),
        (None, None, NOON, CursorBounds(None, NOON)),
        (None, NOON, None, None),
        (None, NOON, NOON + HOUR, CursorBounds(NOON - timedelta(minutes=5), NOON + HOUR)),
        (HOUR, NOON, NOON, CursorBounds(NOON - HOUR, NOON)),
        (HOUR, NAIVE, NAIVE + HOUR, CursorBounds(NAIVE - HOUR, NAIVE + HOUR)),
        (timedelta(0), NOON, NOON, None),
        (timedelta(0), NOON, NOON + HOUR, CursorBounds(NOON, NOON + HOUR)),
        (None, date(2026, 11, 2), date(2026, 11, 2), CursorBounds(date(2026, 11, 1), date(2026, 11, 2))),
        (HOUR, date(2026, 11, 2), date(2026, 11, 3), CursorBounds(date(2026, 11, 1), date(2026, 11, 3))),
        (25 * HOUR, date(2026, 11, 3), date(2026, 11, 3), CursorBounds(date(2026, 11, 1), date(2026, 11, 3))),
        (None, 7, 9, CursorBounds(7, 9)),
        (None, 7, 7, None),
        (None, "B", "a", CursorBounds("B", "a")),
    ],
)
def test_next_bounds__overlap__is_read_again(
    overlap: timedelta | None,
    read_until: CursorValue | None,
    newest: CursorValue | None,
    bounds: CursorBounds | None,
) -> None:
    assert next_bounds(Cursor("at", overlap), read_until, newest) == bounds


@pytest.mark.parametrize(
    ("read_until", "newest"), [(NOON, NOON - HOUR), (date(2026, 11, 2), date(2026, 11, 1)), (9, 7), ("a", "B")]
)
def test_next_bounds__cursor_that_goes_backwards__is_refused(read_until: CursorValue, newest: CursorValue) -> None:
    with pytest.raises(ConfigurationError, match=r"cursor\.column: Column 'at' goes backwards: its largest value is"):
        next_bounds(Cursor("at"), read_until, newest)


@pytest.mark.parametrize(("read_until", "newest"), [(NOON, NAIVE), (date(2026, 11, 1), NAIVE), (7, "7"), ("7", NOON)])
def test_next_bounds__cursor_of_another_type__is_refused(read_until: CursorValue, newest: CursorValue) -> None:
    with pytest.raises(ConfigurationError, match="is of another type than before"):
        next_bounds(Cursor("at"), read_until, newest)


@pytest.mark.parametrize("newest", [7, "a"])
def test_next_bounds__overlap_of_what_is_no_time__is_refused(newest: CursorValue) -> None:
    with pytest.raises(ConfigurationError, match=r"cursor\.overlap: Must be left out: column 'at' has no times"):
        next_bounds(Cursor("at", HOUR), None, newest)


@pytest.mark.parametrize(
    ("like", "timezone", "limit"),
    [
        (NOON, None, NOON),
        (NOON, "Asia/Tokyo", NOON),
        (NAIVE, "Asia/Tokyo", NAIVE + 9 * HOUR),
        (NAIVE, None, NAIVE + 14 * HOUR),
        (NOON.date(), "America/Lima", NOON.date()),
        (NOON.date(), None, date(2026, 11, 2)),
        (7, None, None),
        ("7", "UTC", None),
        ("2026-11-01 13:00:00", "UTC", "2026-11-01~"),
        ("2026-11-01T13:00:00Z", None, "2026-11-02~"),
    ],
)
def test_largest_by__now__is_in_the_zone_of_the_cursor(
    like: CursorValue, timezone: str | None, limit: CursorValue | None
) -> None:
    assert largest_by(NOON, like, timezone) == limit
