"""The relative effect: by how much of the control's mean the treatment differs."""

import math
from dataclasses import dataclass
from typing import Literal

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.stats.effect import difference, squared_standard_errors
from experiment_pipeline.stats.normal import two_sided_quantile
from experiment_pipeline.stats.not_computable import NotComputable

Interval = Literal["fieller", "delta"]


@dataclass(frozen=True, slots=True)
class Lift:
    """`(mean_t - mean_c) / mean_c` and its 1 - alpha interval; 0.1 is ten percent more than control."""

    value: float
    ci_low: float
    ci_high: float


def lift(
    control: VariantAggregate, treatment: VariantAggregate, *, alpha: float = 0.05, interval: Interval = "fieller"
) -> Lift | NotComputable:
    """Return the lift with the interval asked for.

    With `r = mean_t / mean_c` and each arm's squared coefficient of variation of the mean, `cv^2 = SE^2 / mean_c^2`:

    - `fieller` (Fieller 1954, "Some problems in interval estimation"): the ratios that a two-sided test at alpha does
      not refute. With `g = z^2 cv_c^2` it runs from and to
      `(r - 1 + g -+ z sqrt(cv_t^2 (1 - g) + r^2 cv_c^2)) / (1 - g)`, skewed as the ratio itself is.
    - `delta`: `r - 1 -+ z sqrt(cv_t^2 + r^2 cv_c^2)`, symmetric, for those who must reproduce such numbers. Its two
      tails are unequal when conversions are few, so no verdict is made of it.

    Withheld: `control_mean_not_positive`; `control_mean_not_distinguishable_from_zero` (Fieller's g >= 1: every ratio
    is compatible with the data); `fewer_than_two_identities`; `out_of_range`.

    Args:
        control: the arm that is compared with.
        treatment: the arm that is compared.
        alpha: the level of the interval, strictly between 0 and 1.
        interval: `fieller` or `delta`.

    Returns:
        The lift as a fraction of control's mean, or why there is none.

    Raises:
        ValueError: `alpha` or `interval` is not allowed; names it.

    Example:
        >>> control = VariantAggregate(n=10_000, mean=0.10, m2=900.0)
        >>> treatment = VariantAggregate(n=10_000, mean=0.11, m2=979.0)
        >>> found = lift(control, treatment)
        >>> round(found.value, 4), round(found.ci_low, 4), round(found.ci_high, 4)
        (0.1, 0.0144, 0.1932)
        >>> lift(VariantAggregate(n=100, mean=0.0, m2=0.0), treatment)
        NotComputable(reason='control_mean_not_positive')
    """
    z = two_sided_quantile(alpha)
    if interval not in ("fieller", "delta"):
        raise ValueError(f"interval: must be 'fieller' or 'delta', got {interval!r}")
    squared = squared_standard_errors(control, treatment)
    if isinstance(squared, NotComputable):
        return squared
    if control.mean <= 0:
        return NotComputable("control_mean_not_positive")
    cv2_control, cv2_treatment = (math.sqrt(se2) / control.mean for se2 in squared)
    cv2_control, cv2_treatment = cv2_control * cv2_control, cv2_treatment * cv2_treatment
    g = z * z * cv2_control
    if g >= 1:
        return NotComputable("control_mean_not_distinguishable_from_zero")
    value, ratio = difference(control, treatment) / control.mean, treatment.mean / control.mean
    if interval == "delta":
        g = 0.0
    half = z * math.sqrt(cv2_treatment * (1 - g) + ratio * ratio * cv2_control)
    result = Lift(value=value, ci_low=(value + g - half) / (1 - g), ci_high=(value + g + half) / (1 - g))
    if not (math.isfinite(result.ci_low) and math.isfinite(result.ci_high)):
        return NotComputable("out_of_range")
    return result
