"""Health findings are stored with results, and the neighbours of an experiment on its flag."""

from dataclasses import replace
from typing import Any

from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import Computation, Publication, StoredHealth
from experiment_pipeline.registry.registry import Registry
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
