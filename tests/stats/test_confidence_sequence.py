"""The anytime-valid interval: one mixture behind interval and p-value, tuned by the design alone."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.stats.confidence_sequence import (
    BLUR,
    DISTANCE,
    FIXED_SAMPLE_INFORMATION,
    anytime_effect,
    boundary,
    log_mixture,
    pooled_standard_error,
    scaled_information,
)
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.normal import lower_quantile, two_sided_quantile
from tests.stats.arms import CONSTANT, CONTROL, SMALLEST, TREATMENT

DESIGN = Design(mde=0.1, baseline=0.1)


def effect_of(value: float, standard_error: float) -> Effect:
    return Effect(value, standard_error, value - 2 * standard_error, value + 2 * standard_error)


@given(st.floats(-300, 300), st.floats(1e-9, 0.99))
def test_boundary__any_information_and_level__is_where_the_mixture_reaches_it(exponent: float, alpha: float) -> None:
    information = np.array(10.0 ** (exponent / 10))
    z = boundary(information, alpha)
    assert log_mixture(z, information) == pytest.approx(-math.log(alpha), abs=1e-9)


@given(st.floats(0, 30), st.floats(0.01, 1_000))
def test_log_mixture__closed_form__is_the_average_likelihood_ratio(z: float, information: float) -> None:
    deltas = np.linspace(-60 * BLUR, 60 * BLUR, 40_001)
    weights = sum(np.exp(-(((deltas - side * DISTANCE) / BLUR) ** 2) / 2) for side in (-1, 1))
    score = z * math.sqrt(information)
    exponents = deltas * score - deltas * deltas * information / 2
    average = np.log(np.average(np.exp(exponents - exponents.max()), weights=weights)) + exponents.max()
    assert log_mixture(np.array(z), np.array(information)) == pytest.approx(average, abs=1e-6)


@given(st.floats(-0.1, 0.1), st.floats(1e-4, 1e-1), st.floats(1e-6, 0.5))
def test_anytime_effect__interval_and_p_value__agree_on_zero(value: float, error: float, alpha: float) -> None:
    found = anytime_effect(effect_of(value, error), CONTROL, TREATMENT, DESIGN, alpha=alpha)
    if abs(found.p_value - alpha) > 1e-9 * alpha:
        assert (found.ci_low > 0 or found.ci_high < 0) == (found.p_value < alpha)


def test_anytime_effect__wider_than_the_fixed_interval__at_every_information() -> None:
    information = np.logspace(-20, 20, 200)
    assert (boundary(information, 0.05) > two_sided_quantile(0.05)).all()


def test_scaled_information__design__counts_in_its_effect() -> None:
    assert scaled_information(0.01, 10, 10, DESIGN) == pytest.approx(1.0)  # mde times baseline is one standard error
    assert scaled_information(0.005, 10, 10, DESIGN) == pytest.approx(4.0)


@pytest.mark.parametrize("design", [Design(), Design(mde=0.1), Design(baseline=0.1), Design(mde=0.1, baseline=0.0)])
def test_scaled_information__no_complete_design__counts_identities_not_data(design: Design) -> None:
    for standard_error in (1e-3, 1.0, 1e6):
        found = scaled_information(standard_error, 10_000, 10_000, design)
        assert found == pytest.approx(FIXED_SAMPLE_INFORMATION)
    assert scaled_information(1.0, 5_000, 5_000, design) == pytest.approx(FIXED_SAMPLE_INFORMATION / 2)


def test_fixed_sample_information__is_that_of_80_percent_power_at_5_percent() -> None:
    exact = (two_sided_quantile(0.05) + lower_quantile(0.8)) ** 2
    assert pytest.approx(exact, abs=1e-3) == FIXED_SAMPLE_INFORMATION


def test_anytime_effect__no_variance__is_certain() -> None:
    same, other = effect(CONSTANT, CONSTANT), effect(CONSTANT, VariantAggregate(50, 0.2, 0.0))
    assert isinstance(same, Effect)
    assert isinstance(other, Effect)
    nothing = anytime_effect(same, CONSTANT, CONSTANT, DESIGN)
    assert (nothing.ci_low, nothing.ci_high, nothing.p_value) == (0.0, 0.0, 1.0)
    something = anytime_effect(other, CONSTANT, CONSTANT, DESIGN)
    assert (something.ci_low, something.ci_high, something.p_value) == (0.1, 0.1, 0.0)


def test_anytime_effect__small_arm_without_a_single_buyer__is_not_certain() -> None:
    control = VariantAggregate(540, 0.08, 540 * 0.2)
    treatment = VariantAggregate(60, 0.0, 0.0)  # one arm in twenty of this size has no buyer, by chance alone
    absolute = effect(control, treatment)
    assert isinstance(absolute, Effect)
    assert abs(absolute.value) > 4 * absolute.standard_error
    found = anytime_effect(absolute, control, treatment, Design(mde=0.5, baseline=0.08))
    assert found.ci_low < 0 < found.ci_high
    assert found.p_value > 0.5


def test_pooled_standard_error__equal_arms__is_the_effect_s_own() -> None:
    absolute = effect(CONTROL, CONTROL)
    assert isinstance(absolute, Effect)
    assert pooled_standard_error(CONTROL, CONTROL) == pytest.approx(absolute.standard_error, rel=1e-12)


@pytest.mark.parametrize("z", [2.5, 5.0, 12.0, 25.0, 36.0, 37.5])
def test_anytime_p__down_to_1e_300__is_exact(z: float) -> None:
    design, arm, error = Design(mde=0.1, baseline=0.1), VariantAggregate(1_000, 0.1, 0.0), 2.0**-12
    for size in (error, error / 8):  # little information and much
        effect = Effect(z * size, size, (z - 2) * size, (z + 2) * size)
        info, t, d = (mpmath.mpf(x) for x in (scaled_information(size, 1_000, 1_000, design), BLUR, DISTANCE))
        v, score = 1 + info * t * t, mpmath.mpf(z) * mpmath.sqrt(info)
        m = mpmath.exp((score**2 * t**2 - info * d * d) / (2 * v)) * mpmath.cosh(score * d / v) / mpmath.sqrt(v)
        if SMALLEST < 1 / m < 1:
            assert anytime_effect(effect, arm, arm, design).p_value == pytest.approx(float(1 / m), rel=1e-10)
