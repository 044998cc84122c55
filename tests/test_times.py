"""Durations: one grammar for settings, requests and manifests."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.times import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("PT1H", timedelta(hours=1)),
        ("P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        (90, timedelta(seconds=90)),
        ("90", timedelta(seconds=90)),
        ("0.5", timedelta(milliseconds=500)),
        ("-1", timedelta(seconds=-1)),
    ],
)
def test_parse_duration__seconds_and_iso__are_read(text: object, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "P", "PT", "1h", "PT1.5H", "1e3", "٣", True, 1.5, None, 10**12, "P1Y", "PT٣H"])
def test_parse_duration__anything_else__is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="Must be whole seconds"):
        parse_duration(text)


@given(st.integers(0, 10**8))
def test_format_duration__read_again__is_the_same(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)
