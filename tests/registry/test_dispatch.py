"""What automation knows of all experiments, and claims by itself (rules R4, R6)."""

from datetime import timedelta

from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import ClaimSource, Computation, Publication
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW, draft

LEASE = 5 * MINUTE


def only_candidate(registry: Registry) -> Experiment:
    (candidate,) = registry.dispatch.candidates(NOW)
    return candidate.experiment


def test_candidates__running_experiment__comes_with_both_states_and_its_newest_batch(
    registry: Registry, running: Experiment
) -> None:
    (candidate,) = registry.dispatch.candidates(NOW)
    assert candidate.experiment == running
    assert {state.computation for state in candidate.states} == set(Computation)
    assert (candidate.newest_batch, candidate.waits) == (0, False)


def test_candidates__paused_and_deleted_experiments__are_left_alone(registry: Registry, running: Experiment) -> None:
    registry.experiments.create("production", draft("another"), actor=ACTOR, now=NOW)  # not started
    assert only_candidate(registry) == running
    registry.experiments.transition(running.id, ExperimentStatus.PAUSED, actor=ACTOR, now=NOW)
    assert registry.dispatch.candidates(NOW) == []
    registry.experiments.delete(running.id, actor=ACTOR, now=NOW)
    assert registry.dispatch.candidates(NOW) == []


def test_candidates__completed_experiment__stays_until_it_is_final(registry: Registry, running: Experiment) -> None:
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW)
    assert only_candidate(registry).status is ExperimentStatus.COMPLETED
    registry.batches.record_scan(NOW)
    run = registry.runs.open(running.id, "run", NOW, LEASE)
    for computation in Computation:
        registry.computations.publish(
            Publication(run, computation, {}, code_version="1", computed_at=NOW, grace=timedelta(0))
        )
    assert registry.dispatch.candidates(NOW) == []


def test_claim_automatically__makes_the_experiment_wait_and_starts_no_throttle(
    registry: Registry, running: Experiment
) -> None:
    registry.dispatch.claim_automatically({(running.id, 1): ClaimSource.SCHEDULE}, NOW)
    assert [claim.computation for claim in registry.claims.list_waiting()] == list(Computation)
    assert registry.dispatch.candidates(NOW)[0].waits
    assert registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW, HOUR).source is ClaimSource.API
