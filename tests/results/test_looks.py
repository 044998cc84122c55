"""Looks as they are served: what moved, a line of the ledger, and two looks compared (rule R9)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.looks import Look, Movement
from experiment_pipeline.results.looks import look_summary, looks_diff
from experiment_pipeline.results.payload import results_payload
from tests.results.subjects import experiment, rate, results

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)


def look(number: int, n: int, buying: int, code: str = "aaa", *, moved: Movement | None = None) -> Look:
    """A look at so many identities in each arm, of whom a tenth buys in control."""
    computed = results(experiment(), {"control": rate(n, n // 10), "b": rate(n, buying)})
    payload = json.loads(json.dumps(results_payload(computed, moved), allow_nan=False))
    return Look(number, START + number * DAY, number, START + number * DAY, code, payload)


def movement(number: int, **counts: Any) -> Movement:
    return Movement(number, START + (number - 1) * DAY, **counts)


SECOND = look(2, 2_000, 260, moved=movement(2, new_identities=2_000, late_events=7, restated_identities=3))
THIRD = look(3, 3_000, 600, "bbb", moved=movement(3, new_identities=2_004, newly_quarantined=4, late_events=1))


def test_look__in_the_payload__has_every_member() -> None:
    moved = Movement(3, START, new_identities=9, late_events=4, restated_identities=2, newly_quarantined=1)
    assert look(3, 1_000, 100, moved=moved).payload["look"] == {
        "number": 3,
        "previous_as_of": "2026-03-02T00:00:00Z",
        "new_identities": 9,
        "restated": {
            "late_events": 4,
            "restated_identities": 2,
            "newly_quarantined": 1,
            "removed_events": 0,
            "erased": 0,
        },
        "code_changed": False,
    }


def test_summary__of_a_look__has_its_verdicts_and_what_moved() -> None:
    assert look_summary(THIRD) == {
        "phase": 1,
        "number": 3,
        "as_of": "2026-03-05T00:00:00Z",
        "data_version": 3,
        "code_version": "bbb",
        "computed_at": "2026-03-05T00:00:00Z",
        "identities": 6_000,
        "trustworthy": True,
        "verdicts": [{"metric_id": 7, "name": "bought", "verdict": {"b": "winning"}}],
        "decision": None,
        "planned_looks": {},
        "moved": THIRD.payload["look"],
    }


def test_summary__of_a_look_that_an_older_version_published__has_what_there_is() -> None:
    old = look(1, 1_000, 100)
    del old.payload["metrics"][0]["name"]
    summary = look_summary(old)
    assert summary["moved"] is None
    assert summary["verdicts"] == [{"metric_id": 7, "verdict": {"b": "inconclusive"}}]


def test_diff__of_two_looks__has_both_sides_and_the_sum_of_what_moved() -> None:
    diff = looks_diff(look(1, 1_000, 100), [SECOND, THIRD])
    assert (diff["earlier"]["number"], diff["later"]["number"], diff["code_changed"]) == (1, 3, True)
    assert diff["moved"] == {
        "new_identities": 4_004,
        "late_events": 8,
        "restated_identities": 3,
        "newly_quarantined": 4,
        "removed_events": 0,
    }
    (metric,) = diff["metrics"]
    assert metric["name"] == "bought"
    assert metric["variants"]["b"]["n"] == (1_000, 3_000)
    assert metric["variants"]["b"]["sum"] == pytest.approx((100, 600))
    treatment = metric["treatments"]["b"]
    assert treatment["effect"] == pytest.approx((0, 0.1))
    assert treatment["lift"] == pytest.approx((0, 1))
    assert treatment["verdict"] == ("inconclusive", "winning")


def test_diff__with_what_only_one_look_has__has_null_on_the_other_side() -> None:
    without: dict[str, Any] = {**look(1, 1_000, 100).payload, "metrics": []}
    earlier = Look(1, START, 1, START, "aaa", without)
    diff = looks_diff(earlier, [look(2, 40, 4)])  # too few identities for an effect
    assert set(diff["moved"].values()) == {None}
    (metric,) = diff["metrics"]
    assert metric["variants"]["b"]["n"] == (None, 40)
    assert metric["treatments"]["b"]["effect"] == (None, None)
    assert metric["treatments"]["b"]["verdict"] == (None, "collecting_data")
