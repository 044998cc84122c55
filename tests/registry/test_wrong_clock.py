"""Moments that a clock left behind which was ahead and was set right: nothing waits for them (rules R2, R4-R7)."""

from datetime import timedelta

import pytest

from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import ClaimSource, Computation, ComputationState, Publication, RefreshRun
from experiment_pipeline.errors import Leased, Superseded, Throttled
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW, draft

AHEAD = NOW + timedelta(days=366)
INTERVAL = LEASE = 5 * MINUTE
RESULTS = Computation.RESULTS


def publish(registry: Registry, run: RefreshRun, moment: timedelta = timedelta(0)) -> ComputationState:
    return registry.computations.publish(
        Publication(run, RESULTS, {}, code_version="1", computed_at=NOW + moment, grace=HOUR)
    )


def test_create__after_a_request_a_year_ahead__is_accepted_and_throttled_anew__r2(
    registry: Registry, running: Experiment
) -> None:
    registry.claims.create(running.id, RESULTS, ClaimSource.API, AHEAD, INTERVAL)
    registry.claims.create(running.id, RESULTS, ClaimSource.API, NOW, INTERVAL)
    with pytest.raises(Throttled):
        registry.claims.create(running.id, RESULTS, ClaimSource.API, NOW + MINUTE, INTERVAL)


def test_create__after_a_request_a_little_ahead__waits_at_most_twice_the_interval__r2(
    registry: Registry, running: Experiment
) -> None:
    registry.claims.create(running.id, RESULTS, ClaimSource.API, NOW + 4 * MINUTE, INTERVAL)
    with pytest.raises(Throttled) as refused:
        registry.claims.create(running.id, RESULTS, ClaimSource.API, NOW, INTERVAL)
    assert refused.value.retry_after == 9 * MINUTE


def test_open__of_a_lease_a_year_ahead__acquires_it__r7(registry: Registry, running: Experiment) -> None:
    lost = registry.runs.open(running.id, "ahead", AHEAD, LEASE)
    registry.runs.open(running.id, "right", NOW, LEASE)
    with pytest.raises(Superseded):
        publish(registry, lost)
    with pytest.raises(Leased):
        registry.runs.open(running.id, "another", NOW + MINUTE, LEASE)


def test_open__of_a_lease_that_another_clock_gave__waits_for_it__r7(registry: Registry, running: Experiment) -> None:
    registry.runs.open(running.id, "ahead", NOW + 4 * MINUTE, LEASE)
    with pytest.raises(Leased):
        registry.runs.open(running.id, "right", NOW, LEASE)


def test_open__again_by_a_run_as_of_a_year_ahead__fixes_its_as_of_anew__r5(
    registry: Registry, running: Experiment
) -> None:
    registry.runs.open(running.id, "run", AHEAD, LEASE)
    assert registry.runs.open(running.id, "run", NOW + HOUR, LEASE).as_of == NOW + HOUR
    assert registry.runs.open(running.id, "run", NOW + 2 * HOUR, LEASE).as_of == NOW + HOUR


def test_open__that_inherits_an_as_of_a_year_ahead__is_refused__r5(registry: Registry, running: Experiment) -> None:
    with pytest.raises(Superseded, match="lies ahead"):
        registry.runs.open(running.id, "run", NOW, LEASE, as_of=AHEAD)


def test_publish__over_a_payload_as_of_a_year_ahead__replaces_it__r5(registry: Registry, running: Experiment) -> None:
    ahead = registry.runs.open(running.id, "ahead", AHEAD, LEASE)
    publish(registry, ahead, AHEAD - NOW)
    registry.runs.release_lease(ahead)
    right = registry.runs.open(running.id, "right", NOW + HOUR, LEASE)
    assert publish(registry, right, HOUR).as_of == NOW + HOUR


def test_publish__with_a_listing_a_year_ahead__is_not_final__r6(registry: Registry, running: Experiment) -> None:
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW)
    registry.batches.record_scan(AHEAD)
    run = registry.runs.open(running.id, "run", NOW + HOUR, LEASE)
    assert not publish(registry, run, HOUR).is_final
    assert registry.batches.awaits_listing(NOW + HOUR, HOUR)
    registry.batches.record_scan(NOW + HOUR, NOW + HOUR)
    assert registry.batches.scanned_at() == NOW + HOUR
    assert publish(registry, run, HOUR).is_final


def test_record_scan__of_another_clock__keeps_the_later_moment(registry: Registry) -> None:
    registry.batches.record_scan(NOW + MINUTE, NOW + MINUTE)
    registry.batches.record_scan(NOW, NOW)
    assert registry.batches.scanned_at() == NOW + MINUTE


def test_authenticate__of_a_key_used_a_year_ahead__records_its_use(registry: Registry) -> None:
    _, token = registry.keys.create("production", Scope.READ, "x", actor=ACTOR, now=NOW)
    registry.keys.authenticate(token, AHEAD)
    registry.keys.authenticate(token, NOW)
    (key,) = registry.keys.list()
    assert key.last_used_at == NOW


def test_transition__of_a_start_a_year_ahead__is_dated_anew_and_audited__l1(registry: Registry) -> None:
    created = registry.experiments.create("production", draft(), actor=ACTOR, now=NOW)
    registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor=ACTOR, now=AHEAD)
    again = registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW)
    assert again.started_at == NOW
    assert [line.action for line in registry.audit.list("production")][:2] == ["running", "running"]
    assert registry.runs.open(created.id, "run", NOW + HOUR, LEASE).as_of == NOW + HOUR
