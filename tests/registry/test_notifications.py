"""The outbox: written with what it tells or not at all, and every delivery acquired by one sender."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.late_events import LateEvents
from experiment_pipeline.domain.notification_targets import Target, TargetDraft
from experiment_pipeline.domain.notifications import (
    FAILING_AFTER,
    LEASE,
    MOST_ATTEMPTS,
    DeliveryState,
    NotificationEvent,
    Occurrence,
    TargetKind,
    retry_delay,
)
from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.errors import Conflict, NotFound, Superseded
from experiment_pipeline.health.thresholds import SHIPPED_THRESHOLDS
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW

SHIP = {"decision": {"action": "ship", "treatment": "treatment", "rule": "7_primary_winning", "why": "It is better."}}
BROKEN = {"trustworthy": False, "srm": {}}


@pytest.fixture
def hook(registry: Registry) -> Target:
    return declare(registry, TargetKind.WEBHOOK)


def declare(registry: Registry, kind: TargetKind, **changes: Any) -> Target:
    secret = {"secret_env": "SECRET"} if kind is TargetKind.WEBHOOK else {}
    draft = TargetDraft(kind, url_env="URL", **{**secret, **changes})
    return registry.notification_targets.declare(kind.value, draft, actor=ACTOR, now=NOW)


def write(registry: Registry, of: Experiment, occasion: str = "") -> None:
    occurrence = Occurrence(NotificationEvent.EXPERIMENT_FINAL, occasion, {})
    registry.notifications.write(of.id, 1, [occurrence], now=NOW)


def events(registry: Registry) -> Sequence[str]:
    return [each.notification.event for each in registry.notifications.list()][::-1]


def publish(registry: Registry, of: Experiment, payload: dict[str, Any], hours: int) -> None:
    now = NOW + hours * HOUR
    run = registry.runs.open(of.id, f"run-{hours}", now, MINUTE)
    registry.computations.publish(Publication(run, Computation.RESULTS, payload, "1", now, timedelta(0)))
    registry.runs.release_lease(run)


def test_publish__writes_what_is_new_of_the_results_in_its_transaction(
    registry: Registry, running: Experiment, hook: Target
) -> None:
    publish(registry, running, SHIP, 1)
    publish(registry, running, SHIP, 2)
    publish(registry, running, {**SHIP, **BROKEN}, 3)
    assert events(registry) == ["decision_reached", "split_broken"]
    (newest, _) = registry.notifications.list()
    assert newest.target == hook.key
    assert newest.notification.experiment is not None
    assert newest.notification.experiment.key == running.key
    assert newest.notification.created_at == NOW + 3 * HOUR


def test_publish__that_is_refused__writes_nothing(registry: Registry, running: Experiment, hook: Target) -> None:
    slow = registry.runs.open(running.id, "slow", NOW, MINUTE)
    registry.runs.open(running.id, "fast", NOW + MINUTE, MINUTE)
    with pytest.raises(Superseded):
        registry.computations.publish(Publication(slow, Computation.RESULTS, SHIP, "1", NOW, HOUR))
    assert registry.notifications.acquire(hook, NOW) is None
    assert events(registry) == []


def test_publish__of_final_results_and_late_events_afterwards__are_told_once(
    registry: Registry, running: Experiment, hook: Target
) -> None:
    registry.batches.record_scan(NOW + HOUR)
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW + HOUR)
    run = registry.runs.open(running.id, "run", NOW + HOUR, MINUTE)
    published = Publication(run, Computation.RESULTS, {}, "1", NOW + HOUR, timedelta(0), findings=[])
    assert registry.computations.publish(published).is_final
    batch = registry.batches.plan_batch([LandedObject("late", "production", NOW + HOUR, 10)], NOW)
    registry.batches.commit_batch(batch.number, accepted=1, duplicates=0, rejected={}, problems={}, now=NOW)
    (final,) = registry.health.final_results()
    for number in (1, 2):
        assert registry.health.add_late_events(replace(final, counted_to=number - 1), number, LateEvents(2, 1, NOW))
    assert events(registry) == ["experiment_final", "data_late"]
    assert registry.notifications.list()[0].target == hook.key


def test_record_failure__several_in_a_row__is_told_once_until_a_refresh_works(
    registry: Registry, running: Experiment, hook: Target
) -> None:
    def fail(hours: int) -> None:
        for computation in Computation:  # both, as a run that fails in the first stage does
            registry.computations.record_failure(running.id, computation, NOW + hours * HOUR, f"run-{hours}")

    for hours in range(FAILING_AFTER + 2):
        fail(hours)
    assert events(registry) == ["refresh_failing"]
    publish(registry, running, {}, 20)
    for hours in range(30, 30 + FAILING_AFTER):
        fail(hours)
    assert events(registry) == ["refresh_failing"] * 2
    assert registry.notifications.acquire(hook, NOW + 30 * HOUR) is not None


def test_write__filters__decide_when_it_is_written(registry: Registry, running: Experiment) -> None:
    write(registry, running, "nobody listens")
    declare(registry, TargetKind.WEBHOOK, events=(NotificationEvent.DATA_LATE,))
    declare(registry, TargetKind.APPRISE, experiments=(f"{running.key}*",))
    write(registry, running, "one listens")
    (only,) = registry.notifications.list()
    assert (only.target, only.kind) == ("apprise", TargetKind.APPRISE)


def test_acquire__is_of_one_sender_until_the_lease_ends(registry: Registry, running: Experiment, hook: Target) -> None:
    write(registry, running)
    first = registry.notifications.acquire(hook, NOW)
    assert first is not None
    assert (first.state, first.attempts) == (DeliveryState.SENDING, 1)
    assert registry.notifications.acquire(hook, NOW) is None
    second = registry.notifications.acquire(hook, NOW + LEASE)
    assert second is not None
    assert (second.notification.key, second.attempts) == (first.notification.key, 2)
    registry.notifications.close_delivered(first, NOW + LEASE)  # the first sender was only slow
    assert registry.notifications.list()[0].state is DeliveryState.SENDING
    registry.notifications.close_delivered(second, NOW + LEASE)
    assert registry.notifications.list()[0].delivered_at == NOW + LEASE


def test_acquire__of_apprise_that_was_interrupted__is_lost_and_the_next_one_goes(
    registry: Registry, running: Experiment
) -> None:
    chat = declare(registry, TargetKind.APPRISE)
    write(registry, running, "first")
    write(registry, running, "second")
    first = registry.notifications.acquire(chat, NOW)
    second = registry.notifications.acquire(chat, NOW + LEASE)
    assert first is not None
    assert second is not None
    assert first.id < second.id
    assert [each.state for each in registry.notifications.list()] == [DeliveryState.SENDING, DeliveryState.LOST]


def test_acquire__webhook_whose_sender_dies_every_time__is_given_up(
    registry: Registry, running: Experiment, hook: Target
) -> None:
    write(registry, running)
    for attempt in range(MOST_ATTEMPTS):
        assert registry.notifications.acquire(hook, NOW + attempt * LEASE) is not None
    assert registry.notifications.acquire(hook, NOW + MOST_ATTEMPTS * LEASE) is None
    assert registry.notifications.list()[0].state is DeliveryState.DEAD


def test_close_failed__waits_and_is_dead_after_the_last_attempt(
    registry: Registry, running: Experiment, hook: Target
) -> None:
    write(registry, running)
    now = NOW
    for attempt in range(1, MOST_ATTEMPTS + 1):
        delivery = registry.notifications.acquire(hook, now)
        assert delivery is not None
        state = registry.notifications.close_failed(delivery, "It answered 500.", now)
        assert state is (DeliveryState.DEAD if attempt == MOST_ATTEMPTS else DeliveryState.WAITING)
        assert registry.notifications.acquire(hook, now) is None
        now += retry_delay(attempt)
    assert registry.notifications.acquire(hook, now) is None


def test_send_again__of_one_that_is_dead__waits_and_is_audited(
    registry: Registry, running: Experiment, hook: Target
) -> None:
    write(registry, running)
    delivery = registry.notifications.acquire(hook, NOW)
    assert delivery is not None
    with pytest.raises(Conflict, match="Delivery 1 is sending: only one that is dead or lost"):
        registry.notifications.send_again(delivery.id, actor=ACTOR, now=NOW)
    registry.notifications.close_failed(replace(delivery, attempts=1, kind=TargetKind.APPRISE), "", NOW)
    assert registry.notifications.send_again(delivery.id, actor=ACTOR, now=NOW, dry_run=True).attempts == 0
    assert registry.notifications.list()[0].state is DeliveryState.LOST
    registry.notifications.send_again(delivery.id, actor=ACTOR, now=NOW + HOUR)
    (logged,) = registry.audit.list(subject="notification_delivery")
    assert (logged.action, logged.before) == ("send_again", {"state": "lost", "attempts": 1})
    again = registry.notifications.acquire(hook, NOW + HOUR)
    assert again is not None
    assert again.notification.key == delivery.notification.key
    with pytest.raises(NotFound, match="No delivery 7"):
        registry.notifications.send_again(7, actor=ACTOR, now=NOW)


def test_health__names_what_was_lost__also_of_findings_that_an_older_version_stored(
    registry: Registry, running: Experiment
) -> None:
    chat = declare(registry, TargetKind.APPRISE)
    run = registry.runs.open(running.id, "run", NOW, MINUTE)
    registry.computations.publish(Publication(run, Computation.RESULTS, {}, "1", NOW, HOUR, findings=[]))
    write(registry, running)
    registry.notifications.acquire(chat, NOW)
    codes = []
    for now in (NOW, NOW + LEASE):
        live = registry.health.live(running, now, SHIPPED_THRESHOLDS)
        assert live is not None
        codes.append([each["code"] for each in live.findings])
    assert codes == [["notifications_arrive"], ["notifications_undelivered"]]


def test_restored_registry__sends_nothing_to_apprise_that_it_may_have_sent_and_keeps_webhooks(
    registry: Registry, running: Experiment, hook: Target
) -> None:
    declare(registry, TargetKind.APPRISE)
    write(registry, running)
    assert registry.notifications.targets_that_wait() == {hook.key, "apprise"}
    registry.notifications.lose_unsent_messages()
    states = {each.target: each.state for each in registry.notifications.list()}
    assert states == {hook.key: DeliveryState.WAITING, "apprise": DeliveryState.LOST}
    assert registry.notifications.targets_that_wait() == {hook.key}


def test_delete_delivered__keeps_what_is_dead_lost_or_waits(
    registry: Registry, running: Experiment, hook: Target
) -> None:
    write(registry, running, "delivered")
    write(registry, running, "waits")
    delivery = registry.notifications.acquire(hook, NOW)
    assert delivery is not None
    registry.notifications.close_delivered(delivery, NOW)
    assert registry.notifications.delete_delivered(NOW) == 0
    assert registry.notifications.delete_delivered(NOW + HOUR) == 1
    (left,) = registry.notifications.list()
    assert left.state is DeliveryState.WAITING
    assert registry.notifications.count_by_state() == {(hook.key, DeliveryState.WAITING): 1}
