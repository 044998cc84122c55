"""Tail probabilities against mpmath: 1e-8 relative down to 1e-300."""

import mpmath
import numpy as np
import pytest

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.stats.confidence_sequence import BLUR, DISTANCE, anytime_effect, scaled_information
from experiment_pipeline.stats.effect import Effect
from experiment_pipeline.stats.frequentist import two_sided_t_p
from experiment_pipeline.stats.normal import two_sided_p
from experiment_pipeline.stats.srm import SrmTest, _log10_chi2_tail, srm_test

SMALLEST = mpmath.mpf("1e-300")


@pytest.fixture(autouse=True)
def _forty_digits() -> None:
    mpmath.mp.dps = 40


def test_two_sided_p__down_to_1e_300__is_exact() -> None:
    for z in np.linspace(0, 37, 75).tolist():
        exact = mpmath.erfc(mpmath.mpf(z) / mpmath.sqrt(2))
        assert exact > SMALLEST
        assert two_sided_p(z) == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("dof", [1.0, 2.5, 10.0, 99.3, 1e3, 123_456.7])
def test_two_sided_t_p__down_to_1e_300__is_exact(dof: float) -> None:
    for t in (0.0, 1e-3, 0.1, 1.0, 2.0, 3.3, 8.0, 15.0, 25.0, 36.5):
        d, x = mpmath.mpf(dof), mpmath.mpf(t)
        exact = mpmath.betainc(d / 2, mpmath.mpf(1) / 2, 0, d / (d + x * x), regularized=True)
        if exact > SMALLEST:
            assert two_sided_t_p(t, dof) == pytest.approx(float(exact), rel=1e-8)


@pytest.mark.parametrize("arms", [2, 3, 6, 51])
def test_srm_p__down_to_1e_300__is_exact(arms: int) -> None:
    shares = dict.fromkeys(map(str, range(arms)), 1.0)
    for surplus in (0, 30, 100, 400, 1_000, 3_000, 10_000):
        counts = dict.fromkeys(shares, 10_000) | {"0": 10_000 + surplus}
        test = srm_test(counts, shares)
        assert isinstance(test, SrmTest)
        exact = mpmath.gammainc(mpmath.mpf(arms - 1) / 2, mpmath.mpf(test.chi2) / 2, mpmath.inf, regularized=True)
        if exact > SMALLEST:
            assert test.p_value == pytest.approx(float(exact), rel=1e-8)
        assert test.log10_p == pytest.approx(float(mpmath.log10(exact)), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("dof", [1, 2, 7, 999])
@pytest.mark.parametrize("chi2", [3e3, 1e5])
def test_log10_chi2_tail__where_p_underflows__is_exact(dof: int, chi2: float) -> None:
    exact = mpmath.gammainc(mpmath.mpf(dof) / 2, mpmath.mpf(chi2) / 2, mpmath.inf, regularized=True)
    assert _log10_chi2_tail(dof, chi2) == pytest.approx(float(mpmath.log10(exact)), rel=1e-12)


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
