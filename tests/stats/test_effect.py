"""The absolute effect: exact where there is no variance, withheld where there is no answer."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.aggregates import EMPTY, VariantAggregate
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.frequentist import welch_test
from experiment_pipeline.stats.lift import Lift, lift
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.warehouse.duckdb.moments import Moments
from tests.stats.arms import CONSTANT, CONTROL, TREATMENT, effect_between, lift_between


def test_effect__two_arms__is_the_difference_with_both_variances() -> None:
    found = effect_between(CONTROL, TREATMENT)
    error = math.sqrt(90 / 999 / 1_000 + 1_100 * 0.13 * 0.87 / 1_099 / 1_100)
    assert (found.value, found.standard_error) == pytest.approx((0.03, error), rel=1e-12)
    assert (found.ci_low, found.ci_high) == pytest.approx((0.03 - 1.959964 * error, 0.03 + 1.959964 * error), rel=1e-6)


@given(st.floats(0.01, 100), st.floats(1e-3, 1e3))
def test_effect__other_unit__scales_with_it(mean: float, unit: float) -> None:
    def arm(factor: float) -> VariantAggregate:
        return VariantAggregate(200, factor * mean * unit, 50 * unit * unit)

    scaled = effect_between(arm(1.0), arm(1.2))
    plain = effect(VariantAggregate(200, mean, 50), VariantAggregate(200, 1.2 * mean, 50))
    assert isinstance(plain, Effect)
    assert (scaled.value, scaled.standard_error) == pytest.approx((plain.value * unit, plain.standard_error * unit))


def test_effect__no_variance_in_both_arms__is_certain() -> None:
    found = effect_between(CONSTANT, VariantAggregate(50, 0.15, 0.0))
    assert (found.standard_error, found.ci_low, found.ci_high) == (0.0, found.value, found.value)


def test_effect__what_rounding_leaves__is_no_difference() -> None:
    spent = VariantAggregate.of([0.1] * 1_000)
    rounded = VariantAggregate(1_000, spent.mean * (1 + 1e-15), 1e-31)
    assert effect_between(spent, rounded) == Effect(0.0, 0.0, 0.0, 0.0)
    assert lift_between(spent, rounded) == Lift(0.0, 0.0, 0.0)


def test_effect__small_difference_of_large_means__is_an_effect() -> None:
    """Moments from exact sums decide what rounding can do: the mean is off by a few units of its last place."""
    spread = 10 * np.random.default_rng(1).standard_normal(1_000_000)
    control, treatment = (Moments.of(1e12 + shift + spread).aggregate for shift in (0.0, 0.9))
    assert control is not None
    assert treatment is not None
    found = effect_between(control, treatment)
    assert found.value == pytest.approx(0.9, abs=1e-3)
    assert found.value / found.standard_error == pytest.approx(64, abs=1)
    assert effect_between(control, dataclasses.replace(treatment, mean=control.mean)).value == 0.0


def test_effect__small_deviations_of_large_values__are_not_certainty() -> None:
    arm = VariantAggregate(1_000_000, 1e12, 0.25 * 999_999)
    assert effect_between(arm, arm).standard_error == pytest.approx(0.5 * math.sqrt(2e-6), rel=1e-9)


@pytest.mark.parametrize("arm", [EMPTY, VariantAggregate(1, 3.0, 0.0)])
def test_effect__fewer_than_two_identities__is_withheld(arm: VariantAggregate) -> None:
    reason = NotComputable("fewer_than_two_identities")
    for method in (effect, lift, welch_test):
        assert method(arm, TREATMENT) == method(CONTROL, arm) == reason


def test_effect__moments_near_the_end_of_floats__is_withheld() -> None:
    huge, tiny = VariantAggregate(100, 1e300, 1e300), VariantAggregate(100, -1e300, 0.0)
    assert effect(huge, tiny) == welch_test(huge, tiny) == NotComputable("out_of_range")
    assert lift(VariantAggregate(100, 1e-300, 0.0), huge) == NotComputable("out_of_range")
