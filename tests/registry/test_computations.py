"""Publishing: in one transaction, never backwards, never over what is final (rules R1, R3, R5, R6)."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import Computation, ComputationState, Publication, RefreshRun
from experiment_pipeline.errors import Final, NotFound, Superseded
from experiment_pipeline.registry import tables
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW

LEASE = 5 * MINUTE
RESULTS = Computation.RESULTS


def publish(registry: Registry, run: RefreshRun, payload: dict[str, Any], **changes: Any) -> ComputationState:
    values = {"code_version": "1", "computed_at": run.as_of, "grace": HOUR, **changes}
    return registry.computations.publish(Publication(run, RESULTS, payload, **values))


def history(registry: Registry) -> list[Any]:
    with registry.engine.connect() as connection:
        return list(connection.scalars(select(tables.payloads.c.payload).order_by(tables.payloads.c.id)))


def test_publish__with_the_lease__replaces_the_row_and_keeps_the_look(registry: Registry, running: Experiment) -> None:
    for minutes, payload in ((0, {"look": 1}), (1, {"look": 2})):
        run = registry.runs.open(running.id, f"run-{minutes}", NOW + minutes * MINUTE, LEASE)
        state = publish(registry, run, payload, duration=timedelta(seconds=2.5))
        registry.runs.release_lease(run)
    assert state == registry.computations.get(running.id, RESULTS)
    assert (state.payload, state.as_of, state.data_version) == ({"look": 2}, NOW + MINUTE, 0)
    assert (state.is_final, state.failures, state.last_duration_seconds) == (False, 0, 2.5)
    assert history(registry) == [{"look": 1}, {"look": 2}]


def test_publish__without_the_lease__changes_nothing(registry: Registry, running: Experiment) -> None:
    slow = registry.runs.open(running.id, "slow", NOW, LEASE)
    registry.runs.open(running.id, "fast", NOW + LEASE, LEASE)
    with pytest.raises(Superseded, match="no longer holds"):
        publish(registry, slow, {"old": True})
    assert registry.computations.get(running.id, RESULTS).payload is None
    assert history(registry) == []


def test_publish__end_that_is_stated_in_the_past__is_computed_as_of_then__r5(
    registry: Registry, running: Experiment
) -> None:
    later = registry.runs.open(running.id, "later", NOW + HOUR, LEASE)
    publish(registry, later, {"beyond": True})
    ended = NOW + MINUTE
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW + 2 * HOUR, at=ended)
    with pytest.raises(Superseded, match="no longer holds"):  # a run that looks beyond the end
        publish(registry, later, {"beyond": "again"})
    retried = registry.runs.open(running.id, "later", NOW + 2 * HOUR, LEASE)
    assert retried.as_of == ended
    state = publish(registry, retried, {"whole": True}, computed_at=NOW + 2 * HOUR)
    assert (state.payload, state.as_of) == ({"whole": True}, ended)


def test_publish__older_as_of_or_data_version__never_overwrites_a_newer_payload(
    registry: Registry, running: Experiment
) -> None:
    old = registry.runs.open(running.id, "old", NOW, LEASE, data_version=1)
    new = registry.runs.open(running.id, "new", NOW + LEASE, LEASE, data_version=1)
    publish(registry, new, {"new": True})
    registry.runs.release_lease(new)
    registry.runs.open(running.id, "old", NOW + LEASE, LEASE)  # its retry: the lease is its own, the view is old
    with pytest.raises(Superseded, match="looks at"):
        publish(registry, old, {"old": True})
    registry.runs.release_lease(old)
    blind = registry.runs.open(running.id, "blind", NOW + HOUR, LEASE, data_version=0)
    with pytest.raises(Superseded, match="data version 0"):
        publish(registry, blind, {"blind": True})
    assert registry.computations.get(running.id, RESULTS).payload == {"new": True}


def test_publish__deleted_experiment__is_refused(registry: Registry, running: Experiment) -> None:
    run = registry.runs.open(running.id, "run", NOW, LEASE)
    registry.experiments.transition(running.id, ExperimentStatus.PAUSED, actor=ACTOR, now=NOW)
    registry.experiments.delete(running.id, actor=ACTOR, now=NOW)
    with pytest.raises(NotFound):
        publish(registry, run, {})


def test_publish__not_a_number__is_refused_on_every_database(registry: Registry, running: Experiment) -> None:
    run = registry.runs.open(running.id, "run", NOW, LEASE)
    with pytest.raises(Exception, match="not JSON compliant"):
        publish(registry, run, {"lift": float("nan")})
    assert registry.computations.get(running.id, RESULTS).payload is None


def test_publish__after_the_grace__is_final_and_nothing_changes_it(registry: Registry, running: Experiment) -> None:
    ended = NOW + HOUR
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=ended)
    early = registry.runs.open(running.id, "early", ended, LEASE)
    assert not publish(registry, early, {"early": True}).is_final
    registry.runs.release_lease(early)
    registry.batches.record_scan(ended + HOUR)
    last = registry.runs.open(running.id, "last", ended + HOUR, LEASE)
    final = publish(registry, last, {"last": True}, computed_at=ended + HOUR)
    assert final.is_final
    assert registry.claims.list_waiting(running.id)[0].computation is Computation.EXPOSURES  # results' are all served
    with pytest.raises(Final):
        publish(registry, last, {"again": True}, computed_at=ended + 2 * HOUR)
    registry.computations.record_failure(running.id, RESULTS, ended + 2 * HOUR, "run")
    assert registry.computations.get(running.id, RESULTS) == final


@pytest.mark.parametrize("commits", [True, False])
def test_publish__object_from_before_the_grace_not_in_the_data_version__is_not_final(
    registry: Registry, running: Experiment, commits: bool
) -> None:
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW)
    run = registry.runs.open(running.id, "run", NOW + HOUR, LEASE)
    registry.batches.record_scan(NOW + HOUR)
    late = registry.batches.plan_batch([LandedObject("late", "production", NOW + HOUR - MINUTE, 10)], NOW)
    if commits:
        registry.batches.commit_batch(late.number, accepted=1, duplicates=0, rejected={}, problems={}, now=NOW)
    assert not publish(registry, run, {}, computed_at=NOW + HOUR).is_final


def test_publish__objects_after_the_grace_or_of_others__do_not_hold_finality_up(
    registry: Registry, running: Experiment
) -> None:
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW)
    registry.batches.record_scan(NOW + HOUR)
    run = registry.runs.open(running.id, "run", NOW + HOUR, LEASE)
    registry.batches.plan_batch(
        [LandedObject("after", "production", NOW + HOUR, 10), LandedObject("other", "staging", NOW, 10)], NOW
    )
    assert publish(registry, run, {}, computed_at=NOW + HOUR).is_final


@pytest.mark.parametrize("scanned_at", [None, NOW + HOUR - MINUTE])
def test_publish__landing_zone_not_listed_since_the_grace__is_not_final(
    registry: Registry, running: Experiment, scanned_at: datetime | None
) -> None:
    """Objects that landed shortly before the grace ended may still lie there, unknown to the ledger."""
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW)
    if scanned_at is not None:
        registry.batches.record_scan(scanned_at)
    run = registry.runs.open(running.id, "run", NOW + HOUR, LEASE)
    assert not publish(registry, run, {}, computed_at=NOW + HOUR).is_final


def test_record_scan__of_an_earlier_moment__changes_nothing(registry: Registry) -> None:
    assert registry.batches.scanned_at() is None
    registry.batches.record_scan(NOW + HOUR)
    registry.batches.record_scan(NOW)
    assert registry.batches.scanned_at() == NOW + HOUR


def test_get__of_an_unknown_experiment__is_not_found(registry: Registry) -> None:
    for unknown in (404, 2**40):
        with pytest.raises(NotFound):
            registry.computations.get(unknown, RESULTS)


def test_record_failure__keeps_the_payload_and_a_success_clears_it(registry: Registry, running: Experiment) -> None:
    run = registry.runs.open(running.id, "run", NOW, LEASE)
    publish(registry, run, {"good": True})
    for minutes in (1, 2):
        registry.computations.record_failure(running.id, RESULTS, NOW + minutes * MINUTE, "run")
    failed = registry.computations.get(running.id, RESULTS)
    assert (failed.payload, failed.as_of, failed.failures) == ({"good": True}, NOW, 2)
    assert failed.last_error_at == NOW + 2 * MINUTE
    recovered = publish(registry, run, {"good": True})
    assert (recovered.last_error_at, recovered.failures) == (None, 0)
