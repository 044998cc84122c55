"""CUPED: the same metric from before the first exposure takes out what identities differed by already (rule M11)."""

import math
from dataclasses import dataclass

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.stats.not_computable import NotComputable


@dataclass(frozen=True, slots=True)
class CupedAdjustment:
    """Both arms after adjustment, to be given to every method in place of the plain ones.

    control:            its mean is the unadjusted one, so a lift is relative to what control really did
    theta:              the pooled slope of the metric on its pre-period
    variance_reduction: share of the arms' variance that the pre-period explained; 0.5 halves the sample needed
    """

    control: VariantAggregate
    treatment: VariantAggregate
    theta: float
    variance_reduction: float


def cuped(control: PairAggregate, treatment: PairAggregate) -> CupedAdjustment | NotComputable:
    """Return both arms adjusted by Deng, Xu, Kohavi and Walker (2013).

    Each identity's value becomes `y - theta (x - mean_x)`, x the metric over the pre-period.

    `theta = (c_xy,c + c_xy,t) / (m2_x,c + m2_x,t)`, pooled within arms, so that the effect cannot leak into it. x is
    centred at control's mean: control's mean stays, the treatment's becomes
    `mean_y - theta (mean_x,t - mean_x,c)`, and the effect is the same as with any other centre.
    Withheld, and the plain arms are to be used: `fewer_than_two_identities`; `pre_period_without_variance`;
    `out_of_range`.

    Example:
        >>> control = PairAggregate.of([(1, 10.0), (2, 22.0), (3, 29.0)])
        >>> treatment = PairAggregate.of([(1, 12.0), (2, 23.0), (4, 41.0)])
        >>> adjusted = cuped(control, treatment)
        >>> round(adjusted.theta, 2), round(adjusted.variance_reduction, 2)
        (9.55, 0.99)
    """
    if control.n < 2 or treatment.n < 2:
        return NotComputable("fewer_than_two_identities")
    m2_x, m2_y = control.m2_x + treatment.m2_x, control.m2_y + treatment.m2_y
    if m2_x == 0:
        return NotComputable("pre_period_without_variance")
    theta = (control.c_xy + treatment.c_xy) / m2_x
    shift = theta * (treatment.mean_x - control.mean_x)
    try:
        adjusted_c = VariantAggregate(control.n, control.mean_y, control.residual_m2(theta))
        adjusted_t = VariantAggregate(treatment.n, treatment.mean_y - shift, treatment.residual_m2(theta))
    except ValueError:
        return NotComputable("out_of_range")
    reduction = 1 - (adjusted_c.m2 + adjusted_t.m2) / m2_y if m2_y else 0.0
    if not math.isfinite(reduction):
        return NotComputable("out_of_range")
    return CupedAdjustment(adjusted_c, adjusted_t, theta, variance_reduction=reduction)
