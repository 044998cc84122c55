"""Runs: leases that never overlap, and what a run looks at for good (rules R5, R7)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import Computation, RefreshRun
from experiment_pipeline.errors import Final, Leased, NotFound, NotStarted, Superseded
from experiment_pipeline.registry import tables
from experiment_pipeline.registry.engine import writing
from experiment_pipeline.registry.repository import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW, draft

LEASE = 5 * MINUTE


def land(registry: Registry, name: str) -> int:
    """One committed batch of one object."""
    planned = registry.plan_batch([LandedObject(name, "production", NOW, 10)], NOW)
    registry.commit_batch(planned.number, accepted=1, duplicates=0, rejected={}, problems={}, now=NOW)
    return planned.number


def test_open_run__first_open__fixes_now_and_the_newest_batch(registry: Registry, running: Experiment) -> None:
    number = land(registry, "a")
    now = NOW + timedelta(microseconds=1_234_567)
    run = registry.open_run(running.id, "run", now, LEASE)
    assert run == RefreshRun("run", running.id, NOW + timedelta(milliseconds=1_234), number)


def test_open_run__again_by_the_same_run__looks_at_the_same(registry: Registry, running: Experiment) -> None:
    run = registry.open_run(running.id, "run", NOW, LEASE)
    land(registry, "later")
    assert registry.open_run(running.id, "run", NOW + HOUR, LEASE, as_of=NOW + HOUR, data_version=9) == run


def test_open_run__subset_of_stored_artifacts__inherits_what_they_looked_at(
    registry: Registry, running: Experiment
) -> None:
    land(registry, "a")
    run = registry.open_run(running.id, "run", NOW + HOUR, LEASE, as_of=NOW + MINUTE, data_version=0)
    assert (run.as_of, run.data_version) == (NOW + MINUTE, 0)


def test_open_run__after_completion__looks_no_further_than_the_end(registry: Registry, running: Experiment) -> None:
    registry.move_experiment(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW + HOUR)
    assert registry.open_run(running.id, "run", NOW + 9 * HOUR, LEASE).as_of == NOW + HOUR


def test_open_run__held_by_another_run__is_refused_until_the_lease_expires(
    registry: Registry, running: Experiment
) -> None:
    registry.open_run(running.id, "first", NOW, LEASE)
    with pytest.raises(Leased, match="Run first holds experiment 'checkout-button'"):
        registry.open_run(running.id, "second", NOW + LEASE - MINUTE, LEASE)
    registry.open_run(running.id, "second", NOW + LEASE, LEASE)


def test_open_run__of_another_experiment__does_not_wait(registry: Registry, running: Experiment) -> None:
    other = registry.create_experiment("production", draft("other"), actor=ACTOR, now=NOW)
    registry.move_experiment(other.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW)
    registry.open_run(running.id, "first", NOW, LEASE)
    registry.open_run(other.id, "second", NOW, LEASE)


def test_open_run__after_release__is_free(registry: Registry, running: Experiment) -> None:
    run = registry.open_run(running.id, "first", NOW, LEASE)
    registry.release_lease(run)
    registry.open_run(running.id, "second", NOW, LEASE)
    registry.release_lease(run)  # the first run's late farewell takes nothing from the second
    with pytest.raises(Leased):
        registry.open_run(running.id, "third", NOW, LEASE)


def test_open_run__not_started_or_unknown__is_refused(registry: Registry) -> None:
    created = registry.create_experiment("production", draft(), actor=ACTOR, now=NOW)
    with pytest.raises(NotStarted):
        registry.open_run(created.id, "run", NOW, LEASE)
    with pytest.raises(NotFound):
        registry.open_run(404, "run", NOW, LEASE)


def test_open_run__everything_final__is_refused(registry: Registry, running: Experiment) -> None:
    registry.move_experiment(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW)
    run = registry.open_run(running.id, "run", NOW, LEASE)
    registry.record_scan(NOW)
    registry.publish(run, Computation.EXPOSURES, {}, code_version="1", computed_at=NOW, grace=timedelta(0))
    registry.open_run(running.id, "run", NOW, LEASE)
    registry.publish(run, Computation.RESULTS, {}, code_version="1", computed_at=NOW, grace=timedelta(0))
    with pytest.raises(Final):
        registry.open_run(running.id, "run", NOW, LEASE)


def test_renew_lease__holder__keeps_others_out_for_longer(registry: Registry, running: Experiment) -> None:
    run = registry.open_run(running.id, "first", NOW, LEASE)
    registry.renew_lease(run, NOW + LEASE, LEASE)
    with pytest.raises(Leased):
        registry.open_run(running.id, "second", NOW + LEASE + MINUTE, LEASE)


def test_renew_lease__taken_over__is_superseded(registry: Registry, running: Experiment) -> None:
    run = registry.open_run(running.id, "first", NOW, LEASE)
    registry.open_run(running.id, "second", NOW + LEASE, LEASE)
    with pytest.raises(Superseded):
        registry.renew_lease(run, NOW + LEASE, LEASE)


def test_open_run__many_at_once__exactly_one_holds(registry: Registry, running: Experiment) -> None:
    def open_one(number: int) -> bool:
        try:
            registry.open_run(running.id, f"run-{number}", NOW, LEASE)
        except Leased:
            return False
        return True

    with ThreadPoolExecutor(20) as threads:
        assert sum(threads.map(open_one, range(20))) == 1


def test_leases__any_order_of_steps__never_overlap(registry: Registry, running: Experiment) -> None:
    """Runs open, renew, publish and release in any order while time passes: one model, one registry."""

    class Leases(RuleBasedStateMachine):
        @initialize()
        def start_over(self) -> None:
            with writing(registry.engine) as connection:
                for table in (tables.leases, tables.runs, tables.payloads):
                    connection.execute(delete(table))
                connection.execute(tables.computations.update().values(as_of=None, data_version=None))
            self.now = NOW
            self.holder: str | None = None
            self.expires_at = NOW

        @rule(minutes=st.integers(0, 7))
        def time_passes(self, minutes: int) -> None:
            self.now += minutes * MINUTE

        @rule(run_id=st.sampled_from("abc"))
        def open_run(self, run_id: str) -> None:
            free = self.holder in (None, run_id) or self.expires_at <= self.now
            try:
                registry.open_run(running.id, run_id, self.now, LEASE)
            except Leased:
                assert not free
            else:
                assert free
                self.holder, self.expires_at = run_id, self.now + LEASE

        @rule(run_id=st.sampled_from("abc"))
        def renew(self, run_id: str) -> None:
            try:
                registry.renew_lease(self.run_of(run_id), self.now, LEASE)
            except Superseded:
                assert self.holder != run_id
            else:
                assert self.holder == run_id
                self.expires_at = self.now + LEASE

        @rule(run_id=st.sampled_from("abc"))
        def publish(self, run_id: str) -> None:
            before = registry.computation(running.id, Computation.RESULTS)
            run = self.run_of(run_id)
            try:
                after = registry.publish(
                    run, Computation.RESULTS, {"run": run_id}, code_version="1", computed_at=self.now, grace=HOUR
                )
            except Superseded:
                assert self.holder != run_id or (before.as_of is not None and run.as_of < before.as_of)
                assert registry.computation(running.id, Computation.RESULTS) == before
            else:
                assert self.holder == run_id
                assert before.as_of is None or (after.as_of is not None and after.as_of >= before.as_of)

        @rule(run_id=st.sampled_from("abc"))
        def release(self, run_id: str) -> None:
            registry.release_lease(self.run_of(run_id))
            if self.holder == run_id:
                self.holder = None

        @invariant()
        def the_holder_alone_can_renew(self) -> None:
            for run_id in "abc":
                if run_id != self.holder:
                    with pytest.raises(Superseded):
                        registry.renew_lease(self.run_of(run_id), self.now, LEASE)

        def run_of(self, run_id: str) -> RefreshRun:
            """The run as it was opened, or as an impostor would make it up."""
            with registry.engine.connect() as connection:
                row = connection.execute(tables.runs.select().where(tables.runs.c.run_id == run_id)).one_or_none()
            as_of = row.as_of if row else self.now
            return RefreshRun(run_id, running.id, as_of, 0)

    run_state_machine_as_test(Leases, settings=settings(max_examples=12, stateful_step_count=12, deadline=None))
