"""Quantiles: the order statistics whose interval covers the quantile of a distribution (rule M12)."""

import math

Z_95 = 1.959963984540054


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
