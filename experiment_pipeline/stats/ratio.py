"""Ratio metrics such as revenue per order, analysed per identity: the events of one identity are not independent.

An arm's ratio is reduced to a `VariantAggregate` whose mean is the ratio and whose variance is that of the delta
method, so that everything that works on means (effect, lift, chance to win, anytime-valid interval) works on ratios.
"""

import math

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.stats.not_computable import NotComputable


def ratio_aggregate(arm: PairAggregate) -> VariantAggregate | NotComputable:
    """Return the aggregate of an arm's ratio `R = mean_y / mean_x`, y the numerator and x the denominator per identity.

    The delta method (Deng, Knoblich and Lu 2018, "Applying the delta method in metric analytics") linearises each
    identity to `R + (y - R x) / mean_x`, whose mean is R and whose sum of squared deviations is
    `(m2_y - 2 R c_xy + R^2 m2_x) / mean_x^2`.
    Withheld: `denominator_not_positive`; `out_of_range`.

    Example:
        >>> orders_and_revenue = PairAggregate.of([(1, 10.0), (2, 22.0), (3, 29.0)])
        >>> found = ratio_aggregate(orders_and_revenue)
        >>> found.n, round(found.mean, 2), round(found.m2, 2)
        (3, 10.17, 1.26)
    """
    if arm.n == 0 or arm.mean_x <= 0:
        return NotComputable("denominator_not_positive")
    ratio = arm.mean_y / arm.mean_x
    m2 = arm.residual_m2(ratio) / arm.mean_x / arm.mean_x
    if not (math.isfinite(ratio) and math.isfinite(m2)):
        return NotComputable("out_of_range")
    return VariantAggregate(n=arm.n, mean=ratio, m2=m2)
