"""Whether notifications about the experiment arrive at their targets: judged again whenever it is read."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from experiment_pipeline.domain.notifications import Delivery, DeliveryState
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs

MOST_LISTED = 10
AFTER_ATTEMPTS = 3  # fewer failures in a row are a short disturbance of the target


def judge_notifications(undelivered: Sequence[Delivery], now: datetime) -> Finding:
    """Return a warning that names every target where notifications did not arrive, and how they are sent again.

    Args:
        undelivered: the experiment's deliveries that have not arrived.
        now: UTC.
    """
    states = [(each, each.state_at(now)) for each in undelivered]
    wrong = [
        (each, state)
        for each, state in states
        if state in (DeliveryState.DEAD, DeliveryState.LOST) or (each.error and each.attempts >= AFTER_ATTEMPTS)
    ]
    evidence = {
        "waiting": sum(state in (DeliveryState.WAITING, DeliveryState.SENDING) for _, state in states),
        "dead": sum(state is DeliveryState.DEAD for _, state in states),
        "lost": sum(state is DeliveryState.LOST for _, state in states),
        "deliveries": [each.id for each, _ in wrong][:MOST_LISTED],
    }
    if not wrong:
        detail = "No notification about the experiment was lost or given up."
        return Finding("notifications_arrive", Severity.OK, "Notifications arrive", detail, evidence)
    counts = Counter((each.target, state) for each, state in wrong)
    words = {
        DeliveryState.DEAD: "given up after the last attempt",
        DeliveryState.LOST: "lost: whether they arrived is not known",
    }
    told = "; ".join(
        f"{count} to {printable(target)} {words.get(state, 'wait after several failures')}"
        for (target, state), count in sorted(counts.items())
    )
    detail = (
        f"Notifications that did not arrive: {told}. `experiment-pipeline notifications list` says why, "
        "`notifications test` tries a target, and `notifications send-again` sends one again."
    )
    return Finding("notifications_undelivered", Severity.WARNING, "Notifications did not arrive", detail, evidence)


def _judge(_: HealthInputs) -> Finding:
    """Return that deliveries are judged when the findings are read: a notification of these results is not sent yet."""
    detail = "Deliveries of notifications are judged whenever the findings are read."
    evidence = {"waiting": 0, "dead": 0, "lost": 0, "deliveries": []}
    return Finding("notifications_not_judged", Severity.OK, "Notifications not judged", detail, evidence)


CHECK = HealthCheck(
    name="notifications_arrive",
    artifact="experiment_results",
    description="No notification about the experiment was lost, or given up after the last attempt.",
    judge=_judge,
)
