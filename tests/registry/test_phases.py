"""Phases in the registry: restarts, what each phase keeps for itself, and which is due (rules X9, X10)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.drafts import AttachmentDraft, MetricDraft, VariantDraft
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import ExpectedDirection
from experiment_pipeline.domain.planned_looks import PlannedLook, PlannedLookOf
from experiment_pipeline.domain.refresh import ClaimSource, Computation, Publication, RefreshRun
from experiment_pipeline.errors import ConfigurationError, Conflict, Final, NotFound
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW, draft

EXPOSURES, RESULTS = Computation
LATER = NOW + HOUR
FINDING: dict[str, Any] = {"check": "c", "code": "fine", "severity": "ok", "title": "", "detail": "", "evidence": {}}


@pytest.fixture
def restarted(registry: Registry, running: Experiment) -> Experiment:
    """An experiment in phase 2, which started an hour after phase 1, with a fifth of the traffic."""
    return registry.experiments.restart(running.id, (VariantDraft("treatment", 20.0),), actor=ACTOR, now=LATER, ends=1)


def publish(registry: Registry, run: RefreshRun, at: datetime, *planned: PlannedLookOf) -> None:
    """Both computations of a run, with all that is stored beside results; every payload names its run."""
    payload: dict[str, Any] = {"of": run.run_id, "srm": {"identities": {}}, "metrics": [], "trustworthy": None}
    for computation in Computation:
        published = Publication(run, computation, payload, "1", at, HOUR)
        if computation is RESULTS:
            published = replace(published, findings=[FINDING], live_stats=payload, planned_looks=planned)
        registry.computations.publish(published)


def state(registry: Registry, experiment: Experiment, phase: int | None = None) -> list[object]:
    """All that is published and stored of a phase."""
    live = registry.live_stats.get(experiment.id, phase)
    health = registry.health.get(experiment.id, phase)
    looks = registry.looks.list(experiment.id, phase)
    return [
        *(registry.computations.get(experiment.id, each, phase) for each in Computation),
        live and (live.as_of, live.payload["of"]),
        health and health.as_of,
        [(look.number, look.payload["of"]) for look in looks],
        registry.planned_looks.list(experiment.id, phase),
    ]


def test_restart__ends_the_present_phase_and_begins_the_next_at_that_moment__x9(
    registry: Registry, running: Experiment, restarted: Experiment
) -> None:
    assert (restarted.phase, restarted.status, restarted.started_at) == (2, ExperimentStatus.RUNNING, LATER)
    assert (restarted.ended_at, restarted.partition_key) == (None, running.partition_key)
    assert [arm.percentage_allocation for arm in restarted.variants] == [80.0, 20.0]
    first = restarted.in_phase(1)
    assert (first.started_at, first.ended_at, first.status) == (NOW, LATER, ExperimentStatus.COMPLETED)
    assert first.variants == running.variants
    assert registry.experiments.get(running.id) == restarted
    waiting = registry.claims.list_waiting(running.id)
    assert [(each.computation, each.phase, each.source) for each in waiting] == [
        (each, 1, ClaimSource.COMPLETION) for each in Computation
    ]
    assert all(each.is_of_ended_phase for each in waiting)


def test_restart__is_in_the_audit_log_with_both_phases__l5(registry: Registry, restarted: Experiment) -> None:
    (line,) = registry.audit.list(subject=f"experiment:{restarted.id}", action="restart")
    assert line.before is not None
    assert line.after is not None
    assert (line.before["phase"], line.after["phase"], line.actor) == (1, 2, ACTOR)
    assert line.after["ended_phases"][0]["percentage_allocations"] == [50.0, 50.0]


def test_restart__of_a_paused_one__runs__and_again_from_there(registry: Registry, running: Experiment) -> None:
    registry.experiments.transition(running.id, ExperimentStatus.PAUSED, actor=ACTOR, now=NOW + MINUTE)
    assert registry.experiments.restart(running.id, actor=ACTOR, now=LATER).status is ExperimentStatus.RUNNING
    third = registry.experiments.restart(running.id, actor=ACTOR, now=LATER + HOUR)
    assert [(each.started_at, each.ended_at) for each in third.ended_phases] == [(NOW, LATER), (LATER, LATER + HOUR)]


def test_restart__of_another_phase_than_the_present__is_a_conflict_and_changes_nothing(
    registry: Registry, restarted: Experiment
) -> None:
    with pytest.raises(Conflict, match="Phase 1 is not the present phase: 'checkout-button' is in phase 2"):
        registry.experiments.restart(restarted.id, actor=ACTOR, now=LATER + HOUR, ends=1)
    assert registry.experiments.get(restarted.id) == restarted


def test_restart__several_at_once__one_wins_and_the_others_conflict(registry: Registry, running: Experiment) -> None:
    def attempt(_: int) -> object:
        try:
            return registry.experiments.restart(running.id, actor=ACTOR, now=LATER, ends=1).phase
        except Conflict as lost:
            return str(lost)

    with ThreadPoolExecutor(6) as threads:
        outcomes = list(threads.map(attempt, range(6)))
    assert sum(outcome == 2 for outcome in outcomes) == 1
    assert registry.experiments.get(running.id).phase == 2
    assert len(registry.claims.list_waiting(running.id)) == 2


def test_publish__of_the_ended_phase__touches_nothing_of_the_running_one__x9(
    registry: Registry, running: Experiment
) -> None:
    registry.batches.record_scan(LATER + 2 * HOUR)
    publish(registry, registry.runs.open(running.id, "first", NOW + MINUTE, HOUR), NOW + MINUTE)
    registry.runs.release_lease(registry.runs.open(running.id, "first", NOW + MINUTE, HOUR))
    registry.experiments.restart(running.id, actor=ACTOR, now=LATER)
    metric = registry.metrics.create(
        "production", MetricDraft("m", {"version": 1, "event": "e"}, Aggregation.COUNT), actor=ACTOR, now=NOW
    )
    look = PlannedLookOf(metric.id, "treatment", PlannedLook(1, LATER, 0.5, 2.0, 1.0, crossed=False))
    second = registry.runs.open(running.id, "second", LATER + MINUTE, HOUR)
    publish(registry, second, LATER + MINUTE, look)
    registry.runs.release_lease(second)
    assert (second.phase, second.as_of) == (2, LATER + MINUTE)
    before = state(registry, running)
    last = registry.runs.open(running.id, "last", LATER + 2 * HOUR, HOUR, phase=1)
    assert (last.phase, last.as_of) == (1, LATER), "never past the end of the phase"
    publish(registry, last, LATER + 2 * HOUR)
    assert state(registry, running) == before == state(registry, running, 2)
    ended = registry.computations.get(running.id, RESULTS, 1)
    assert (ended.is_final, ended.payload and ended.payload["of"], ended.phase) == (True, "last", 1)
    assert [(each.number, each.payload["of"]) for each in registry.looks.list(running.id, 1)] == [
        (2, "last"),
        (1, "first"),
    ]
    assert registry.planned_looks.list(running.id, 1) == ()
    assert registry.planned_looks.list(running.id) == (look,)
    with pytest.raises(Final):
        registry.runs.open(running.id, "again", LATER + 2 * HOUR, HOUR, phase=1)


def test_run__that_was_opened_before_the_restart__goes_on_in_its_phase(registry: Registry, running: Experiment) -> None:
    run = registry.runs.open(running.id, "run", NOW + MINUTE, HOUR)
    registry.experiments.restart(running.id, actor=ACTOR, now=LATER)
    assert registry.runs.open(running.id, "run", LATER + MINUTE, HOUR) == run
    assert registry.runs.phase_of(running.id, "run") == 1
    publish(registry, run, LATER + MINUTE)
    assert registry.computations.get(running.id, RESULTS).payload is None, "the new phase has none yet"
    assert registry.computations.get(running.id, RESULTS, 1).as_of == NOW + MINUTE
    assert not registry.computations.get(running.id, RESULTS, 1).is_final
    assert {each.phase for each in registry.claims.list_waiting(running.id)} == {1}, "its last refresh is still due"


def test_claims__of_the_newest_phase_and_of_an_ended_one__are_apart(registry: Registry, restarted: Experiment) -> None:
    at = LATER + MINUTE
    assert registry.claims.create(restarted.id, RESULTS, ClaimSource.API, at, HOUR).phase == 2
    assert registry.claims.create(restarted.id, RESULTS, ClaimSource.API, at, HOUR, phase=1).phase == 1
    with pytest.raises(NotFound):
        registry.claims.create(restarted.id, RESULTS, ClaimSource.API, at, HOUR, phase=3)
    registry.runs.open(restarted.id, "run", at, HOUR)
    assert {each.phase for each in registry.claims.list_waiting(restarted.id) if each.served_by} == {2}


def test_record_failure__of_one_phase__leaves_the_other(registry: Registry, restarted: Experiment) -> None:
    registry.computations.record_failure(restarted.id, RESULTS, LATER + MINUTE, "run", 1)
    assert registry.computations.get(restarted.id, RESULTS).last_error_at is None
    assert registry.computations.get(restarted.id, RESULTS, 1).failures == 1


def test_candidates__of_a_restarted_experiment__are_the_running_phase_and_the_ended_until_it_is_final__r6(
    registry: Registry, restarted: Experiment
) -> None:
    def phases() -> list[tuple[int, ExperimentStatus, bool]]:
        found = registry.dispatch.candidates(LATER + 2 * HOUR)
        return [(each.experiment.phase, each.experiment.status, each.waits) for each in found]

    assert phases() == [(1, ExperimentStatus.COMPLETED, True), (2, ExperimentStatus.RUNNING, False)]
    registry.experiments.transition(restarted.id, ExperimentStatus.PAUSED, actor=ACTOR, now=LATER + MINUTE)
    assert [phase for phase, *_ in phases()] == [1], "a paused phase is not refreshed by itself"
    registry.batches.record_scan(LATER + 2 * HOUR)
    publish(registry, registry.runs.open(restarted.id, "last", LATER + 2 * HOUR, HOUR, phase=1), LATER + 2 * HOUR)
    assert phases() == []


def test_claim_automatically__of_an_ended_phase__is_of_that_phase(registry: Registry, restarted: Experiment) -> None:
    registry.claims.close_refused(restarted.id, "run", None, (), LATER)
    registry.dispatch.claim_automatically({(restarted.id, 1): ClaimSource.COMPLETION}, LATER)
    assert {each.phase for each in registry.claims.list_waiting(restarted.id)} == {1}


def test_awaits_listing__once_the_grace_of_an_ended_phase_is_over__r6(
    registry: Registry, restarted: Experiment
) -> None:
    registry.batches.record_scan(LATER)
    assert not registry.batches.awaits_listing(LATER + HOUR / 2, HOUR)
    assert registry.batches.awaits_listing(LATER + HOUR, HOUR)
    assert restarted.ended_at is None


def test_metrics__attached_after_a_start__belong_to_the_phases_from_then_on__m22(registry: Registry) -> None:
    for name in ("primary", "second", "third"):
        drafted = MetricDraft(name, {"version": 1, "event": name}, Aggregation.COUNT)
        registry.metrics.create("production", drafted, actor=ACTOR, now=NOW)
    attached = (AttachmentDraft("primary", ExpectedDirection.INCREASE),)
    created = registry.experiments.create("production", draft("other", metrics=attached), actor=ACTOR, now=NOW)
    registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW)
    later = {"actor": ACTOR, "now": LATER}
    registry.attachments.attach(created.id, AttachmentDraft("second", ExpectedDirection.INCREASE), **later)  # type: ignore[arg-type]
    registry.experiments.restart(created.id, **later)  # type: ignore[arg-type]
    registry.attachments.attach(created.id, AttachmentDraft("third", ExpectedDirection.INCREASE), **later)  # type: ignore[arg-type]

    def named(experiment: Experiment) -> list[tuple[str, bool]]:
        return [(each.metric.name, each.added_after_start) for each in experiment.metrics]

    found = registry.experiments.get(created.id)
    assert named(found) == [("primary", False), ("second", False), ("third", True)]
    assert named(found.in_phase(1)) == [("primary", False), ("second", True)]


def test_neighbours__of_a_phase__are_the_phases_beside_it(registry: Registry, restarted: Experiment) -> None:
    assert registry.health.neighbours(restarted) == (LATER, None)
    assert registry.health.neighbours(restarted.in_phase(1)) == (None, LATER)


def test_move_start__of_a_restarted_experiment__is_refused__l1(registry: Registry, restarted: Experiment) -> None:
    with pytest.raises(ConfigurationError, match="the experiment was restarted, and is in phase 2"):
        registry.experiments.move_start(restarted.id, NOW, actor=ACTOR, now=LATER + HOUR)


def test_final_results__of_an_ended_phase__are_of_its_window(registry: Registry, restarted: Experiment) -> None:
    registry.batches.record_scan(LATER + 2 * HOUR)
    publish(registry, registry.runs.open(restarted.id, "last", LATER + 2 * HOUR, HOUR, phase=1), LATER + 2 * HOUR)
    assert registry.computations.get(restarted.id, RESULTS, 1).is_final
    batch = registry.batches.plan_batch([LandedObject("late", "production", LATER, 10)], LATER)
    registry.batches.commit_batch(batch.number, accepted=1, duplicates=0, rejected={}, problems={}, now=LATER)
    (found,) = registry.health.final_results()
    assert (found.phase, found.is_newest, found.window.started_at, found.window.as_of) == (1, False, NOW, LATER)


def test_find__of_a_phase_that_there_is_not__says_which_there_are(registry: Registry, restarted: Experiment) -> None:
    found = registry.computations.find("production", restarted.key, RESULTS, 1)
    assert found.phase == 1
    with pytest.raises(NotFound, match="'checkout-button' has no phase 3: there are phases 1 to 2"):
        registry.computations.find("production", restarted.key, RESULTS, 3)
    with pytest.raises(NotFound, match="No experiment 'other'"):
        registry.computations.find("production", "other", RESULTS, 3)
