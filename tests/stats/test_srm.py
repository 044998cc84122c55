"""Sample ratio mismatch: rules S1-S3, and a sequential test that is the Bayes factor it claims to be."""

import math

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.srm import (
    CONCENTRATIONS,
    SRM_ALPHA,
    AnytimeSrmTest,
    SrmTest,
    _log10_chi2_tail,
    anytime_srm_test,
    srm_test,
)
from tests.stats.arms import SMALLEST

HALVES = {"control": 50.0, "b": 50.0}


def fixed(counts: dict[str, int], shares: dict[str, float]) -> SrmTest:
    test = srm_test(counts, shares)
    assert isinstance(test, SrmTest)
    return test


def anytime(counts: dict[str, int], shares: dict[str, float]) -> AnytimeSrmTest:
    test = anytime_srm_test(counts, shares)
    assert isinstance(test, AnytimeSrmTest)
    return test


def test_srm__shares_in_percent__are_normalised() -> None:
    test = fixed({"control": 520, "b": 480}, HALVES)
    assert test == fixed({"control": 520, "b": 480}, {"control": 0.5, "b": 0.5})
    assert (test.chi2, test.dof, test.expected) == (1.6, 1, {"control": 500.0, "b": 500.0})
    assert not test.mismatch


def test_srm__arm_with_share_0_and_arm_without_one__leave_the_test() -> None:
    shares = HALVES | {"off": 0.0, "rounded": 1.4e-14}
    counts = {"control": 520, "b": 480, "off": 30, "rounded": 2, "unknown": 70}
    assert fixed(counts, shares) == fixed({"control": 520, "b": 480}, HALVES)
    assert anytime(counts, shares) == anytime({"control": 520, "b": 480}, HALVES)


def test_srm__arm_without_identities__counts_as_0() -> None:
    assert fixed({"control": 100}, HALVES) == fixed({"control": 100, "b": 0}, HALVES)
    assert fixed({"control": 100}, HALVES).mismatch


@pytest.mark.parametrize(
    ("counts", "shares", "reason"),
    [
        ({"control": 50, "b": 49}, HALVES, "fewer_than_100_identities"),
        ({"control": 50, "b": 49, "unknown": 500}, HALVES, "fewer_than_100_identities"),
        ({"control": 500, "b": 0}, {"control": 100.0, "b": 0.0}, "fewer_than_two_arms"),
        ({"control": 500}, {"control": 1.0}, "fewer_than_two_arms"),
        ({}, {}, "fewer_than_two_arms"),
    ],
)
def test_srm__cannot_be_tested__says_why(counts: dict[str, int], shares: dict[str, float], reason: str) -> None:
    assert srm_test(counts, shares) == anytime_srm_test(counts, shares) == NotComputable(reason)


def test_srm__p_underflows__log10_p_stands() -> None:
    test = fixed({"control": 1_000_000, "b": 900}, HALVES)
    assert (test.p_value, test.mismatch) == (0.0, True)
    assert test.log10_p == pytest.approx(-216_580.4, rel=1e-3)


@given(st.lists(st.integers(0, 10**7), min_size=2, max_size=4).filter(lambda counts: sum(counts) >= 100), st.data())
def test_anytime_srm__any_counts__is_the_average_dirichlet_bayes_factor(counts: list[int], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(1, 100), min_size=len(counts), max_size=len(counts)))
    keys = [str(i) for i in range(len(counts))]
    test = anytime(dict(zip(keys, counts, strict=True)), dict(zip(keys, map(float, weights), strict=True)))
    mpmath.mp.dps = 40
    n, whole = sum(counts), sum(weights)
    factors = []
    for concentration in CONCENTRATIONS:
        log_factor = mpmath.loggamma(concentration) - mpmath.loggamma(concentration + n)
        for count, weight in zip(counts, weights, strict=True):
            share = mpmath.mpf(weight) / whole
            prior = concentration * share
            log_factor += mpmath.loggamma(prior + count) - mpmath.loggamma(prior) - count * mpmath.log(share)
        factors.append(mpmath.exp(log_factor))
    e_value = mpmath.fsum(factors) / len(factors)
    assert test.log10_e_value == pytest.approx(float(mpmath.log10(e_value)), rel=1e-9, abs=1e-9)
    assert test.p_value == pytest.approx(float(min(mpmath.mpf(1), 1 / e_value)), rel=1e-6, abs=1e-300)
    assert test.mismatch == (test.log10_e_value >= -math.log10(SRM_ALPHA))


def test_anytime_srm__gross_mismatch__alarms_within_the_first_hundreds() -> None:
    assert anytime({"control": 140, "b": 60}, HALVES).mismatch
    assert anytime({"control": 600, "b": 400}, HALVES).mismatch
    assert not anytime({"control": 530, "b": 470}, HALVES).mismatch


def test_anytime_srm__near_2_to_the_53__keeps_its_digits() -> None:
    at_expectation = anytime({"control": 2**52, "b": 2**52}, HALVES)
    assert at_expectation.log10_e_value == pytest.approx(-5.9, abs=0.5)  # half the log of n over the concentration
    assert not at_expectation.mismatch


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
