"""Durations: one grammar for settings, requests and manifests; and moments that a wrong clock has left behind."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.times import CLOCK_TOLERANCE, format_duration, is_ahead, is_within, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("PT1H", timedelta(hours=1)),
        ("P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        (90, timedelta(seconds=90)),
    ],
)
def test_parse_duration__seconds_and_iso__are_read(text: object, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "90", "0.5", "-1", "1h", "PT1.5H", "1e3", "٣", True, 1.5, None, 10**12, "P1Y", "PT٣H"]
)
def test_parse_duration__anything_else__is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="Must be whole seconds"):
        parse_duration(text)


@given(st.integers(0, 10**8))
def test_format_duration__read_again__is_the_same(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.mark.parametrize(
    ("since", "within"),
    [
        (timedelta(0), True),
        (HOUR - SECOND, True),
        (HOUR, False),
        (-SECOND, True),
        (SECOND - HOUR, True),
        (-HOUR, False),
        (timedelta(days=-366), False),
    ],
)
def test_is_within__a_moment_that_lies_far_ahead__holds_nothing_up(since: timedelta, within: bool) -> None:
    assert is_within(NOW - since, HOUR, NOW) is within
    assert not is_within(NOW, timedelta(0), NOW)


def test_is_ahead__only_what_no_two_clocks_differ_by() -> None:
    assert not is_ahead(NOW + CLOCK_TOLERANCE, NOW)
    assert is_ahead(NOW + CLOCK_TOLERANCE + SECOND, NOW)
    assert not is_ahead(NOW - HOUR, NOW)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("P1Y", "a year has no fixed length: write days, such as P365D"),
        ("P2M", "a month has no fixed length: write days, such as P30D, or minutes, such as PT2M"),
        ("P1Y2M", "a year has no fixed length: write days, such as P365D"),
        ("P2W", "without weeks: write days, such as P14D"),
        ("PT1.5H", "without fractions: write a smaller unit, such as PT90M"),
        (1.5, "without fractions: write a smaller unit, such as PT90M"),
        ("-P1D", "not negative"),
        ("P-1D", "not negative"),
        ("7 days", "got '7 days'"),
        ("P", "got 'P'"),
        (None, "got nothing"),
        (True, "got True"),
    ],
)
def test_parse_duration__that_is_none__says_what_is_allowed_and_what_was_found(value: object, told: str) -> None:
    with pytest.raises(ValueError, match="Must be whole seconds") as refused:
        parse_duration(value)
    assert str(refused.value) == f"Must be whole seconds or an ISO-8601 duration such as PT1H, {told}."
