"""Late events of one experiment, added batch by batch."""

from datetime import UTC, datetime

import pytest

from experiment_pipeline.domain.late_events import LateEvents

EARLIER, LATER = datetime(2026, 3, 9, 10, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC)


def test_late_events__of_two_batches__are_added_and_the_last_arrival_stays() -> None:
    assert LateEvents(1, 2, LATER) + LateEvents(10, 20, EARLIER) == LateEvents(11, 22, LATER)
    assert LateEvents() + LateEvents(0, 1, EARLIER) == LateEvents(0, 1, EARLIER)
    assert LateEvents() + LateEvents() == LateEvents()
    assert LateEvents(removed=1) + LateEvents(1, removed=2) == LateEvents(1, removed=3)


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (LateEvents(), False),
        (LateEvents(1, 0, LATER), True),
        (LateEvents(0, 1, LATER), True),
        (LateEvents(removed=1), True),
    ],
)
def test_late_events__are_there__where_any_is_counted(late: LateEvents, expected: bool) -> None:
    assert bool(late) is expected
