"""The whole way from objects to payloads, and what may not change them."""

import json
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings

from tests import strategies
from tests.reference.events import LandingObject, Rejected, parse_object
from tests.reference.exposures import Experiment, Variant
from tests.reference.metrics import version_1
from tests.reference.payloads import payloads
from tests.strategies import LANDED_LATE, STARTED_AT, Scenario, scenarios

EXPERIMENT = Experiment(
    environment_key="demo",
    feature="checkout",
    variants=[Variant("control", "control"), Variant("b", "treatment", 50), Variant("h", "holdout", 10)],
    metrics=[version_1(7, "purchase", "sum")],
    started_at=STARTED_AT,
    as_of=STARTED_AT + timedelta(days=9),
    data_version=1,
)


def object_of(*records: tuple[str, str, object]) -> LandingObject:
    """Exposures and purchases, an hour after the start."""
    at = (STARTED_AT + timedelta(hours=1)).isoformat()
    events = [
        {"event": event, "feature_name": "checkout", "identifier": who, "value": value, "timestamp": at}
        for who, event, value in records
    ]
    return LandingObject("one", "demo", LANDED_LATE, json.dumps({"events": events}).encode())


def test_a_batch_after_the_data_version_is_not_seen() -> None:
    early = object_of(("ann", "$flag_exposure", "b"), ("ann", "purchase", 3), ("hal", "$flag_exposure", "h"))
    late = object_of(("bob", "$flag_exposure", "control"), ("ann", "purchase", 4))
    exposures, results = payloads([[early], [late]], EXPERIMENT)
    assert exposures["timeseries"]["points"] == [{"bucket": "2026-03-01T00:00:00Z", "new_identities": {"b": 1, "h": 1}}]
    assert results == {
        "phase": 1,
        "earlier_phases": 0,
        "srm_p_value": None,
        "srm": {"chi_square": None, "degrees_of_freedom": None},
        "metrics": [
            {
                "metric_id": 7,
                "variants": {
                    "control": {"n": 0, "sum": 0.0, "sum_squares": 0.0},
                    "b": {"n": 1, "sum": 3.0, "sum_squares": 9.0},
                },
                "inference": {"b": None},
                "standard_error": {"b": None},
                "values": {"control": 0, "b": 1},
                "invalid_values": {"control": 0, "b": 0},
                "nonzero": {"control": 0, "b": 1},
                "with_value": {"control": 0, "b": 1},
                "largest": {"control": None, "b": 3.0},
            }
        ],
    }


@pytest.mark.parametrize(("unreadable", "withheld"), [(0, False), (1, False), (2, True)])
def test_e5_over_1_percent_of_values_that_are_no_numbers_withhold_the_verdict(unreadable: int, withheld: bool) -> None:
    prices = [f"{number},000" if number < unreadable else number for number in range(100)]
    bought = [("ann", "purchase", price) for price in prices]
    exposed = [("ann", "$flag_exposure", "control"), ("hal", "$flag_exposure", "h"), ("hal", "purchase", "?")]
    _, results = payloads([[object_of(*exposed, *bought)]], EXPERIMENT)
    (metric,) = results["metrics"]
    assert metric["values"] == {"control": 100, "b": 0}
    assert metric["invalid_values"] == {"control": unreadable, "b": 0}
    assert metric.get("verdict") == ({"b": "inconclusive"} if withheld else None)
    assert metric.get("reason") == ({"b": "unreadable_values"} if withheld else None)


@given(scenario=scenarios())
@settings(max_examples=12, deadline=None)
def test_e4_delivering_everything_twice_and_shuffled_changes_nothing(scenario: Scenario) -> None:
    assert_delivering_again_changes_nothing(scenario)


@pytest.mark.slow
@given(scenario=scenarios())
@settings(max_examples=100, deadline=None)
def test_e4_delivering_many_things_twice_and_shuffled_changes_nothing(scenario: Scenario) -> None:
    assert_delivering_again_changes_nothing(scenario)


def assert_delivering_again_changes_nothing(scenario: Scenario) -> None:
    """Compute a scenario's payloads of its lines, and of all of them twice in another order."""
    shuffled = []
    for objects in scenario.batches:
        lines = [(one, line) for one in objects for line in one.content.split(b"\n")] * 2
        Random(4).shuffle(lines)
        shuffled.append([LandingObject(one.name, one.environment_key, one.landed_at, line) for one, line in lines])
    assert payloads(shuffled, scenario.experiment) == payloads(scenario.batches, scenario.experiment)


@pytest.mark.parametrize("reason", sorted(strategies.DEFECTS))
def test_every_defect_that_is_drawn_has_its_reason(reason: str) -> None:
    record = {"event": '"signup"', "identifier": '"a"', "timestamp": "1772323200000"} | strategies.DEFECTS[reason]
    (outcome,) = parse_object(LandingObject("one", "demo", LANDED_LATE, strategies.written(record)))
    assert outcome == Rejected(reason, "one", 1)


@pytest.mark.parametrize("reason", sorted(strategies.BROKEN_LINES))
def test_every_broken_line_that_is_drawn_has_its_reason(reason: str) -> None:
    for line in strategies.BROKEN_LINES[reason]:
        assert list(parse_object(LandingObject("one", "demo", LANDED_LATE, line))) == [Rejected(reason, "one", 1)]
