"""Schedules of sources: how often one is read, as Dagster's automation and cron can say it (rule D4)."""

from datetime import timedelta

EVERY_DAY, EVERY_WEEK = "0 0 * * *", "0 0 * * 0"
SCHEDULES: tuple[tuple[timedelta, str], ...] = (
    *((timedelta(minutes=n), f"*/{n} * * * *") for n in range(1, 31) if 60 % n == 0),
    *((timedelta(hours=n), f"0 */{n} * * *") for n in range(1, 13) if 24 % n == 0),
    (timedelta(days=1), EVERY_DAY),
    (timedelta(days=7), EVERY_WEEK),
)  # those that cron repeats evenly, in UTC, the shortest one first
EVERY = (
    "Must be 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30 minutes, 1, 2, 3, 4, 6, 8 or 12 hours, a day or a week, such as "
    "PT15M: a clock repeats no others evenly."
)
MISSED_INTERVALS = 2  # data that comes once an interval is one interval old before it is read, and one until the next


def cron_of(every: timedelta) -> str:
    """Return the cron schedule of an interval of at least a minute: the longest one that is not longer.

    Example:
        PT15M is `*/15 * * * *`; PT7M, which divides no hour, is `*/6 * * * *`.
    """
    return max((interval, cron) for interval, cron in SCHEDULES if interval <= every)[1]


def is_even(every: timedelta) -> bool:
    """Return whether a clock repeats an interval evenly, so that it is kept exactly."""
    return any(every == interval for interval, _ in SCHEDULES)


def longest_lag(every: timedelta) -> timedelta:
    """Return how old the newest event of a source may be before the source counts as late."""
    return MISSED_INTERVALS * every
