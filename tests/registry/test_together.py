"""Exposures and results that are shown together are of one as-of and one data version (rules R5, R6)."""

from datetime import datetime

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW

EXPOSURES, RESULTS = Computation
LEASE = 5 * MINUTE


def land(registry: Registry, name: str, landed_at: datetime = NOW) -> int:
    """One committed batch of one object."""
    planned = registry.batches.plan_batch([LandedObject(name, "production", landed_at, 10)], NOW)
    registry.batches.commit_batch(planned.number, accepted=1, duplicates=0, rejected={}, problems={}, now=NOW)
    return planned.number


def refresh(registry: Registry, experiment: Experiment, name: str, at: datetime, *published: Computation) -> None:
    """A run that ends once it has published these computations."""
    run = registry.runs.open(experiment.id, name, at, LEASE)
    for computation in published:
        payload = {"of": name, "data_version": run.data_version}
        registry.computations.publish(
            Publication(run, computation, payload, code_version="1", computed_at=at, grace=HOUR)
        )
    registry.runs.release_lease(run)


def shown(registry: Registry, experiment: Experiment) -> list[object]:
    """The run that each payload is of, and which computation is newer."""
    both = registry.computations.get_together(experiment.id)
    names = [state.payload and state.payload["of"] for state in (both.exposures, both.results)]
    return [*names, both.newer]


def test_together__as_runs_end_early__is_of_the_last_run_that_both_are_of(
    registry: Registry, running: Experiment
) -> None:
    assert shown(registry, running) == [None, None, None]
    refresh(registry, running, "first", NOW, EXPOSURES)
    assert shown(registry, running) == ["first", None, None], "nothing stands beside it"
    refresh(registry, running, "second", NOW + MINUTE, RESULTS)
    assert shown(registry, running) == [None, "second", RESULTS], "they never agreed"
    refresh(registry, running, "third", NOW + 2 * MINUTE, EXPOSURES)
    assert shown(registry, running) == ["third", None, EXPOSURES]
    refresh(registry, running, "fourth", NOW + 3 * MINUTE, EXPOSURES, RESULTS)
    assert shown(registry, running) == ["fourth", "fourth", None]
    land(registry, "a")
    refresh(registry, running, "fifth", NOW + 4 * MINUTE, EXPOSURES)
    assert shown(registry, running) == ["fourth", "fourth", EXPOSURES]
    refresh(registry, running, "sixth", NOW + 5 * MINUTE, RESULTS)
    assert shown(registry, running) == ["fourth", "fourth", RESULTS]


def test_together__of_an_earlier_look__has_its_times_and_the_failures_of_now(
    registry: Registry, running: Experiment
) -> None:
    number = land(registry, "a")
    refresh(registry, running, "first", NOW, EXPOSURES, RESULTS)
    land(registry, "b")
    refresh(registry, running, "second", NOW + MINUTE, EXPOSURES)
    registry.computations.record_failure(running.id, RESULTS, NOW + 2 * MINUTE, "second")
    both = registry.computations.get_together(running.id)
    for state in (both.exposures, both.results):
        assert (state.as_of, state.data_version, state.computed_at) == (NOW, number, NOW)
        assert state.payload == {"of": "first", "data_version": number}
    assert both.results.last_error_at == NOW + 2 * MINUTE
    assert both.exposures.last_error_at is None


def test_open__where_one_computation_is_final__takes_its_data_version(registry: Registry, running: Experiment) -> None:
    number = land(registry, "a")
    refresh(registry, running, "first", NOW, EXPOSURES, RESULTS)
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW + MINUTE)
    registry.batches.record_scan(NOW + 2 * HOUR)
    refresh(registry, running, "last", NOW + 2 * HOUR, EXPOSURES)
    assert shown(registry, running) == ["first", "first", EXPOSURES]
    both = registry.computations.get_together(running.id)
    assert not both.exposures.is_final, "what is shown is not what is final"
    land(registry, "late", NOW + 3 * HOUR)
    refresh(registry, running, "other", NOW + 3 * HOUR, RESULTS)
    assert shown(registry, running) == ["last", "other", None]
    both = registry.computations.get_together(running.id)
    assert (both.results.data_version, both.results.is_final, both.exposures.is_final) == (number, True, True)


def test_open__where_the_other_has_read_a_newer_batch__goes_on_with_the_newest(
    registry: Registry, running: Experiment
) -> None:
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW + MINUTE)
    land(registry, "a")
    refresh(registry, running, "first", NOW + HOUR, RESULTS)
    registry.batches.record_scan(NOW + 2 * HOUR)
    old = registry.runs.open(running.id, "old", NOW + 2 * HOUR, LEASE, data_version=0)
    registry.computations.publish(
        Publication(old, EXPOSURES, {"of": "old"}, code_version="1", computed_at=NOW + 2 * HOUR, grace=HOUR)
    )
    registry.runs.release_lease(old)
    newest = land(registry, "b")
    assert registry.runs.open(running.id, "new", NOW + 3 * HOUR, LEASE).data_version == newest
