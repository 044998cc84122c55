"""Health findings are stored with results, and the neighbours of an experiment on its flag."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.drafts import AttachmentDraft, MetricDraft
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.late_events import FinalResults, LateEvents
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import ExpectedDirection
from experiment_pipeline.domain.refresh import Computation, Publication, StoredHealth
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.times import iso_utc
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW, draft

FINDING: dict[str, Any] = {"check": "c", "code": "fine", "severity": "ok", "title": "", "detail": "", "evidence": {}}


def test_findings__published_with_results__replace_those_before(registry: Registry, running: Experiment) -> None:
    assert registry.health.get(running.id) is None
    run = registry.runs.open(running.id, "run", NOW + HOUR, MINUTE)
    publication = Publication(run, Computation.RESULTS, {}, "1", NOW + HOUR, HOUR, findings=[FINDING])
    registry.computations.publish(publication)
    registry.computations.publish(replace(publication, findings=[{**FINDING, "severity": "error"}, FINDING]))
    registry.computations.publish(replace(publication, computation=Computation.EXPOSURES, findings=None))
    stored = registry.health.get(running.id)
    assert stored == StoredHealth(NOW + HOUR, 0, [{**FINDING, "severity": "error"}, FINDING])


def test_late_events__that_somebody_else_has_counted__are_not_added(registry: Registry, running: Experiment) -> None:
    registry.batches.record_scan(NOW + HOUR)
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW + HOUR)
    run = registry.runs.open(running.id, "run", NOW + HOUR, MINUTE)
    publication = Publication(run, Computation.RESULTS, {}, "1", NOW + HOUR, timedelta(0), findings=[FINDING])
    assert registry.computations.publish(publication).is_final
    assert registry.health.final_results() == []
    batch = registry.batches.plan_batch([LandedObject("late", "production", NOW + HOUR, 10)], NOW)
    registry.batches.commit_batch(batch.number, accepted=1, duplicates=0, rejected={}, problems={}, now=NOW)
    (final,) = registry.health.final_results()
    assert (final.window, final.counted_to) == (Window(NOW, NOW + HOUR), 0)
    late = LateEvents(2, 1, NOW + HOUR)
    assert registry.health.add_late_events(final, batch.number, late)
    assert not registry.health.add_late_events(final, batch.number, late)
    assert registry.health.final_results() == []
    again = replace(final, counted_to=batch.number)
    assert registry.health.add_late_events(again, batch.number + 1, LateEvents(1, 0, NOW))
    stored = registry.health.get(running.id)
    assert stored is not None
    assert stored.findings[0] == FINDING
    assert stored.findings[1]["evidence"] == {
        "exposures": 3, "metric_events": 1, "last_landed_at": iso_utc(NOW + HOUR), "removed": 0,
    }  # fmt: skip


def test_metric_events__of_every_version__are_all_that_the_metrics_read(registry: Registry) -> None:
    steps = [{"event": "viewed"}, {"event": "ordered"}]
    declared = [
        MetricDraft("funnel", {"version": 2, "statistic": "funnel", "steps": steps}),
        MetricDraft("purchase", {"version": 1, "event": "purchase"}, Aggregation.OCCURRENCE),
    ]
    for each in declared:
        registry.metrics.create("production", each, actor=ACTOR, now=NOW)
    attached = tuple(AttachmentDraft(name, ExpectedDirection.INCREASE) for name in ("purchase", "funnel"))
    created = registry.experiments.create("production", draft(metrics=attached), actor=ACTOR, now=NOW)
    results = FinalResults(created.id, "", "", "production", "", Window(NOW, NOW), 0)
    assert registry.health.metric_events([results]) == [{"purchase", "viewed", "ordered"}]


def test_neighbours__of_an_experiment__are_those_before_and_after_it_on_its_flag(registry: Registry) -> None:
    created = []
    for number in range(3):
        at = NOW + number * HOUR
        each = registry.experiments.create("production", draft(key=f"run_{number}"), actor=ACTOR, now=at)
        registry.experiments.transition(each.id, ExperimentStatus.RUNNING, actor=ACTOR, now=at)
        ended = registry.experiments.transition(each.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=at + MINUTE)
        created.append(ended)
    other = registry.experiments.create("production", draft("another_flag"), actor=ACTOR, now=NOW)
    assert registry.health.neighbours(created[1]) == (NOW + MINUTE, NOW + 2 * HOUR)
    assert registry.health.neighbours(created[0]) == (None, NOW + HOUR)
    started = registry.experiments.transition(other.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW + 9 * HOUR)
    assert registry.health.neighbours(started) == (None, None)
