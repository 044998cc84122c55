"""The lake's ledger (rules E6, E7)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from experiment_pipeline.domain.batches import IngestedFile, LakeVersion, LandedObject, RejectedRows
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.errors import Conflict
from experiment_pipeline.registry.batches import newest_by_environment
from experiment_pipeline.registry.engine import reading
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import HOUR, MINUTE, NOW


def landed(name: str, environment_key: str = "production", size: int = 10) -> LandedObject:
    return LandedObject(name=name, environment_key=environment_key, landed_at=NOW, bytes=size)


def commit(registry: Registry, number: int) -> None:
    registry.batches.commit_batch(number, accepted=2, duplicates=1, rejected={"not_json": 1}, problems={}, now=NOW)


def newest(registry: Registry) -> dict[str, int]:
    with reading(registry.engine) as connection:
        return newest_by_environment(connection)


def test_plan_batch__one_after_the_other__are_numbered_without_gaps(registry: Registry) -> None:
    assert registry.batches.lake_version() == LakeVersion(0, None)
    for number in (1, 2):
        assert registry.batches.plan_batch([landed(f"{number}")], NOW).number == number
        commit(registry, number)
    assert registry.batches.lake_version() == LakeVersion(2, NOW)


def test_plan_batch__while_one_is_open__is_refused_and_readers_see_nothing(registry: Registry) -> None:
    planned = registry.batches.plan_batch([landed("b", size=2**40), landed("a")], NOW)
    assert registry.batches.open_batch() == type(planned)(1, NOW, (landed("a"), landed("b", size=2**40)))
    assert registry.batches.lake_version().data_version == 0
    with pytest.raises(Conflict, match="Batch 1 is not committed yet"):
        registry.batches.plan_batch([landed("c")], NOW)
    commit(registry, 1)
    assert registry.batches.open_batch() is None


def test_open_batch__keeps_the_time_zone_that_it_was_begun_in(registry: Registry) -> None:
    planned = registry.batches.plan_batch([landed("a")], NOW, "Europe/Paris")
    assert registry.batches.open_batch() == planned
    assert planned.timezone == "Europe/Paris"


def test_ingested_files__are_as_they_were_when_they_were_read_last(registry: Registry) -> None:
    first = LandedObject("a", "production", NOW, 10, NOW)
    again = replace(first, bytes=12, modified_at=NOW + HOUR, reading=2)
    for each in (first, again):
        number = registry.batches.plan_batch([each, landed(f"beside {each.reading}")], NOW).number
        planned = registry.batches.open_batch()
        assert planned is not None
        assert each in planned.objects
        commit(registry, number)
    assert registry.batches.ingested_files(["a", "beside 1", "c"]) == {
        "a": IngestedFile(12, NOW + HOUR, 2, 2),
        "beside 1": IngestedFile(10, None, 1, 1),
    }
    with pytest.raises(Conflict):
        registry.batches.plan_batch([again], NOW)


def test_retried_records__are_kept_and_are_no_files(registry: Registry) -> None:
    source = RejectedRows(1, "unknown_environment")
    again = replace(landed("a"), reading=2, retried=source)
    beside = replace(landed("b"), reading=2, retried=source)
    registry.batches.plan_batch([landed("a")], NOW)
    commit(registry, 1)
    registry.batches.plan_batch([again, beside], NOW)
    planned = registry.batches.open_batch()
    assert planned is not None
    assert planned.objects == (again, beside)
    assert set(registry.batches.retried_records()) == {("a", source), ("b", source)}
    assert registry.batches.known_objects(["a", "b"]) == {"a"}, "the file of b was never read"
    assert registry.batches.ingested_files(["a", "b"]) == {"a": IngestedFile(10, None, 1, 2)}
    commit(registry, 2)
    assert registry.batches.stored_objects(["a", "b"], NOW + HOUR) == {"a": IngestedFile(10, None, 1, 1)}


def test_stored_objects__that_is_being_read_again__is_needed(registry: Registry) -> None:
    registry.batches.plan_batch([landed("a")], NOW)
    commit(registry, 1)
    registry.batches.plan_batch([replace(landed("a"), reading=2)], NOW)
    assert registry.batches.stored_objects(["a"], NOW + HOUR) == {}
    commit(registry, 2)
    assert registry.batches.stored_objects(["a"], NOW + HOUR) == {"a": IngestedFile(10, None, 2, 2)}


def test_plan_batch__object_that_has_a_batch__is_refused_as_a_whole(registry: Registry) -> None:
    registry.batches.plan_batch([landed("a")], NOW)
    commit(registry, 1)
    with pytest.raises(Conflict):
        registry.batches.plan_batch([landed("b"), landed("a")], NOW)
    assert registry.batches.known_objects(["a", "b"]) == {"a"}
    assert registry.batches.open_batch() is None


def test_plan_batch__without_objects__is_a_mistake(registry: Registry) -> None:
    with pytest.raises(ValueError, match="at least one"):
        registry.batches.plan_batch([], NOW)


def test_plan_batch__several_at_once__one_wins(registry: Registry) -> None:
    def plan(number: int) -> bool:
        try:
            registry.batches.plan_batch([landed(f"{number}")], NOW)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(plan, range(8))) == 1


def test_known_objects__more_names_than_a_query_holds__are_all_looked_up(registry: Registry) -> None:
    names = [f"object-{number}" for number in range(40_000)]
    registry.batches.plan_batch([landed(name) for name in names[:100] + names[-100:]], NOW)
    assert registry.batches.known_objects(iter(names)) == {*names[:100], *names[-100:]}


def test_commit_batch__twice_or_never_planned__is_refused(registry: Registry) -> None:
    registry.batches.plan_batch([landed("a")], NOW)
    registry.batches.commit_batch(1, accepted=0, duplicates=0, rejected={}, problems={"a": "truncated"}, now=NOW)
    for number in (1, 2):
        with pytest.raises(Conflict, match="is not open"):
            commit(registry, number)


def test_newest_by_environment__several_environments__each_has_its_own(registry: Registry) -> None:
    registry.batches.plan_batch([landed("a"), landed("b", "staging")], NOW + timedelta(0))
    commit(registry, 1)
    registry.batches.plan_batch([landed("c", "staging")], NOW + HOUR)
    assert newest(registry) == {"production": 1, "staging": 1}
    commit(registry, 2)
    assert newest(registry) == {"production": 1, "staging": 2}


# --- listings (rule R6) ------------------------------------------------------------------------------------------


def awaits(registry: Registry, now: datetime) -> bool:
    return registry.batches.awaits_listing(now, grace=HOUR)


def test_awaits_listing__never_listed_or_not_for_a_day__is_due(registry: Registry) -> None:
    assert awaits(registry, NOW)
    registry.batches.record_scan(NOW)
    assert not awaits(registry, NOW + timedelta(days=1))
    assert awaits(registry, NOW + timedelta(days=1, seconds=1))


def test_awaits_listing__of_a_completed_experiment__is_due_once_its_grace_is_over(
    registry: Registry, running: Experiment
) -> None:
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor="tests", now=NOW + HOUR)
    registry.batches.record_scan(NOW + 90 * MINUTE)
    assert not awaits(registry, NOW + 2 * HOUR - MINUTE)
    assert awaits(registry, NOW + 2 * HOUR)
    registry.batches.record_scan(NOW + 2 * HOUR)
    assert not awaits(registry, NOW + 3 * HOUR)
