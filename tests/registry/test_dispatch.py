"""What automation knows of all experiments, and what becomes of claims whose run dies (rules R2-R4, R6, R7)."""

from datetime import timedelta

import pytest

from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import ClaimSource, Computation
from experiment_pipeline.errors import Leased
from experiment_pipeline.registry.repository import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW, draft

LEASE = 5 * MINUTE


def only_candidate(registry: Registry) -> Experiment:
    (candidate,) = registry.candidates(NOW)
    return candidate.experiment


def test_candidates__running_experiment__comes_with_both_states_and_its_newest_batch(
    registry: Registry, running: Experiment
) -> None:
    (candidate,) = registry.candidates(NOW)
    assert candidate.experiment == running
    assert {state.computation for state in candidate.states} == set(Computation)
    assert (candidate.newest_batch, candidate.waits) == (0, False)


def test_candidates__paused_and_deleted_experiments__are_left_alone(registry: Registry, running: Experiment) -> None:
    registry.create_experiment("production", draft("another"), actor=ACTOR, now=NOW)  # not started
    assert only_candidate(registry) == running
    registry.move_experiment(running.id, ExperimentStatus.PAUSED, actor=ACTOR, now=NOW)
    assert registry.candidates(NOW) == []
    registry.delete_experiment(running.id, actor=ACTOR, now=NOW)
    assert registry.candidates(NOW) == []


def test_candidates__completed_experiment__stays_until_it_is_final(registry: Registry, running: Experiment) -> None:
    registry.move_experiment(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW)
    assert only_candidate(registry).status is ExperimentStatus.COMPLETED
    registry.record_scan(NOW)
    run = registry.open_run(running.id, "run", NOW, LEASE)
    for computation in Computation:
        registry.publish(run, computation, {}, code_version="1", computed_at=NOW, grace=timedelta(0))
    assert registry.candidates(NOW) == []


def test_claim_automatically__makes_the_experiment_wait_and_starts_no_throttle(
    registry: Registry, running: Experiment
) -> None:
    registry.claim_automatically({running.id: ClaimSource.SCHEDULE}, NOW)
    assert [claim.computation for claim in registry.waiting_claims()] == list(Computation)
    assert registry.candidates(NOW)[0].waits
    assert registry.claim(running.id, Computation.RESULTS, ClaimSource.API, NOW, HOUR).source is ClaimSource.API


def test_hand_over__a_claim_keeps_the_first_run_it_was_handed_to(registry: Registry, running: Experiment) -> None:
    claim = registry.claim(running.id, Computation.RESULTS, ClaimSource.API, NOW, HOUR)
    registry.hand_over({"first": [claim.id]})
    registry.hand_over({"second": [claim.id]})
    assert registry.waiting_claims()[0].run_key == "first"


def test_open_run__that_nobody_claimed__is_a_claim_of_the_ui(registry: Registry, running: Experiment) -> None:
    registry.open_run(running.id, "run", NOW, LEASE)
    assert [(claim.source, claim.served_by) for claim in registry.waiting_claims()] == [(ClaimSource.UI, "run")] * 2


@pytest.mark.parametrize("opened", [True, False])
def test_bury_run__records_what_was_left_undone_once_and_frees_the_experiment(
    registry: Registry, running: Experiment, opened: bool
) -> None:
    registry.claim_automatically({running.id: ClaimSource.SCHEDULE}, NOW)
    registry.hand_over({"key": [claim.id for claim in registry.waiting_claims()]})
    if opened:
        registry.open_run(running.id, "run", NOW, HOUR)
    undone = registry.bury_run("run", "key", NOW + MINUTE)
    assert sorted(undone) == sorted((running.id, computation) for computation in Computation)
    assert registry.bury_run("run", "key", NOW + 2 * MINUTE) == []
    state = registry.computation(running.id, Computation.RESULTS)
    assert (state.failures, state.last_error_at) == (1, NOW + MINUTE)
    assert registry.waiting_claims() == []
    registry.open_run(running.id, "next", NOW + MINUTE, LEASE)


def test_bury_run__of_a_run_that_published__records_nothing(registry: Registry, running: Experiment) -> None:
    run = registry.open_run(running.id, "run", NOW, LEASE)
    for computation in Computation:
        registry.publish(run, computation, {}, code_version="1", computed_at=NOW, grace=HOUR)
    assert registry.bury_run("run", None, NOW) == []
    assert registry.computation(running.id, Computation.RESULTS).failures == 0


def test_refuse__closes_the_claims_and_stamps_no_failure(registry: Registry, running: Experiment) -> None:
    registry.claim_automatically({running.id: ClaimSource.SCHEDULE}, NOW)
    registry.open_run(running.id, "run", NOW, LEASE)
    registry.refuse(running.id, "run", None, tuple(Computation), NOW)
    assert registry.waiting_claims() == []
    assert registry.computation(running.id, Computation.RESULTS).last_error_at is None


def test_give_back__claims_of_a_run_that_found_the_experiment_held__wait_for_another(
    registry: Registry, running: Experiment
) -> None:
    registry.open_run(running.id, "holder", NOW, LEASE)
    claim = registry.claim(running.id, Computation.RESULTS, ClaimSource.API, NOW, HOUR)
    registry.hand_over({"key": [claim.id]})
    with pytest.raises(Leased):
        registry.open_run(running.id, "late", NOW, LEASE)
    registry.give_back(running.id, "key")
    assert [each.run_key for each in registry.waiting_claims() if each.id == claim.id] == [None]
