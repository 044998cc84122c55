"""What the clean-up may delete from the registry, and what it leaves alone."""

from datetime import timedelta

from sqlalchemy import select

from experiment_pipeline.domain.batches import IngestedFile, LandedObject
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import ClaimSource, Computation, Publication, RefreshRun
from experiment_pipeline.registry import tables
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import HOUR, MINUTE, NOW

LEASE = 5 * MINUTE


def open_run(registry: Registry, running: Experiment, run_id: str, minutes: int) -> RefreshRun:
    return registry.runs.open(running.id, run_id, NOW + minutes * MINUTE, LEASE)


def publish(registry: Registry, run: RefreshRun) -> None:
    for computation in Computation:
        registry.computations.publish(
            Publication(run, computation, {}, code_version="1", computed_at=run.as_of, grace=HOUR)
        )
    registry.runs.release_lease(run)


def fail(registry: Registry, run: RefreshRun) -> None:
    registry.runs.close_dead_run(run.run_id, None, run.as_of)


def run_ids(registry: Registry) -> set[str]:
    with registry.engine.connect() as connection:
        return set(connection.scalars(select(tables.runs.c.run_id)))


def claim_count(registry: Registry) -> int:
    with registry.engine.connect() as connection:
        return len(connection.execute(select(tables.claims.c.id)).all())


def test_delete_closed__old_and_new_and_waiting_claims__deletes_the_old_closed_ones(
    registry: Registry, running: Experiment
) -> None:
    publish(registry, open_run(registry, running, "old", 0))
    publish(registry, open_run(registry, running, "new", 60))
    registry.claims.create(running.id, Computation.RESULTS, ClaimSource.API, NOW, timedelta(0))
    assert claim_count(registry) == 5
    assert registry.claims.delete_closed(NOW + 30 * MINUTE) == 2
    assert claim_count(registry) == 3
    assert [claim.source for claim in registry.claims.list_waiting()] == [ClaimSource.API]
    assert registry.claims.delete_closed(NOW + 30 * MINUTE) == 0


def test_delete_without_look__runs_of_every_end__keeps_what_looks_leases_and_requests_refer_to(
    registry: Registry, running: Experiment
) -> None:
    publish(registry, open_run(registry, running, "published", 0))
    fail(registry, open_run(registry, running, "failed", 10))
    fail(registry, open_run(registry, running, "failed later", 40))
    open_run(registry, running, "at work", 60)
    assert registry.runs.delete_without_look(NOW + 30 * MINUTE) == 1
    assert run_ids(registry) == {"published", "failed later", "at work"}
    assert registry.runs.delete_without_look(NOW + 24 * HOUR) == 1
    assert run_ids(registry) == {"published", "at work"}
    assert registry.computations.runs_with_look(["published", "failed", "unknown"]) == {"published"}


def test_stored_objects__of_every_state__are_those_of_batches_committed_before_and_without_a_problem(
    registry: Registry,
) -> None:
    objects = [LandedObject(name, "production", NOW, 10) for name in ("whole", "torn")]
    registry.batches.plan_batch(objects, NOW)
    problems = {"torn": "truncated_gzip"}
    registry.batches.commit_batch(1, accepted=1, duplicates=0, rejected={}, problems=problems, now=NOW)
    registry.batches.plan_batch([LandedObject("planned", "production", NOW, 10)], NOW)
    names = ["whole", "torn", "planned", "unknown"]
    assert registry.batches.stored_objects(names, NOW + MINUTE) == {"whole": IngestedFile(10, None, 1, 1)}
    assert registry.batches.stored_objects(names, NOW) == {}
