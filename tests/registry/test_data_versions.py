"""Which data versions may still be read, so that removed rows stay for them (rules E6, R5, R9)."""

from datetime import timedelta

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import Computation, Publication, RefreshRun
from experiment_pipeline.domain.removed_rows import DropLimit, NeededVersion
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW, draft

LEASE = 5 * MINUTE
LATER = NOW + 24 * HOUR


def commit(registry: Registry, *minutes: int) -> None:
    """Make batches, each committed so many minutes from now."""
    for number, minute in enumerate(minutes):
        at = NOW + minute * MINUTE
        batch = registry.batches.plan_batch([LandedObject(f"{minute}-{number}", "production", NOW, 1)], NOW)
        registry.batches.commit_batch(batch.number, accepted=1, duplicates=0, rejected={}, problems={}, now=at)


def publish(registry: Registry, run: RefreshRun, *computations: Computation) -> None:
    for computation in computations:
        registry.computations.publish(
            Publication(run, computation, {}, code_version="1", computed_at=run.as_of, grace=timedelta(0))
        )


def needed(registry: Registry) -> list[tuple[str, int]]:
    return [(each.experiment_key, each.data_version) for each in registry.data_versions.drop_limit(LATER).needed]


def test_drop_limit__is_the_newest_batch_that_was_committed_before_with_all_before_it(registry: Registry) -> None:
    assert registry.data_versions.drop_limit(LATER) == DropLimit(0)
    commit(registry, 1, 2, 9, 3)  # the third was committed after the fourth, by a clock that was ahead
    assert [registry.data_versions.drop_limit(NOW + minute * MINUTE).aged for minute in (1, 2, 3, 4, 9, 10)] == [
        0, 1, 2, 2, 2, 4,
    ]  # fmt: skip
    registry.batches.plan_batch([LandedObject("open", "production", NOW, 1)], NOW)
    assert registry.data_versions.drop_limit(LATER).aged == 4


def test_committed_at__of_a_batch__is_when_it_became_a_data_version(registry: Registry) -> None:
    commit(registry, 3)
    registry.batches.plan_batch([LandedObject("open", "production", NOW, 1)], NOW)
    assert [registry.data_versions.committed_at(batch) for batch in (1, 2, 3)] == [NOW + 3 * MINUTE, None, None]


def test_needed__is_the_data_version_of_the_payloads__and_before_there_are_any_that_of_runs(
    registry: Registry, running: Experiment
) -> None:
    commit(registry, 1)
    assert needed(registry) == []
    first = registry.runs.open(running.id, "first", NOW + MINUTE, LEASE)
    commit(registry, 2)
    assert needed(registry) == [(running.key, 1)]
    publish(registry, first, Computation.EXPOSURES)
    registry.runs.release_lease(first)
    second = registry.runs.open(running.id, "second", NOW + 2 * MINUTE, LEASE)
    assert needed(registry) == [(running.key, 1), (running.key, 2)]
    publish(registry, second, *Computation)
    assert needed(registry) == [(running.key, 2)]
    assert registry.data_versions.drop_limit(LATER) == DropLimit(2, (NeededVersion("production", running.key, 2),))


def test_needed__of_a_run_while_it_computes__is_at_most_what_it_reads(registry: Registry, running: Experiment) -> None:
    commit(registry, 1)
    publish(registry, registry.runs.open(running.id, "run", NOW + MINUTE, LEASE), *Computation)
    commit(registry, 2)
    at_work = registry.runs.open(running.id, "run", NOW + 2 * MINUTE, LEASE)
    commit(registry, 3)
    assert registry.data_versions.drop_limit(LATER).batch <= at_work.data_version


def test_needed__of_an_empty_lake__of_what_is_final_and_of_what_is_deleted__is_nothing(registry: Registry) -> None:
    created = [registry.experiments.create("production", draft(f), actor=ACTOR, now=NOW) for f in ("a", "b", "c")]
    experiments = [
        registry.experiments.transition(each.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW) for each in created
    ]
    publish(registry, registry.runs.open(experiments[0].id, "empty", NOW, LEASE), *Computation)
    commit(registry, 1)
    for each in experiments[1:]:
        run = registry.runs.open(each.id, "run", NOW + MINUTE, LEASE)
        publish(registry, run, *Computation)
        registry.runs.release_lease(run)
    assert needed(registry) == [(each.key, 1) for each in sorted(experiments[1:], key=lambda each: each.key)]
    for each in experiments[1:]:
        registry.experiments.transition(each.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW + 2 * MINUTE)
    registry.experiments.delete(experiments[1].id, actor=ACTOR, now=NOW + 3 * MINUTE)
    assert needed(registry) == [(experiments[2].key, 1)]
    registry.batches.record_scan(NOW + 9 * MINUTE)
    run = registry.runs.open(experiments[2].id, "last", NOW + 10 * MINUTE, LEASE)
    publish(registry, run, Computation.EXPOSURES)
    assert needed(registry) == [(experiments[2].key, 1)]  # results go with the exposures that are final
    publish(registry, run, Computation.RESULTS)
    assert needed(registry) == []
