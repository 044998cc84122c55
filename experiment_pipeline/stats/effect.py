"""The absolute effect of a treatment: the difference of two means and what is known about it."""

import math
from dataclasses import dataclass

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.stats.normal import two_sided_quantile
from experiment_pipeline.stats.not_computable import NotComputable

LARGEST = 1e150  # the square of anything larger is not a float

# What rounding alone can do to a mean or a deviation, relative to the mean: values are sums of doubles, and their mean
# over at most 2**53 identities is a pairwise sum, off by at most 62 half units in the last place (7e-15).
MEAN_ROUNDING = 1e-14


@dataclass(frozen=True, slots=True)
class Effect:
    """`mean_t - mean_c` in the metric's unit, its standard error, and its 1 - alpha interval.

    Under a flat prior the posterior of the effect is normal with these two numbers, so the interval is the credible
    interval as well as the large-sample confidence interval. A standard error of 0 is degenerate certainty.
    """

    value: float
    standard_error: float
    ci_low: float
    ci_high: float


def effect(control: VariantAggregate, treatment: VariantAggregate, *, alpha: float = 0.05) -> Effect | NotComputable:
    """Return the effect `D = mean_t - mean_c` with `SE(D)^2 = var_t / n_t + var_c / n_c`, never pooled.

    Withheld: `fewer_than_two_identities` in an arm; `out_of_range` when a moment is too large for a float.

    Args:
        control: the arm that is compared with.
        treatment: the arm that is compared.
        alpha: the level of the interval, strictly between 0 and 1.

    Returns:
        The effect in the metric's unit, or why there is none.

    Raises:
        ValueError: `alpha` is out of range.

    Example:
        >>> control = VariantAggregate(n=10_000, mean=0.10, m2=900.0)
        >>> treatment = VariantAggregate(n=10_000, mean=0.11, m2=979.0)
        >>> found = effect(control, treatment)
        >>> round(found.value, 4), round(found.ci_low, 4), round(found.ci_high, 4)
        (0.01, 0.0015, 0.0185)
    """
    z = two_sided_quantile(alpha)
    squared = squared_standard_errors(control, treatment)
    if isinstance(squared, NotComputable):
        return squared
    value, standard_error = difference(control, treatment), math.sqrt(sum(squared))
    low, high = value - z * standard_error, value + z * standard_error
    if not (low > -LARGEST and high < LARGEST):
        return NotComputable("out_of_range")
    return Effect(value=value, standard_error=standard_error, ci_low=low, ci_high=high)


def difference(control: VariantAggregate, treatment: VariantAggregate) -> float:
    """Return `mean_t - mean_c`, exactly 0 where rounding alone could have made it.

    Rounding is not evidence: arms that all spent 0.1 may differ by 1e-17, with a standard error of 1e-19.
    """
    value = treatment.mean - control.mean
    return value if abs(value) > MEAN_ROUNDING * max(abs(treatment.mean), abs(control.mean)) else 0.0


def squared_standard_errors(
    control: VariantAggregate, treatment: VariantAggregate
) -> tuple[float, float] | NotComputable:
    """Return `(var_c / n_c, var_t / n_t)`: what each arm adds to the uncertainty of the comparison."""
    if control.n < 2 or treatment.n < 2:
        return NotComputable("fewer_than_two_identities")
    return squared_standard_error(control), squared_standard_error(treatment)


def squared_standard_error(arm: VariantAggregate) -> float:
    """Return `var / n` of an arm of two identities or more.

    It is exactly 0 where rounding alone could have made the variance.
    """
    deviation = math.sqrt(arm.m2 / (arm.n - 1))
    return (deviation / math.sqrt(arm.n)) ** 2 if deviation > MEAN_ROUNDING * abs(arm.mean) else 0.0
