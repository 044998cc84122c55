"""Quantiles: the order statistics whose interval covers that of a distribution, and what they tell of its error.

Rules M12 and C12.
"""

import math

from experiment_pipeline.domain.aggregates import QuantileEstimate, VariantAggregate
from experiment_pipeline.stats.not_computable import NotComputable

Z_95 = 1.959963984540054
LOPSIDED = 2  # one side of the interval this many times the other: the quantile lies beside a gap, or at ties


def interval_ranks(q: float, n: int, share_error: float) -> tuple[int | None, int | None]:
    """Return the ranks of the order statistics that the interval of a quantile reaches from and to, at 95 %.

    The share of values below the quantile is q, give or take its standard error; turned around, the quantile lies
    between the values at the ranks of both ends (Woodruff 1952, "Confidence intervals for medians and other position
    measures"). It needs no density, and holds for values with ties.

    Args:
        q: the share, between 0 and 1, exclusive.
        n: values, 1 or more.
        share_error: standard error of the share of values that lie at the quantile or below: `sqrt(q (1 - q) / n)` for
            independent values, larger for those that come in clusters.

    Returns:
        The lower and the upper rank, from 1 to n; None for one that lies beyond.

    Example:
        >>> interval_ranks(0.5, 100, 0.05)
        (40, 61)
    """
    reach = Z_95 * n * share_error
    low, high = math.floor(n * q - reach), math.ceil(n * q + reach) + 1
    return (low if low >= 1 else None), (high if high <= n else None)


def quantile_aggregate(estimate: QuantileEstimate) -> VariantAggregate | NotComputable:
    """Return the aggregate of an arm's quantile: its mean is the quantile, `m2 / (n - 1) / n` its squared error.

    The standard error is the width of the interval of order statistics over `2 z`. Where one side of the interval is
    more than twice the other, it is that side over z: half of a population that is 1 or 2 has a median of 1 or 2 by
    chance, with 1 and 2 as interval in both arms, and on half its width such arms differ in half of all A/A tests.
    docs/adr/0040 has what was measured.
    Withheld: `too_few_values` where the interval reaches beyond the smallest or the largest value; `out_of_range`.

    Example:
        >>> found = quantile_aggregate(QuantileEstimate(n=1_000, value=2.0, low=1.8, high=2.2))
        >>> found.n, found.mean, round((found.m2 / 999 / 1_000) ** 0.5, 3)
        (1000, 2.0, 0.102)
    """
    if estimate.low is None or estimate.high is None or estimate.n < 2:
        return NotComputable("too_few_values")
    below, above = estimate.value - estimate.low, estimate.high - estimate.value
    is_lopsided = max(below, above) > LOPSIDED * min(below, above)
    half = max(below, above) if is_lopsided else (below + above) / 2
    error = half / Z_95
    m2 = error * math.sqrt(estimate.n) * error * math.sqrt(estimate.n) * (estimate.n - 1)
    if not (math.isfinite(estimate.value) and math.isfinite(m2)):
        return NotComputable("out_of_range")
    return VariantAggregate(n=estimate.n, mean=estimate.value, m2=m2)
