"""Planned looks are stored with the payload that is the look, or not at all (rule C7)."""

from datetime import timedelta

import pytest

from experiment_pipeline.domain.drafts import MetricDraft
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.planned_looks import PlannedLook, PlannedLookOf
from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.errors import Superseded
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW


@pytest.fixture
def looks(registry: Registry) -> list[PlannedLookOf]:
    metric = registry.metrics.create(
        "production",
        MetricDraft("bought", {"version": 1, "event": "buy"}, Aggregation.OCCURRENCE),
        actor=ACTOR,
        now=NOW,
    )
    return [
        PlannedLookOf(
            metric.id, "treatment", PlannedLook(number, NOW + number * HOUR, number / 3, boundary, z, crossed)
        )
        for number, boundary, z, crossed in ((1, None, 0.1 + 0.2, False), (3, 1.96, -2.5, True))
    ]


def publication(
    registry: Registry, subject: Experiment, run_id: str, after: timedelta, *looks: PlannedLookOf
) -> Publication:
    run = registry.runs.open(subject.id, run_id, NOW + after, 5 * MINUTE)
    return Publication(
        run, Computation.RESULTS, {}, code_version="1", computed_at=run.as_of, grace=HOUR, planned_looks=looks
    )


def test_publish__planned_looks__are_listed_as_they_were_stored__c7(
    registry: Registry, running: Experiment, looks: list[PlannedLookOf]
) -> None:
    assert registry.planned_looks.list(running.id) == ()
    for hour, look in enumerate(looks):
        registry.computations.publish(publication(registry, running, f"run-{hour}", hour * HOUR, look))
    assert registry.planned_looks.list(running.id) == tuple(looks)
    assert registry.planned_looks.list(running.id + 1) == ()


def test_publish__that_is_refused__stores_no_planned_look__c7(
    registry: Registry, running: Experiment, looks: list[PlannedLookOf]
) -> None:
    slow = publication(registry, running, "slow", timedelta(), *looks)
    registry.computations.publish(publication(registry, running, "fast", HOUR))
    with pytest.raises(Superseded):
        registry.computations.publish(slow)
    assert registry.planned_looks.list(running.id) == ()
