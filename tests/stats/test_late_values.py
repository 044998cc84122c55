"""Means in which identities without a value count as 0: the part of the difference that is of who has one (rule C1)."""

import numpy as np
import pytest

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.stats.confidence_sequence import anytime_effect, boundary
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.evidence import UNPLANNED, Evidence
from experiment_pipeline.stats.late_values import widened_for_late_values

N = 10_000  # identities of either arm
PLANNED = Evidence(10_000.0, ((0.1, 1.0),))


def arm(with_value: int, mean: float, deviation: float) -> VariantAggregate:
    """Return an arm of which some have values of this mean and deviation, and the others count as 0."""
    total = with_value * mean
    return VariantAggregate(N, total / N, with_value * (mean**2 + deviation**2) - total**2 / N)


@pytest.mark.parametrize("with_value", [0, N])
def test_late_values__all_or_none_have_one__change_nothing(with_value: int) -> None:
    both = arm(with_value, 5.0, 2.0)
    assert widened_for_late_values(PLANNED, both, both, (with_value, with_value)) == PLANNED


def test_late_values__no_deviation_or_no_evidence__change_nothing() -> None:
    constant = VariantAggregate(N, 5.0, 0.0)
    assert widened_for_late_values(PLANNED, constant, constant, (9, 9)) == PLANNED
    both, nothing = arm(9_000, 5.0, 2.0), Evidence(0.0, UNPLANNED)
    assert widened_for_late_values(nothing, both, both, (9_000, 9_000)) == nothing


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_late_values__equal_values__are_judged_as_who_has_one__c1(unit: float) -> None:
    both = arm(9_000, unit, 0.0)
    odds = 9.0
    as_conversion = float(boundary(np.array(N / 2 * odds * (1 + odds**2)), UNPLANNED, 0.05))
    own = float(boundary(np.array(PLANNED.amount), PLANNED.mixture, 0.05))
    found = widened_for_late_values(PLANNED, both, both, (9_000, 9_000))
    assert found.error_factor == pytest.approx(as_conversion / own, rel=1e-3)
    assert found.error_factor > 1.2


def test_late_values__that_differ_more_or_are_nearly_all_there__matter_less__c1() -> None:
    factors = [
        widened_for_late_values(PLANNED, both, both, (count, count)).error_factor
        for count, both in ((9_000, arm(9_000, 1.0, deviation)) for deviation in (0.0, 0.5, 2.0, 20.0))
    ]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == pytest.approx(1, abs=0.01)
    nearly = arm(9_999, 1.0, 0.5)
    assert widened_for_late_values(PLANNED, nearly, nearly, (9_999, 9_999)).error_factor == pytest.approx(1, abs=0.01)


def test_error_factor__interval_and_p_value__are_those_of_the_larger_error() -> None:
    arms = arm(9_000, 1.0, 0.5), arm(9_000, 1.03, 0.5)
    difference = effect(*arms)
    assert isinstance(difference, Effect)
    plain = anytime_effect(difference, *arms, Evidence(10_000.0, UNPLANNED))
    wider = anytime_effect(difference, *arms, Evidence(10_000.0, UNPLANNED, error_factor=1.5))
    assert wider.ci_high - wider.ci_low == pytest.approx(1.5 * (plain.ci_high - plain.ci_low))
    assert plain.p_value < 0.05 < wider.p_value
    assert plain.ci_low > 0 > wider.ci_low
