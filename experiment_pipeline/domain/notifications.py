"""Notifications: what is told of an experiment, to which target, and what becomes of each delivery."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

FAILING_AFTER = 3  # failures in a row: the back-off of rule R4 has let a short disturbance pass by then
MOST_ATTEMPTS = 10  # with the delays below, the last one is about 21 hours after the first
FIRST_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(hours=6)
FACTOR = 3
LEASE = timedelta(minutes=2)  # of a delivery that is being sent; no attempt takes so long
MOST_PER_MINUTE = 30  # to one target: chat services refuse more
ERROR_LENGTH = 500


class NotificationEvent(StrEnum):
    """An event that targets may ask for, by the name that it has in manifests and payloads."""

    DECISION_REACHED = "decision_reached"
    SPLIT_BROKEN = "split_broken"
    GUARDRAIL_HARMED = "guardrail_harmed"
    REFRESH_FAILING = "refresh_failing"
    DATA_LATE = "data_late"
    EXPERIMENT_FINAL = "experiment_final"


class TargetKind(StrEnum):
    """The way a target is reached: a signed webhook, at least once; or a service of apprise, at most once."""

    WEBHOOK = "webhook"
    APPRISE = "apprise"


class DeliveryState(StrEnum):
    """The state of one notification to one target.

    `dead` was given up after the last attempt. `lost` is of apprise: it was marked as being sent, and whether it
    arrived is not known, so it is not sent a second time.
    """

    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"
    LOST = "lost"


OPEN = (DeliveryState.WAITING, DeliveryState.SENDING)
UNDELIVERED = (DeliveryState.DEAD, DeliveryState.LOST)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something of an experiment that is told once.

    Attributes:
        event: the kind of it.
        occasion: tells it from others of its kind and experiment; the same one is never told again.
        facts: JSON-ready, as `notifications.body_schema` describes them by event.
    """

    event: NotificationEvent
    occasion: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ExperimentNamed:
    """The experiment that a notification is about, as it was called when it was written."""

    id: int
    key: str
    name: str
    phase: int


@dataclass(frozen=True, slots=True)
class Notification:
    """A message about one experiment.

    Attributes:
        key: its id in payloads and its `Idempotency-Key`; the same in every attempt and to every target.
        event: one of `NotificationEvent`, or `test`.
        environment_key: of the experiment; None in a test.
        experiment: None in a test.
        created_at: when it was written, UTC.
        facts: JSON-ready.
    """

    key: str
    event: str
    environment_key: str | None
    experiment: ExperimentNamed | None
    created_at: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification on its way to one target.

    Attributes:
        id: names it on the command line.
        kind: of the target when the delivery was written: it decides whether an interrupted one is sent again.
        attempts: that were begun.
        next_attempt_at: of a waiting one; of one that is being sent, when its lease ends. UTC.
        attempted_at: when the last attempt began, UTC; None before the first.
        delivered_at: UTC; None unless it was delivered.
        error: of the last attempt; None where it worked.
    """

    id: int
    target: str
    kind: TargetKind
    notification: Notification
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime
    attempted_at: datetime | None
    delivered_at: datetime | None
    error: str | None

    def state_at(self, now: datetime) -> DeliveryState:
        """Return the state as of now: a delivery whose sender died is waiting again, or lost where it is of apprise."""
        if self.state is not DeliveryState.SENDING or is_leased(self.next_attempt_at, now):
            return self.state
        return DeliveryState.LOST if self.kind is TargetKind.APPRISE else DeliveryState.WAITING


def retry_delay(attempts: int) -> timedelta:
    """Return the pause after so many failed attempts: 30 s, three times as long after each, at most 6 h."""
    times: int = FACTOR ** max(0, min(attempts, MOST_ATTEMPTS) - 1)
    return min(FIRST_DELAY * times, LONGEST_DELAY)


def is_due(next_attempt_at: datetime, now: datetime) -> bool:
    """Whether a moment has come; one further ahead than the longest pause was set by a clock that was wrong."""
    return not now < next_attempt_at <= now + LONGEST_DELAY


def is_leased(until: datetime, now: datetime) -> bool:
    """Whether a sender may still be at work; a lease that ends further ahead than it lasts is of a wrong clock."""
    return now < until <= now + LEASE
