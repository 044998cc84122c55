"""The anytime-valid interval: one mixture behind interval and p-value, tuned by the design alone."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.stats.confidence_sequence import (
    BLUR,
    DISTANCE,
    anytime_effect,
    boundary,
    log_mixture,
)
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.evidence import UNPLANNED, Evidence, Mixture
from experiment_pipeline.stats.normal import two_sided_quantile
from tests.stats.arms import CONSTANT, CONTROL, SMALLEST, TREATMENT

ONE: Mixture = ((1.0, 1.0),)
TENTH: Mixture = ((0.1, 1.0),)
MIXTURES = st.sampled_from([ONE, TENTH, UNPLANNED])


def effect_of(value: float, standard_error: float) -> Effect:
    return Effect(value, standard_error, value - 2 * standard_error, value + 2 * standard_error)


@given(st.floats(-300, 300), st.floats(1e-9, 0.99), MIXTURES)
def test_boundary__any_evidence_and_level__is_where_the_mixture_reaches_it(
    exponent: float, alpha: float, mixture: Mixture
) -> None:
    evidence = np.array(10.0 ** (exponent / 10))
    z = boundary(evidence, mixture, alpha)
    assert log_mixture(z, evidence, mixture) == pytest.approx(-math.log(alpha), abs=1e-9)


@given(st.floats(0, 30), st.floats(0.01, 1_000))
def test_log_mixture__closed_form__is_the_average_likelihood_ratio(z: float, information: float) -> None:
    deltas = np.linspace(-60 * BLUR, 60 * BLUR, 40_001)
    weights = sum(np.exp(-(((deltas - side * DISTANCE) / BLUR) ** 2) / 2) for side in (-1, 1))
    score = z * math.sqrt(information)
    exponents = deltas * score - deltas * deltas * information / 2
    average = np.log(np.average(np.exp(exponents - exponents.max()), weights=weights)) + exponents.max()
    assert log_mixture(np.array(z), np.array(information), ONE) == pytest.approx(average, abs=1e-6)
    assert log_mixture(np.array(z), np.array(information * 100), TENTH) == pytest.approx(average, abs=1e-6)


@given(st.floats(0, 30), st.floats(0.01, 1e6))
def test_log_mixture__several_lifts__is_the_mean_of_theirs(z: float, evidence: float) -> None:
    def m(mixture: Mixture) -> float:
        return math.exp(float(log_mixture(np.array(z), np.array(evidence), mixture)))

    assert math.fsum(weight for _, weight in UNPLANNED) == pytest.approx(1)
    assert m(UNPLANNED) == pytest.approx(math.fsum(w * m(((lift, 1.0),)) for lift, w in UNPLANNED), rel=1e-9)


@given(st.floats(-0.1, 0.1), st.floats(1e-4, 1e-1), st.floats(0, 1e6), MIXTURES, st.floats(1e-6, 0.5))
def test_anytime_effect__interval_and_p_value__agree_on_zero(
    value: float, error: float, amount: float, mixture: Mixture, alpha: float
) -> None:
    found = anytime_effect(effect_of(value, error), CONTROL, TREATMENT, Evidence(amount, mixture), alpha=alpha)
    if abs(found.p_value - alpha) > 1e-9 * alpha:
        assert (found.ci_low > 0 or found.ci_high < 0) == (found.p_value < alpha)


def test_anytime_effect__wider_than_the_fixed_interval__at_every_information() -> None:
    evidence = np.logspace(-20, 20, 200)
    for mixture in (ONE, UNPLANNED):
        assert (boundary(evidence, mixture, 0.05) > two_sided_quantile(0.05)).all()


def test_anytime_effect__no_evidence__has_an_interval_that_holds_everything() -> None:
    found = anytime_effect(effect_of(0.05, 0.001), CONTROL, CONTROL, Evidence(0.0, UNPLANNED))
    assert found.ci_low < -1e6
    assert found.ci_high > 1e6
    assert found.p_value > 0.99


def test_anytime_effect__no_variance__is_certain() -> None:
    same, other = effect(CONSTANT, CONSTANT), effect(CONSTANT, VariantAggregate(50, 0.2, 0.0))
    assert isinstance(same, Effect)
    assert isinstance(other, Effect)
    nothing = anytime_effect(same, CONSTANT, CONSTANT, Evidence(1.0, ONE))
    assert (nothing.ci_low, nothing.ci_high, nothing.p_value) == (0.0, 0.0, 1.0)
    something = anytime_effect(other, CONSTANT, CONSTANT, Evidence(1.0, ONE))
    assert (something.ci_low, something.ci_high, something.p_value) == (0.1, 0.1, 0.0)


def test_anytime_effect__small_arm_without_a_single_buyer__is_not_certain() -> None:
    control = VariantAggregate(540, 0.08, 540 * 0.2)
    treatment = VariantAggregate(60, 0.0, 0.0)  # one arm in twenty of this size has no buyer, by chance alone
    absolute = effect(control, treatment)
    assert isinstance(absolute, Effect)
    assert abs(absolute.value) > 4 * absolute.standard_error
    found = anytime_effect(absolute, control, treatment, Evidence(15.0, ((0.5, 1.0),)))
    assert found.ci_low < 0 < found.ci_high
    assert found.p_value > 0.5


@pytest.mark.parametrize("z", [2.5, 5.0, 12.0, 25.0, 36.0, 37.5])
def test_anytime_p__down_to_1e_300__is_exact(z: float) -> None:
    arm, error = VariantAggregate(1_000, 0.1, 0.0), 2.0**-12
    for size in (error, error / 8):  # little information and much
        effect = Effect(z * size, size, (z - 2) * size, (z + 2) * size)
        evidence = Evidence((0.01 / size) ** 2, ONE)
        info, t, d = (mpmath.mpf(x) for x in (evidence.amount, BLUR, DISTANCE))
        v, score = 1 + info * t * t, mpmath.mpf(z) * mpmath.sqrt(info)
        m = mpmath.exp((score**2 * t**2 - info * d * d) / (2 * v)) * mpmath.cosh(score * d / v) / mpmath.sqrt(v)
        if SMALLEST < 1 / m < 1:
            assert anytime_effect(effect, arm, arm, evidence).p_value == pytest.approx(float(1 / m), rel=1e-10)
