"""The absolute effect and its relative form: exact where there is no variance, withheld where there is no answer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.aggregates import EMPTY, VariantAggregate
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.frequentist import two_proportion_test, welch_test
from experiment_pipeline.stats.lift import Lift, lift
from experiment_pipeline.stats.normal import two_sided_quantile
from experiment_pipeline.stats.not_computable import NotComputable
from tests.stats.arms import CONSTANT, CONTROL, TREATMENT


def effect_between(control: VariantAggregate, treatment: VariantAggregate) -> Effect:
    found = effect(control, treatment)
    assert isinstance(found, Effect)
    return found


def lift_between(control: VariantAggregate, treatment: VariantAggregate, alpha: float = 0.05) -> Lift:
    found = lift(control, treatment, alpha=alpha)
    assert isinstance(found, Lift)
    return found


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


@pytest.mark.parametrize("arm", [EMPTY, VariantAggregate(1, 3.0, 0.0)])
def test_effect__fewer_than_two_identities__is_withheld(arm: VariantAggregate) -> None:
    reason = NotComputable("fewer_than_two_identities")
    for method in (effect, lift, welch_test):
        assert method(arm, TREATMENT) == method(CONTROL, arm) == reason


def test_effect__moments_near_the_end_of_floats__is_withheld() -> None:
    huge, tiny = VariantAggregate(100, 1e300, 1e300), VariantAggregate(100, -1e300, 0.0)
    assert effect(huge, tiny) == welch_test(huge, tiny) == NotComputable("out_of_range")
    assert lift(VariantAggregate(100, 1e-300, 0.0), huge) == NotComputable("out_of_range")


def test_welch__no_variance__is_withheld() -> None:
    assert welch_test(CONSTANT, CONSTANT) == NotComputable("no_variance")


def test_two_proportions__what_is_no_proportion__is_refused_by_name() -> None:
    nothing, all_of_them = VariantAggregate(50, 0.0, 0.0), VariantAggregate(50, 1.0, 0.0)
    assert two_proportion_test(nothing, nothing) == two_proportion_test(all_of_them, all_of_them)
    assert two_proportion_test(nothing, nothing) == NotComputable("no_variance")
    with pytest.raises(ValueError, match=r"^treatment: "):
        two_proportion_test(CONTROL, VariantAggregate(50, 1.2, 3.0))


@given(st.floats(0.05, 2), st.floats(0.001, 0.4), st.floats(0.001, 0.4), st.floats(0.01, 0.3))
def test_fieller__its_ends__are_ratios_that_the_test_just_fails_to_refute(
    ratio: float, error_c: float, error_t: float, alpha: float
) -> None:
    n = 1_000
    control = VariantAggregate(n, 1.0, error_c * error_c * n * (n - 1))
    treatment = VariantAggregate(n, ratio, error_t * error_t * n * (n - 1))
    found = lift(control, treatment, alpha=alpha)
    z = two_sided_quantile(alpha)
    if z * error_c >= 1:
        assert found == NotComputable("control_mean_not_distinguishable_from_zero")
        return
    assert isinstance(found, Lift)
    for end in (1 + found.ci_low, 1 + found.ci_high):
        assert abs(ratio - end) == pytest.approx(z * math.hypot(error_t, end * error_c), rel=1e-6, abs=1e-9)
    assert found.ci_low <= found.value <= found.ci_high


def test_delta__two_arms__is_the_symmetric_delta_method() -> None:
    found, absolute = lift(CONTROL, TREATMENT, interval="delta"), effect_between(CONTROL, TREATMENT)
    assert isinstance(found, Lift)
    ratio, squared = 1.3, (90 / 999 / 1_000, 1_100 * 0.13 * 0.87 / 1_099 / 1_100)
    error = math.sqrt(squared[1] + ratio * ratio * squared[0]) / 0.1
    assert (found.value, found.ci_high - found.value) == pytest.approx(
        (absolute.value / 0.1, 1.959964 * error), rel=1e-6
    )
    assert found.value - found.ci_low == pytest.approx(found.ci_high - found.value)


@pytest.mark.parametrize("mean", [0.0, -0.1, -1e-300])
def test_lift__control_mean_not_positive__is_withheld(mean: float) -> None:
    assert lift(VariantAggregate(100, mean, 9.0), TREATMENT) == NotComputable("control_mean_not_positive")


def test_lift__unknown_interval__is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^interval: "):
        lift(CONTROL, TREATMENT, interval="exact")  # type: ignore[arg-type]
