"""What moved between two looks, from what an engine counted (rule R9)."""

from dataclasses import replace
from datetime import UTC, datetime

from experiment_pipeline.domain.looks import LateAnalysis, Look, Movement

NOW = datetime(2026, 3, 2, tzinfo=UTC)
LOOK = Look(4, NOW, 7, NOW, "code", {"srm": {"identities": {"control": 60, "b": 40}}, "metrics": [{"metric_id": 3}]})
FOUND = LateAnalysis(late_events=5, new_identities=20, restated_identities=2)


def test_movement__since_a_look__counts_who_left_by_who_was_there_and_who_came() -> None:
    assert LOOK.identities == 100
    assert LOOK.metric_ids == frozenset({3})
    moved = Movement.since(LOOK, identities=117, found=FOUND, code_version="code")
    assert moved == Movement(
        number=5,
        previous_as_of=NOW,
        new_identities=20,
        late_events=5,
        restated_identities=2,
        newly_quarantined=3,
    )


def test_movement__computed_by_other_code__says_so_and_counts_nobody_negative() -> None:
    moved = Movement.since(LOOK, identities=500, found=FOUND, code_version="other")
    assert (moved.code_changed, moved.newly_quarantined) == (True, 0)


def test_movement__since_a_look_of_nobody__is_all_new_and_restates_nothing() -> None:
    nobody = replace(LOOK, payload={"srm": {"identities": {"control": 0, "b": 0}}, "metrics": []})
    moved = Movement.since(nobody, identities=30, found=FOUND, code_version="code")
    assert (moved.new_identities, moved.restated_identities, moved.newly_quarantined) == (30, 0, 0)
    assert moved.late_events == 5


def test_movement__of_the_first_look__is_all_new() -> None:
    assert Movement.first(30) == Movement(number=1, previous_as_of=None, new_identities=30)
