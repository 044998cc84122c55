"""Leases never overlap, in whatever order runs acquire and release them (rule R7)."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete

from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import Computation, Publication, RefreshRun
from experiment_pipeline.errors import Leased, Superseded
from experiment_pipeline.registry import leases, tables
from experiment_pipeline.registry.engine import reading, writing
from experiment_pipeline.registry.outbox_tables import table_outbox
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW, draft

LEASE = 5 * MINUTE


def test_acquire__while_another_run_has_the_lease__is_refused_until_the_lease_expires(
    registry: Registry, running: Experiment
) -> None:
    registry.runs.open(running.id, "first", NOW, LEASE)
    with pytest.raises(Leased, match="Run first holds experiment 'checkout-button'"):
        registry.runs.open(running.id, "second", NOW + LEASE - MINUTE, LEASE)
    registry.runs.open(running.id, "second", NOW + LEASE, LEASE)


def test_acquire__again_by_its_owner__keeps_others_out_for_longer(registry: Registry, running: Experiment) -> None:
    registry.runs.open(running.id, "first", NOW, LEASE)
    registry.runs.open(running.id, "first", NOW + LEASE, LEASE)
    with pytest.raises(Leased):
        registry.runs.open(running.id, "second", NOW + LEASE + MINUTE, LEASE)


def test_acquire__of_another_experiment__does_not_wait(registry: Registry, running: Experiment) -> None:
    other = registry.experiments.create("production", draft("other"), actor=ACTOR, now=NOW)
    registry.experiments.transition(other.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW)
    registry.runs.open(running.id, "first", NOW, LEASE)
    registry.runs.open(other.id, "second", NOW, LEASE)


def test_acquire__after_release__is_free(registry: Registry, running: Experiment) -> None:
    run = registry.runs.open(running.id, "first", NOW, LEASE)
    registry.runs.release_lease(run)
    registry.runs.open(running.id, "second", NOW, LEASE)
    registry.runs.release_lease(run)  # releasing again takes nothing from the second
    with pytest.raises(Leased):
        registry.runs.open(running.id, "third", NOW, LEASE)


def test_acquire__many_at_once__exactly_one_has_it(registry: Registry, running: Experiment) -> None:
    def open_one(number: int) -> bool:
        try:
            registry.runs.open(running.id, f"run-{number}", NOW, LEASE)
        except Leased:
            return False
        return True

    with ThreadPoolExecutor(20) as threads:
        assert sum(threads.map(open_one, range(20))) == 1


def test_leases__any_order_of_steps__never_overlap(registry: Registry, running: Experiment) -> None:
    """Runs open (which renews), publish and release in any order while time passes: one model, one registry."""

    class Leases(RuleBasedStateMachine):
        @initialize()
        def start_over(self) -> None:
            with writing(registry.engine) as connection:
                for table in (table_outbox, tables.leases, tables.runs, tables.payloads):
                    connection.execute(delete(table))
                connection.execute(tables.computations.update().values(as_of=None, data_version=None))
            self.now = NOW
            self.owner: str | None = None
            self.expires_at = NOW

        @rule(minutes=st.integers(0, 7))
        def time_passes(self, minutes: int) -> None:
            self.now += minutes * MINUTE

        @rule(run_id=st.sampled_from("abc"))
        def open_run(self, run_id: str) -> None:
            free = self.owner in (None, run_id) or self.expires_at <= self.now
            try:
                registry.runs.open(running.id, run_id, self.now, LEASE)
            except Leased:
                assert not free
            else:
                assert free
                self.owner, self.expires_at = run_id, self.now + LEASE

        @rule(run_id=st.sampled_from("abc"))
        def publish(self, run_id: str) -> None:
            before = registry.computations.get(running.id, Computation.RESULTS)
            run = self.run_of(run_id)
            try:
                after = registry.computations.publish(
                    Publication(
                        run, Computation.RESULTS, {"run": run_id}, code_version="1", computed_at=self.now, grace=HOUR
                    )
                )
            except Superseded:
                assert self.owner != run_id or (before.as_of is not None and run.as_of < before.as_of)
                assert registry.computations.get(running.id, Computation.RESULTS) == before
            else:
                assert self.owner == run_id
                assert before.as_of is None or (after.as_of is not None and after.as_of >= before.as_of)

        @rule(run_id=st.sampled_from("abc"))
        def release(self, run_id: str) -> None:
            registry.runs.release_lease(self.run_of(run_id))
            if self.owner == run_id:
                self.owner = None

        @invariant()
        def the_owner_alone_may_publish(self) -> None:
            for run_id in "abc":
                if run_id != self.owner:
                    with pytest.raises(Superseded), reading(registry.engine) as connection:
                        leases.require(connection, self.run_of(run_id))

        def run_of(self, run_id: str) -> RefreshRun:
            """The run as it was opened, or as an impostor would make it up."""
            with registry.engine.connect() as connection:
                row = connection.execute(tables.runs.select().where(tables.runs.c.run_id == run_id)).one_or_none()
            as_of = row.as_of if row else self.now
            return RefreshRun(run_id, running.id, as_of, 0)

    run_state_machine_as_test(Leases, settings=settings(max_examples=12, stateful_step_count=12, deadline=None))


def test_acquire__lease_of_a_longer_duration_than_is_asked_for__is_refused(
    registry: Registry, running: Experiment
) -> None:
    registry.runs.open(running.id, "long", NOW, 20 * MINUTE)
    with pytest.raises(Leased):
        registry.runs.open(running.id, "short", NOW + MINUTE, LEASE)
