"""Running experiments without new events are told once, although no refresh comes that could."""

from datetime import timedelta

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.notifications.silence import write_silence
from experiment_pipeline.registry.registry import Registry
from tests.notifications.conftest import NOW, start, webhook

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def land(registry: Registry, days: int) -> None:
    at = NOW + days * DAY
    batch = registry.batches.plan_batch([LandedObject(f"object-{days}", "production", at, 10)], at)
    registry.batches.commit_batch(batch.number, accepted=1, duplicates=0, rejected={}, problems={}, now=at)


def test_silence__is_told_once_and_again_after_something_has_arrived(registry: Registry, running: Experiment) -> None:
    webhook(registry)
    start(registry, "pricing")
    registry.experiments.transition(running.id, ExperimentStatus.PAUSED, actor="test", now=NOW)
    assert write_silence(registry, NOW + 9 * DAY, DAY) == 0, "nothing has ever arrived"
    land(registry, 0)
    assert write_silence(registry, NOW + DAY, DAY) == 0
    assert write_silence(registry, NOW + DAY + SECOND, DAY) == write_silence(registry, NOW + 2 * DAY, DAY) == 1
    (told,) = registry.notifications.list()
    assert told.notification.experiment is not None
    assert told.notification.experiment.key == "pricing"
    assert told.notification.facts == {
        "reason": "no_new_events",
        "newest_landed_at": {"senders": "2026-03-02T12:00:00Z"},
    }
    land(registry, 3)
    assert write_silence(registry, NOW + 4 * DAY, DAY) == 0
    assert write_silence(registry, NOW + 5 * DAY, DAY) == 1
    assert len(registry.notifications.list()) == 2


def test_silence__without_a_target__is_not_looked_for(registry: Registry, running: Experiment) -> None:
    land(registry, 0)
    assert write_silence(registry, NOW + 9 * DAY, DAY) == 0
    assert running.status is ExperimentStatus.RUNNING
