"""Schedules of sources: intervals as cron says them (rule D4)."""

from datetime import timedelta

import pytest

from experiment_pipeline.domain.source_schedules import SCHEDULES, cron_of, is_even, longest_lag


@pytest.mark.parametrize(
    ("every", "cron"),
    [
        (timedelta(minutes=1), "*/1 * * * *"),
        (timedelta(seconds=119), "*/1 * * * *"),
        (timedelta(minutes=7), "*/6 * * * *"),
        (timedelta(minutes=15), "*/15 * * * *"),
        (timedelta(minutes=59), "*/30 * * * *"),
        (timedelta(hours=1), "0 */1 * * *"),
        (timedelta(minutes=90), "0 */1 * * *"),
        (timedelta(hours=23), "0 */12 * * *"),
        (timedelta(days=1), "0 0 * * *"),
        (timedelta(days=6), "0 0 * * *"),
        (timedelta(days=400), "0 0 * * 0"),
    ],
)
def test_cron_of__interval__is_the_longest_even_one_that_is_not_longer(every: timedelta, cron: str) -> None:
    assert cron_of(every) == cron


def test_is_even__interval__is_one_that_cron_repeats_exactly() -> None:
    assert all(is_even(interval) and cron_of(interval) == cron for interval, cron in SCHEDULES)
    assert not any(map(is_even, (timedelta(minutes=7), timedelta(seconds=90), timedelta(hours=5), timedelta(days=2))))


def test_longest_lag__interval__is_twice_as_long() -> None:
    assert longest_lag(timedelta(minutes=15)) == timedelta(minutes=30)
