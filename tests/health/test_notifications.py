"""The health of notifications: what was given up or lost is named, with how it is sent again."""

from dataclasses import replace
from datetime import UTC, datetime

from experiment_pipeline.domain.notifications import LEASE, Delivery, DeliveryState, Notification, TargetKind
from experiment_pipeline.health.finding import Severity
from experiment_pipeline.health.notifications import AFTER_ATTEMPTS, CHECK, judge_notifications
from tests.health.test_split import inputs

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MESSAGE = Notification("msg_1", "test", None, None, NOW)
WAITING = Delivery(1, "team", TargetKind.WEBHOOK, MESSAGE, DeliveryState.WAITING, 1, NOW, NOW, None, "It answered 500.")


def test_notifications__few_failures__pass_and_several_in_a_row_warn() -> None:
    assert judge_notifications([], NOW).passed
    assert judge_notifications([replace(WAITING, attempts=AFTER_ATTEMPTS - 1)], NOW).passed
    found = judge_notifications([replace(WAITING, attempts=AFTER_ATTEMPTS)], NOW)
    assert (found.code, found.severity) == ("notifications_undelivered", Severity.WARNING)
    assert "1 to team wait after several failures" in found.detail


def test_notifications__dead_and_lost__are_counted_by_target() -> None:
    dead, lost = replace(WAITING, id=2, state=DeliveryState.DEAD), replace(WAITING, id=3, state=DeliveryState.LOST)
    found = judge_notifications([dead, replace(dead, id=4), replace(lost, target="chat")], NOW)
    assert "1 to chat lost: whether they arrived is not known; 2 to team given up after the last" in found.detail
    assert found.evidence == {"waiting": 0, "dead": 2, "lost": 1, "deliveries": [2, 4, 3]}


def test_notifications__of_a_sender_that_died__are_lost_once_its_lease_is_over() -> None:
    sending = replace(
        WAITING, kind=TargetKind.APPRISE, state=DeliveryState.SENDING, next_attempt_at=NOW + LEASE, error=None
    )
    assert judge_notifications([sending], NOW).passed
    assert judge_notifications([sending], NOW + LEASE).evidence["lost"] == 1


def test_check__at_publication__judges_nothing() -> None:
    assert CHECK.judge(inputs({"control": 9, "b": 1})).code == "notifications_not_judged"
