"""Planned looks: nothing is spent without new information, and the error is exactly alpha."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiment_pipeline.stats.group_sequential import (
    NEVER,
    drift_for_power,
    exit_probabilities,
    inflation,
    obrien_fleming_boundaries,
    obrien_fleming_spending,
    spending_boundaries,
)
from experiment_pipeline.stats.normal import two_sided_quantile

FRACTIONS = st.lists(st.floats(1e-6, 1.5), min_size=1, max_size=6)


@settings(max_examples=40)
@given(FRACTIONS, st.sampled_from([1e-6, 0.01, 0.05, 0.2]))
def test_spending_boundaries__any_order_of_information__spends_what_it_may(
    fractions: list[float], alpha: float
) -> None:
    boundaries = spending_boundaries(fractions, alpha)
    spent = exit_probabilities(fractions, boundaries).total
    allowed = obrien_fleming_spending(max(fractions), alpha)
    assert spent <= allowed + 1e-9
    if sorted(fractions) == fractions and fractions[-1] > 1.01 * max([0.0, *fractions[:-1]]):
        assert spent == pytest.approx(allowed, abs=1e-9) or boundaries[-1] == NEVER


def test_spending_boundaries__information_that_does_not_grow__spends_nothing() -> None:
    assert spending_boundaries([0.3, 0.25, 0.3, 0.3002, 0.9, 1.2, 1.3]) == pytest.approx(
        (spending_boundaries([0.3])[0], NEVER, NEVER, NEVER, *spending_boundaries([0.3, 0.9, 1.2])[1:], NEVER)
    )


def test_spending_boundaries__one_look_at_the_end__is_the_fixed_test() -> None:
    assert spending_boundaries([1.0]) == pytest.approx((two_sided_quantile(0.05),))
    assert obrien_fleming_boundaries(1) == pytest.approx((two_sided_quantile(0.05),))


@pytest.mark.parametrize("fractions", [(0.2, 0.4), (0.5, 0.501)], ids=["far_apart", "close_together"])
def test_spending_boundaries__two_looks__are_exact(fractions: tuple[float, float]) -> None:
    mpmath.mp.dps = 25
    first, second = spending_boundaries(fractions)
    spent = [mpmath.mpf(obrien_fleming_spending(t, 0.05)) for t in fractions]
    root = mpmath.sqrt(mpmath.mpf(fractions[0]) / mpmath.mpf(fractions[1]))  # the correlation of both looks
    rest = mpmath.sqrt(1 - root * root)

    def crosses(x: mpmath.mpf) -> mpmath.mpf:
        return mpmath.npdf(x) * mpmath.ncdf((root * x - second) / rest)

    edge = mpmath.mpf(first)
    at_second = 2 * mpmath.quad(crosses, mpmath.linspace(-edge, edge, math.ceil(6 / rest)))
    assert float(2 * mpmath.ncdf(-edge)) == pytest.approx(float(spent[0]), rel=1e-9)
    assert float(at_second) == pytest.approx(float(spent[1] - spent[0]), rel=1e-9)


def test_spending_boundaries__a_look_soon_after_another__is_as_accurate() -> None:
    assert spending_boundaries([0.5, 0.501, 1.0]) == pytest.approx((2.9625880, 3.0079983, 1.9687142), abs=5e-8)


def test_exit_probabilities__simulated_walks__agree() -> None:
    fractions, boundaries, drift = [0.25, 0.5, 1.0], [2.8, 2.5, 2.1], 2.0
    rng = np.random.default_rng(3)
    steps = np.diff(fractions, prepend=0.0)
    score = (rng.standard_normal((200_000, 3)) * np.sqrt(steps) + drift * steps).cumsum(axis=1)
    crossed = np.abs(score / np.sqrt(fractions)) >= boundaries
    running = np.cumprod(~crossed, axis=1)
    first = np.column_stack([crossed[:, 0], running[:, :-1] * crossed[:, 1:]]).mean(axis=0)
    found = exit_probabilities(fractions, boundaries, drift)
    assert np.add(found.upper, found.lower) == pytest.approx(first, abs=4e-3)
    assert found.total == pytest.approx(math.fsum(found.upper) + math.fsum(found.lower))


def test_drift_for_power__fixed_test__is_the_sum_of_the_quantiles() -> None:
    assert drift_for_power([1.0], obrien_fleming_boundaries(1)) == pytest.approx(2.8016, abs=1e-4)
    assert inflation([1.0], obrien_fleming_boundaries(1)) == pytest.approx(1.0, abs=1e-5)


def test_spending_boundaries__hundreds_of_looks__keep_the_error() -> None:
    fractions = [(k + 1) / 200 for k in range(200)]
    boundaries = spending_boundaries(fractions)
    assert exit_probabilities(fractions, boundaries).total == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize("fraction", [0.0, -0.1, math.nan, math.inf])
def test_fractions__not_positive_and_finite__are_refused_by_name(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"^fractions: "):
        spending_boundaries([0.1, fraction])


def test_arguments__impossible_ones__are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^looks: "):
        obrien_fleming_boundaries(0)
    with pytest.raises(ValueError, match=r"^boundaries: "):
        exit_probabilities([0.5, 1.0], [2.0])
    for boundary in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"^boundaries: "):
            exit_probabilities([1.0], [boundary])
    for power in (0.04, 1.0):
        with pytest.raises(ValueError, match=r"^power: "):
            drift_for_power([1.0], [1.96], power)


def test_planned_looks__extreme_levels_and_boundaries__have_probabilities() -> None:
    assert obrien_fleming_boundaries(1, 1 - 1e-12)[0] == pytest.approx(two_sided_quantile(1 - 1e-12))
    assert obrien_fleming_boundaries(1, 1 - 1e-16)[0] < 1e-14
    assert obrien_fleming_boundaries(1, 1e-300)[0] == pytest.approx(two_sided_quantile(1e-300))
    assert exit_probabilities([1e-90, 1e-90, 1.0], [2.0, 2.0, 1e300]).upper[1:] == (0.0, 0.0)
    assert exit_probabilities([0.5, 1.0], [2.0, 2.0], 1e90).upper == (1.0, 0.0), "nobody is left for the second look"
