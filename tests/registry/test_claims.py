"""Claims: the throttle, the order of refusals, and what closes them (rule R2)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import ClaimSource, Computation, Publication
from experiment_pipeline.errors import Final, Leased, NotFound, NotStarted, Throttled
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW, draft

INTERVAL = 5 * MINUTE
BOTH = pytest.mark.parametrize("computation", list(Computation))


@BOTH
def test_create__before_the_start__is_refused(registry: Registry, computation: Computation) -> None:
    created = registry.experiments.create("production", draft(), actor=ACTOR, now=NOW)
    with pytest.raises(NotStarted, match=f"^Cannot refresh {computation} before the experiment starts.$"):
        registry.claims.create(created.id, computation, ClaimSource.API, NOW, INTERVAL)


def test_create__within_interval__refuses_with_the_time_left(registry: Registry, running: Experiment) -> None:
    registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW, INTERVAL)
    with pytest.raises(Throttled, match=r"^A refresh was requested recently\. Try again later\.$") as refused:
        registry.claims.create(running.id, Computation.RESULTS, ClaimSource.CLI, NOW + 2 * MINUTE, INTERVAL)
    assert refused.value.retry_after == 3 * MINUTE
    assert registry.computations.get(running.id, Computation.RESULTS).refresh_requested_at == NOW


def test_create__at_the_interval__is_accepted(registry: Registry, running: Experiment) -> None:
    first = registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW, INTERVAL)
    second = registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW + INTERVAL, INTERVAL)
    assert second.id > first.id


def test_create__of_the_other_computation__has_a_throttle_of_its_own(registry: Registry, running: Experiment) -> None:
    registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW, INTERVAL)
    registry.claims.create(running.id, Computation.EXPOSURES, ClaimSource.API, NOW, INTERVAL)


@pytest.mark.parametrize("source", [ClaimSource.SCHEDULE, ClaimSource.COMPLETION, ClaimSource.UI])
def test_create__automatic__neither_waits_for_the_throttle_nor_starts_it(
    registry: Registry, running: Experiment, source: ClaimSource
) -> None:
    registry.claims.create(running.id, Computation.RESULTS, source, NOW, INTERVAL)
    assert registry.computations.get(running.id, Computation.RESULTS).refresh_requested_at is None
    registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW, INTERVAL)
    registry.claims.create(running.id, Computation.RESULTS, source, NOW, INTERVAL)


@BOTH
def test_create__once_final__is_refused_before_the_throttle(
    registry: Registry, running: Experiment, computation: Computation
) -> None:
    registry.claims.create(running.id, computation, ClaimSource.API, NOW, INTERVAL)
    ended = NOW + HOUR
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=ended)
    registry.batches.record_scan(ended)
    run = registry.runs.open(running.id, "run", ended, HOUR)
    registry.computations.publish(
        Publication(run, computation, {}, code_version="1", computed_at=ended, grace=timedelta(0))
    )
    with pytest.raises(Final, match=f"^{computation.capitalize()} are final for this completed experiment.$"):
        registry.claims.create(running.id, computation, ClaimSource.API, NOW, INTERVAL)


def test_create__unknown_or_deleted_experiment__is_not_found(registry: Registry, running: Experiment) -> None:
    registry.experiments.transition(running.id, ExperimentStatus.PAUSED, actor=ACTOR, now=NOW)
    registry.experiments.delete(running.id, actor=ACTOR, now=NOW)
    for unknown in (running.id, 404, 2**40, -1):
        with pytest.raises(NotFound):
            registry.claims.create(unknown, Computation.RESULTS, ClaimSource.API, NOW, INTERVAL)


def test_list_waiting__of_several_sources__users_come_first(registry: Registry, running: Experiment) -> None:
    scheduled = registry.claims.create(running.id, Computation.RESULTS, ClaimSource.SCHEDULE, NOW, INTERVAL)
    asked = registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW + MINUTE, INTERVAL)
    assert registry.claims.list_waiting() == [asked, scheduled]
    assert registry.claims.list_waiting(running.id) == [asked, scheduled]
    assert registry.claims.list_waiting(running.id + 1) == []


def test_close_published__claims_from_before_the_run__are_served_and_later_ones_wait(
    registry: Registry, running: Experiment
) -> None:
    registry.claims.create(running.id, Computation.RESULTS, ClaimSource.SCHEDULE, NOW, INTERVAL)
    run = registry.runs.open(running.id, "run", NOW, HOUR)
    assert [claim.served_by for claim in registry.claims.list_waiting()] == ["run"]
    late = registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW, INTERVAL)
    registry.computations.publish(
        Publication(run, Computation.RESULTS, {}, code_version="1", computed_at=NOW, grace=HOUR)
    )
    assert registry.claims.list_waiting() == [late]


def test_close_failed__claims_that_the_run_took_on__are_closed(registry: Registry, running: Experiment) -> None:
    registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW, INTERVAL)
    registry.runs.open(running.id, "run", NOW, HOUR)
    late = registry.claims.create(running.id, Computation.RESULTS, ClaimSource.SCHEDULE, NOW, INTERVAL)
    registry.computations.record_failure(running.id, Computation.RESULTS, NOW, "run")
    assert registry.claims.list_waiting() == [late]


def test_close_all__deleted_experiment_with_waiting_claims__nobody_waits_any_more(
    registry: Registry, running: Experiment
) -> None:
    registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW, INTERVAL)
    registry.experiments.transition(running.id, ExperimentStatus.PAUSED, actor=ACTOR, now=NOW)
    registry.experiments.delete(running.id, actor=ACTOR, now=NOW)
    assert registry.claims.list_waiting() == []


def test_assign_run_key__a_claim_keeps_the_first_run_it_was_assigned_to(
    registry: Registry, running: Experiment
) -> None:
    claim = registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW, HOUR)
    registry.claims.assign_run_key({"first": [claim.id]})
    registry.claims.assign_run_key({"second": [claim.id]})
    assert registry.claims.list_waiting()[0].run_key == "first"


def test_close_refused__closes_the_claims_and_stamps_no_failure(registry: Registry, running: Experiment) -> None:
    registry.dispatch.claim_automatically({(running.id, 1): ClaimSource.SCHEDULE}, NOW)
    registry.runs.open(running.id, "run", NOW, HOUR)
    registry.claims.close_refused(running.id, "run", None, tuple(Computation), NOW)
    assert registry.claims.list_waiting() == []
    assert registry.computations.get(running.id, Computation.RESULTS).last_error_at is None


def test_unassign__claims_of_a_run_that_found_the_experiment_leased__wait_for_another(
    registry: Registry, running: Experiment
) -> None:
    registry.runs.open(running.id, "owner", NOW, HOUR)
    claim = registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW, HOUR)
    registry.claims.assign_run_key({"key": [claim.id]})
    with pytest.raises(Leased):
        registry.runs.open(running.id, "late", NOW, HOUR)
    registry.claims.unassign(running.id, "key")
    assert [each.run_key for each in registry.claims.list_waiting() if each.id == claim.id] == [None]


def test_create__fifty_at_once__one_wins_and_the_others_learn_the_time_left(
    registry: Registry, running: Experiment
) -> None:
    def ask(_: int) -> timedelta | None:
        try:
            registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW, INTERVAL)
        except Throttled as refused:
            return refused.retry_after
        return None

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(ask, range(50)))
    assert answers.count(None) == 1
    assert answers.count(INTERVAL) == 49
    assert len(registry.claims.list_waiting()) == 1


ATTEMPTS = st.lists(
    st.tuples(st.integers(0, 240), st.sampled_from(Computation), st.sampled_from(ClaimSource), st.booleans()),
    max_size=25,
)


@pytest.mark.parametrize("examples", [20, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_create__any_sequence_of_attempts__never_accepts_two_users_within_the_interval__r2(
    registry: Registry, examples: int
) -> None:
    numbers = count()

    @given(attempts=ATTEMPTS)
    @settings(max_examples=examples)
    def holds(attempts: list[tuple[int, Computation, ClaimSource, bool]]) -> None:
        created = registry.experiments.create("production", draft(f"feature {next(numbers)}"), actor=ACTOR, now=NOW)
        registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW)
        now, last = NOW, dict.fromkeys(Computation, NOW - INTERVAL)
        for seconds, computation, source, then_fails in attempts:
            now += timedelta(seconds=seconds)
            left = last[computation] + INTERVAL - now if source.is_user else timedelta(0)
            try:
                registry.claims.create(created.id, computation, source, now, INTERVAL)
            except Throttled as refused:
                answered = refused.retry_after
            else:
                answered = timedelta(0)
                last[computation] = now if source.is_user else last[computation]
            assert answered == max(left, timedelta(0))
            if then_fails:  # a run that serves and fails opens no gap in the throttle
                registry.runs.open(created.id, "run", now, HOUR)
                registry.computations.record_failure(created.id, computation, now, "run")

    holds()


def test_force__within_interval__is_accepted_audited_and_starts_the_throttle(
    registry: Registry, running: Experiment
) -> None:
    registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW, INTERVAL)
    forced = registry.claims.force(running.id, Computation.RESULTS, NOW + MINUTE, actor="cli:ann")
    assert forced.source is ClaimSource.CLI
    (line, *_) = registry.audit.list("production", subject=f"experiment:{running.id}")
    assert (line.actor, line.action, line.at) == ("cli:ann", "force_refresh", NOW + MINUTE)
    with pytest.raises(Throttled) as refused:
        registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW + 2 * MINUTE, INTERVAL)
    assert refused.value.retry_after == 4 * MINUTE


def test_force__before_the_start__is_refused_and_not_audited(registry: Registry) -> None:
    created = registry.experiments.create("production", draft(), actor=ACTOR, now=NOW)
    with pytest.raises(NotStarted):
        registry.claims.force(created.id, Computation.RESULTS, NOW, actor=ACTOR)
    assert [line.action for line in registry.audit.list(subject=f"experiment:{created.id}")] == ["create"]


def test_withdraw__request_that_waits__is_refused_and_leaves_the_throttle_as_it_was(
    registry: Registry, running: Experiment
) -> None:
    registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW, INTERVAL)
    claim = registry.claims.create(running.id, Computation.RESULTS, ClaimSource.CLI, NOW + INTERVAL, INTERVAL)
    registry.claims.withdraw(claim, NOW, NOW + INTERVAL)
    assert [each.id for each in registry.claims.list_waiting()] == [claim.id - 1]
    assert registry.computations.get(running.id, Computation.RESULTS).refresh_requested_at == NOW
    registry.claims.create(running.id, Computation.RESULTS, ClaimSource.CLI, NOW + INTERVAL, INTERVAL)


def test_withdraw__request_after_which_another_came__keeps_the_others_throttle(
    registry: Registry, running: Experiment
) -> None:
    claim = registry.claims.create(running.id, Computation.RESULTS, ClaimSource.CLI, NOW, INTERVAL)
    registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW + INTERVAL, INTERVAL)
    registry.claims.withdraw(claim, None, NOW + INTERVAL)
    assert registry.computations.get(running.id, Computation.RESULTS).refresh_requested_at == NOW + INTERVAL
