"""The standard error of a quantile, from the order statistics around it (rule C12)."""

import math

import numpy as np
import pytest

from experiment_pipeline.domain.aggregates import QuantileEstimate, VariantAggregate
from experiment_pipeline.stats.effect import squared_standard_error
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.quantile import Z_95, interval_ranks, quantile_aggregate


def standard_error(value: float, low: float, high: float) -> float:
    found = quantile_aggregate(QuantileEstimate(400, value, low, high))
    assert isinstance(found, VariantAggregate)
    assert (found.n, found.mean) == (400, value)
    return math.sqrt(squared_standard_error(found))


@pytest.mark.parametrize(
    ("value", "low", "high", "half"),
    [
        (5.0, 4.0, 6.0, 1.0),
        (5.0, 4.0, 7.0, 1.5),  # twice as far above as below: still half of the width
        (5.0, 4.0, 7.1, 2.1),
        (5.0, 2.0, 6.0, 3.0),
        (5.0, 5.0, 6.0, 1.0),  # ties below
        (5.0, 5.0, 5.0, 0.0),
        (-5.0, -6.0, -4.0, 1.0),
    ],
)
def test_quantile_aggregate__interval__gives_half_of_it_or_its_larger_side__c12(
    value: float, low: float, high: float, half: float
) -> None:
    assert standard_error(value, low, high) == pytest.approx(half / Z_95, rel=1e-12)


@pytest.mark.parametrize(
    ("estimate", "reason"),
    [
        (QuantileEstimate(400, 5.0, None, 6.0), "too_few_values"),
        (QuantileEstimate(400, 5.0, 4.0, None), "too_few_values"),
        (QuantileEstimate(1, 5.0, 5.0, 5.0), "too_few_values"),
        (QuantileEstimate(400, 5.0, -1e300, 1e300), "out_of_range"),
        (QuantileEstimate(400, 5.0, -1.7e308, 1.7e308), "out_of_range"),
    ],
)
def test_quantile_aggregate__that_cannot_be_given__says_why(estimate: QuantileEstimate, reason: str) -> None:
    assert quantile_aggregate(estimate) == NotComputable(reason)


@pytest.mark.parametrize("step", [0.5, 0.52])
def test_quantile_aggregate__median_on_a_step__is_rarely_a_difference__c12(step: float) -> None:
    """Half of the values are 1: on half of the interval's width half of these A/A tests reject."""
    rng, n, rejected = np.random.default_rng(3), 400, 0
    low, high = (rank or 1 for rank in interval_ranks(0.5, n, math.sqrt(0.25 / n)))
    for _ in range(300):
        ordered = np.sort((rng.random((2, n)) < step).astype(float), axis=1)
        arms = [
            quantile_aggregate(QuantileEstimate(n, row[n // 2 - 1], row[low - 1], row[high - 1])) for row in ordered
        ]
        means = [arm.mean for arm in arms if isinstance(arm, VariantAggregate)]
        error = math.sqrt(sum(squared_standard_error(arm) for arm in arms if isinstance(arm, VariantAggregate)))
        rejected += abs(means[1] - means[0]) > Z_95 * error
    assert rejected <= 0.05 * 300


@pytest.mark.parametrize(
    ("q", "n", "error", "ranks"),
    [(0.5, 100, 0.05, (40, 61)), (0.5, 4, 0.25, (None, None)), (0.9, 100, 0.03, (84, 97)), (0.5, 10, 0.0, (5, 6))],
)
def test_interval_ranks__beyond_the_values__are_none__m12(
    q: float, n: int, error: float, ranks: tuple[int | None, int | None]
) -> None:
    assert interval_ranks(q, n, error) == ranks
