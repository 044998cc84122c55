"""Pauses between attempts, leases, and what a wrong clock leaves behind."""

from datetime import UTC, datetime, timedelta

from experiment_pipeline.domain.notifications import (
    LEASE,
    LONGEST_DELAY,
    MOST_ATTEMPTS,
    Delivery,
    DeliveryState,
    Notification,
    TargetKind,
    is_due,
    retry_delay,
)

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def delivery(kind: TargetKind, until: datetime) -> Delivery:
    message = Notification("msg_1", "test", None, None, NOW)
    return Delivery(1, "target", kind, message, DeliveryState.SENDING, 1, until, NOW, None, None)


def test_retry_delay__grows_threefold_to_six_hours() -> None:
    delays = [retry_delay(attempts).total_seconds() for attempts in range(1, MOST_ATTEMPTS)]
    assert delays == [30, 90, 270, 810, 2_430, 7_290, 21_600, 21_600, 21_600]
    assert retry_delay(10**6) == LONGEST_DELAY


def test_is_due__at_the_moment_and_after_it__and_where_a_wrong_clock_set_it() -> None:
    assert not is_due(NOW + SECOND, NOW)
    assert is_due(NOW, NOW)
    assert is_due(NOW + LONGEST_DELAY + SECOND, NOW)


def test_state_at__of_an_interrupted_delivery__is_lost_or_waiting_once_the_lease_is_over() -> None:
    for kind, after in ((TargetKind.APPRISE, DeliveryState.LOST), (TargetKind.WEBHOOK, DeliveryState.WAITING)):
        assert delivery(kind, NOW + LEASE).state_at(NOW) is DeliveryState.SENDING
        assert delivery(kind, NOW).state_at(NOW) is after
        assert delivery(kind, NOW + LEASE + SECOND).state_at(NOW) is after, "a clock was ahead"
