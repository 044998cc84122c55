"""When the self-check is due: on the first refresh of a UTC day, and on the final one."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from experiment_pipeline.domain.self_check import is_self_check_due

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("as_of", "ended_at", "checked_as_of", "is_due"),
    [
        (NOON, None, None, True),
        (NOON, None, MIDNIGHT, False),
        (NOON, None, MIDNIGHT - MILLISECOND, True),
        (MIDNIGHT.astimezone(timezone(timedelta(hours=-8))), None, MIDNIGHT - MILLISECOND, True),  # still the 1st there
        (NOON, NOON + MILLISECOND, MIDNIGHT, False),
        (NOON, NOON, MIDNIGHT, True),
        (NOON, NOON, NOON, True),  # the final refresh, after the one at the end
    ],
)
def test_self_check__is_due_once_a_utc_day_and_at_the_end(
    as_of: datetime, ended_at: datetime | None, checked_as_of: datetime | None, is_due: bool
) -> None:
    assert is_self_check_due(as_of, ended_at, checked_as_of) is is_due
