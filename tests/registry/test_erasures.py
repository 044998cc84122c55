"""Erasures in the registry: hashes that must not come back, the ledger of rewritten objects, and leases (rule E6)."""

import pytest

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.erasures import digest_of
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.errors import Leased
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW

PRODUCTION = "production"
NAME = "events/env_key=production/a.jsonl"


def test_begin__again__goes_on_with_the_new_moment_and_the_same_key(registry: Registry) -> None:
    first = registry.erasures.begin(PRODUCTION, "ada", NOW)
    again = registry.erasures.begin(PRODUCTION, "ada", NOW + HOUR)
    other = registry.erasures.begin(PRODUCTION, "bob", NOW)
    assert (first.id, first.digest) == (again.id, again.digest) != (other.id, other.digest)
    known = registry.erasures.identities()
    assert known.moments == {(PRODUCTION, first.digest): NOW + HOUR, (PRODUCTION, other.digest): NOW}
    assert digest_of(known.key, "ada") == first.digest


def test_complete__is_audited_without_the_identifier(registry: Registry) -> None:
    erasure = registry.erasures.begin(PRODUCTION, "ada", NOW)
    assert [each.completed_at for each in registry.erasures.list()] == [None]
    registry.erasures.complete(erasure, {"landing objects": 3}, actor=ACTOR, now=NOW + HOUR)
    assert [each.completed_at for each in registry.erasures.list()] == [NOW + HOUR]
    (line,) = registry.audit.list(action="erase")
    assert (line.subject, line.after) == (f"erasure:{erasure.id}", {"landing objects": 3})


def test_begin_object__ledger__follows_an_object_that_it_knows_and_no_other(registry: Registry) -> None:
    def size() -> int:
        return registry.batches.ingested_files([NAME])[NAME].bytes

    registry.batches.plan_batch([LandedObject(NAME, PRODUCTION, NOW, 100)], NOW)
    erasure = registry.erasures.begin(PRODUCTION, "ada", NOW)
    registry.erasures.begin_object(erasure, NAME, 99, 50)  # it has changed since it was ingested
    assert size() == 100
    registry.erasures.begin_object(erasure, NAME, 100, 60)
    assert size() == 60
    registry.erasures.begin_object(erasure, NAME, 100, 70)  # the object was not replaced: a kill came between
    assert size() == 70


def test_acquire__while_a_run_has_the_experiment__is_refused_and_keeps_runs_out(
    registry: Registry, running: Experiment
) -> None:
    erasure = registry.erasures.begin(PRODUCTION, "ada", NOW)
    run = registry.runs.open(running.id, "run", NOW, HOUR)
    with pytest.raises(Leased):
        registry.erasures.acquire(running.id, erasure, NOW, HOUR)
    registry.runs.release_lease(run)
    registry.erasures.acquire(running.id, erasure, NOW, HOUR)
    with pytest.raises(Leased):
        registry.runs.open(running.id, "another", NOW + MINUTE, HOUR)
    registry.erasures.acquire(running.id, erasure, NOW + MINUTE, HOUR)
    registry.erasures.release(erasure)
    registry.runs.open(running.id, "another", NOW + MINUTE, HOUR)


def test_since__counts_identities_after_a_moment__of_the_phase(registry: Registry, running: Experiment) -> None:
    for number, identifier in enumerate(["ada", "bob"]):
        erasure = registry.erasures.begin(PRODUCTION, identifier, NOW)
        registry.erasures.record_exposure(erasure, running.id, 1, NOW + number * HOUR)
    registry.erasures.record_exposure(erasure, running.id, 2, NOW + HOUR)
    registry.erasures.record_exposure(erasure, running.id, 1, NOW + 2 * HOUR)  # repeated after a kill
    assert [registry.erasures.since(running, NOW + number * HOUR) for number in (-1, 0, 1, 2)] == [2, 1, 1, 0]
