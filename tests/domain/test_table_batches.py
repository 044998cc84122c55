"""When the tables of looks are written: something waits, and the last write is a minute ago."""

from datetime import UTC, datetime, timedelta

import pytest

from experiment_pipeline.domain.table_batches import OutboxState, TableBatch

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def written(before: timedelta) -> TableBatch:
    return TableBatch(3, False, NOW - before, NOW - before)


@pytest.mark.parametrize(
    ("state", "due"),
    [
        (OutboxState(None, 0, has_published=False), False),
        (OutboxState(None, 0, has_published=True), True),  # published before there were tables
        (OutboxState(TableBatch(3, False, NOW), 1, has_published=True), True),  # interrupted
        (OutboxState(written(60 * SECOND), 0, has_published=True), False),
        (OutboxState(written(60 * SECOND), 1, has_published=True), True),
        (OutboxState(written(59 * SECOND), 1, has_published=True), False),
        (OutboxState(written(-60 * SECOND), 1, has_published=True), True),  # by a clock that was ahead
    ],
)
def test_write__is_due__where_something_waits_and_a_minute_has_passed(state: OutboxState, due: bool) -> None:
    assert state.is_due(NOW) is due
