"""Control against itself: within the band, outside it, skipped, and carried over from an earlier refresh."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.self_check import SelfCheck
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.health.self_check import CHECK, checked_as_of
from experiment_pipeline.results.compute import compute_results
from tests.results.subjects import experiment, rate

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ARMS = {"control": rate(1_000, 400), "b": rate(1_000, 410)}


def inputs(check: SelfCheck | None, stored: Mapping[str, Any] | None = None) -> HealthInputs:
    aggregates = (MetricAggregates(7, dict(ARMS), self_check=check),)
    subject = experiment()
    results = compute_results(subject, {"control": 1_000, "b": 1_000}, aggregates, Floors())
    known = {} if stored is None else {CHECK.name: stored}
    return HealthInputs(subject, aggregates, results, as_of=NOON, stored=known)


def found(check: SelfCheck | None, stored: Mapping[str, Any] | None = None) -> Finding:
    return CHECK.judge(inputs(check, stored))


@pytest.mark.parametrize(
    ("calls", "passes", "meaning"),
    [
        (0, False, "bought: 0, so its test hardly sees any"),
        (1, False, "bought: 1, so its test hardly sees any"),
        (2, True, "bought 2."),
        (21, True, "bought 21."),
        (22, False, "bought: 22, so its test calls differences that are not there"),
    ],
)
def test_self_check__outside_the_band__is_a_warning_that_says_on_which_side(
    calls: int, passes: bool, meaning: str
) -> None:
    finding = found(SelfCheck(calls))
    assert finding.code == ("control_agrees_with_itself" if passes else "self_check_failed")
    assert finding.severity is (Severity.OK if passes else Severity.WARNING)
    assert meaning in finding.detail
    assert json.loads(json.dumps(finding.evidence, allow_nan=False)) == {
        "as_of": "2026-03-02T12:00:00Z",
        "splits": 200,
        "level": 0.05,
        "expected_calls": [2, 21],
        "metrics": {"bought": {"calls": calls, "reason": None}},
    }


def test_self_check__under_the_floors__says_that_it_is_skipped() -> None:
    finding = CHECK.judge(replace(inputs(SelfCheck(0)), floors=Floors(identities=501)))
    assert (finding.code, finding.passed) == ("self_check_skipped", True)
    assert finding.detail.endswith("Skipped: bought (too few identities).")
    assert finding.evidence["metrics"] == {"bought": {"calls": None, "reason": "below_minimum_identities"}}


def test_self_check__that_this_refresh_did_not_make__is_the_stored_one() -> None:
    earlier = replace(inputs(SelfCheck(40)), as_of=NOON.replace(hour=3))
    first = CHECK.judge(earlier)
    again = found(None, json.loads(json.dumps(first.evidence)))
    assert again == first
    assert checked_as_of(again.evidence) == NOON.replace(hour=3)
    assert found(SelfCheck(9), again.evidence).evidence["as_of"] == "2026-03-02T12:00:00Z"


def test_self_check__that_nothing_made__is_skipped_and_as_of_no_moment() -> None:
    finding = found(None)
    assert finding.code == "self_check_skipped"
    assert checked_as_of(finding.evidence) is None
    assert checked_as_of(None) is None
