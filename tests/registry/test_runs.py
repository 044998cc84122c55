"""Runs: leases that never overlap, and what a run looks at for good (rules R5, R7)."""

from datetime import timedelta

import pytest

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import ClaimSource, Computation, Publication, RefreshRun
from experiment_pipeline.errors import Final, NotFound, NotStarted
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW, draft

LEASE = 5 * MINUTE


def land(registry: Registry, name: str) -> int:
    """One committed batch of one object."""
    planned = registry.batches.plan_batch([LandedObject(name, "production", NOW, 10)], NOW)
    registry.batches.commit_batch(planned.number, accepted=1, duplicates=0, rejected={}, problems={}, now=NOW)
    return planned.number


def test_open__first_open__fixes_now_and_the_newest_batch(registry: Registry, running: Experiment) -> None:
    number = land(registry, "a")
    now = NOW + timedelta(microseconds=1_234_567)
    run = registry.runs.open(running.id, "run", now, LEASE)
    assert run == RefreshRun("run", running.id, NOW + timedelta(milliseconds=1_234), number)


def test_open__again_by_the_same_run__looks_at_the_same(registry: Registry, running: Experiment) -> None:
    run = registry.runs.open(running.id, "run", NOW, LEASE)
    land(registry, "later")
    assert registry.runs.open(running.id, "run", NOW + HOUR, LEASE, as_of=NOW + HOUR, data_version=9) == run


def test_open__subset_of_stored_artifacts__inherits_what_they_looked_at(
    registry: Registry, running: Experiment
) -> None:
    land(registry, "a")
    run = registry.runs.open(running.id, "run", NOW + HOUR, LEASE, as_of=NOW + MINUTE, data_version=0)
    assert (run.as_of, run.data_version) == (NOW + MINUTE, 0)


def test_open__after_completion__looks_no_further_than_the_end(registry: Registry, running: Experiment) -> None:
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW + HOUR)
    assert registry.runs.open(running.id, "run", NOW + 9 * HOUR, LEASE).as_of == NOW + HOUR


def test_open__not_started_or_unknown__is_refused(registry: Registry) -> None:
    created = registry.experiments.create("production", draft(), actor=ACTOR, now=NOW)
    with pytest.raises(NotStarted):
        registry.runs.open(created.id, "run", NOW, LEASE)
    with pytest.raises(NotFound):
        registry.runs.open(404, "run", NOW, LEASE)


def test_open__everything_final__is_refused(registry: Registry, running: Experiment) -> None:
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW)
    run = registry.runs.open(running.id, "run", NOW, LEASE)
    registry.batches.record_scan(NOW)
    registry.computations.publish(
        Publication(run, Computation.EXPOSURES, {}, code_version="1", computed_at=NOW, grace=timedelta(0))
    )
    registry.runs.open(running.id, "run", NOW, LEASE)
    registry.computations.publish(
        Publication(run, Computation.RESULTS, {}, code_version="1", computed_at=NOW, grace=timedelta(0))
    )
    with pytest.raises(Final):
        registry.runs.open(running.id, "run", NOW, LEASE)


def test_open__that_nobody_claimed__is_a_claim_of_the_ui(registry: Registry, running: Experiment) -> None:
    registry.runs.open(running.id, "run", NOW, LEASE)
    assert [(claim.source, claim.served_by) for claim in registry.claims.list_waiting()] == [
        (ClaimSource.UI, "run")
    ] * 2


@pytest.mark.parametrize("opened", [True, False])
def test_close_dead_run__records_what_was_left_undone_once_and_frees_the_experiment(
    registry: Registry, running: Experiment, opened: bool
) -> None:
    registry.dispatch.claim_automatically({(running.id, 1): ClaimSource.SCHEDULE}, NOW)
    registry.claims.assign_run_key({"key": [claim.id for claim in registry.claims.list_waiting()]})
    if opened:
        registry.runs.open(running.id, "run", NOW, HOUR)
    undone = registry.runs.close_dead_run("run", "key", NOW + MINUTE)
    assert sorted(undone) == sorted((running.id, computation) for computation in Computation)
    assert registry.runs.close_dead_run("run", "key", NOW + 2 * MINUTE) == []
    state = registry.computations.get(running.id, Computation.RESULTS)
    assert (state.failures, state.last_error_at) == (1, NOW + MINUTE)
    assert registry.claims.list_waiting() == []
    registry.runs.open(running.id, "next", NOW + MINUTE, LEASE)


def test_close_dead_run__of_a_run_that_published__records_nothing(registry: Registry, running: Experiment) -> None:
    run = registry.runs.open(running.id, "run", NOW, LEASE)
    for computation in Computation:
        registry.computations.publish(Publication(run, computation, {}, code_version="1", computed_at=NOW, grace=HOUR))
    assert registry.runs.close_dead_run("run", None, NOW) == []
    assert registry.computations.get(running.id, Computation.RESULTS).failures == 0
