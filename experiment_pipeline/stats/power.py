"""Planning: how many identities an experiment needs, what it can detect with those it has, how long is left."""

import math
from dataclasses import dataclass
from datetime import timedelta

from experiment_pipeline.stats.normal import cdf, check_level, lower_quantile, two_sided_quantile
from experiment_pipeline.stats.not_computable import NotComputable


@dataclass(frozen=True, slots=True)
class SampleSize:
    """Identities per arm, rounded up."""

    control: int
    treatment: int


def sample_size(
    *, standard_deviation: float, effect: float, alpha: float = 0.05, power: float = 0.8, ratio: float = 1.0
) -> SampleSize:
    """Return the identities with which a two-sided test at alpha detects the effect with the power asked for.

    `n_c = (z_(1 - alpha/2) + z_power)^2 sigma^2 (1 + 1 / ratio) / effect^2`, `n_t = ratio n_c`; effect in the
    metric's unit, e.g. mde times baseline. Neglects rejections on the wrong side: under 1e-5 of power from 0.6 on.

    Example:
        >>> sample_size(standard_deviation=0.3, effect=0.01)
        SampleSize(control=14128, treatment=14128)
    """
    _check_positive("standard_deviation", standard_deviation)
    _check_positive("ratio", ratio)
    _check_positive("effect", abs(effect))
    quantiles = two_sided_quantile(alpha) + _power_quantile(alpha, power)
    in_deviations = quantiles * standard_deviation / effect
    control = in_deviations * in_deviations * (1 + 1 / ratio)
    if not control * max(1.0, ratio) < 2**53:
        raise ValueError(f"effect: too small to be detected by any number of identities, got {effect}")
    return SampleSize(control=math.ceil(control), treatment=math.ceil(ratio * control))


def minimum_detectable_effect(
    *, standard_deviation: float, control_n: int, treatment_n: int, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Return the effect, in the metric's unit, that these arms detect: `(z_(1 - alpha/2) + z_power) SE`."""
    _check_positive("standard_deviation", standard_deviation)
    _check_positive("control_n", control_n)
    _check_positive("treatment_n", treatment_n)
    quantiles = two_sided_quantile(alpha) + _power_quantile(alpha, power)
    effect = quantiles * standard_deviation * math.sqrt(1 / control_n + 1 / treatment_n)
    if not math.isfinite(effect):
        raise ValueError(f"standard_deviation: too large, got {standard_deviation}")
    return effect


def arm_sizes(
    *, standard_deviation: float, level: float, mde: float, alpha: float, power: float, ratio: float = 1.0
) -> SampleSize | NotComputable:
    """Return the identities with which a two-sided test at alpha detects a relative lift.

    Withheld: `level_is_zero`, for no lift is relative to 0; `no_variance`; `effect_too_small` for any number.

    Args:
        standard_deviation: of one identity's part in the metric.
        level: the mean, ratio or quantile that the lift is relative to.
        mde: the lift, above 0.
        alpha: of this comparison alone.
        power: the chance to find it.
        ratio: identities of the treatment for each of control.

    Example:
        >>> arm_sizes(standard_deviation=0.3, level=0.1, mde=0.1, alpha=0.05, power=0.8)
        SampleSize(control=14128, treatment=14128)
    """
    if not level or not standard_deviation:
        return NotComputable("no_variance") if level else NotComputable("level_is_zero")
    try:
        return sample_size(
            standard_deviation=standard_deviation, effect=mde * abs(level), alpha=alpha, power=power, ratio=ratio
        )
    except ValueError:  # of numbers that are allowed: no number of identities is enough
        return NotComputable("effect_too_small")


def detectable_lift(standard_error: float, level: float, *, alpha: float, power: float) -> float | NotComputable:
    """Return the relative lift that a comparison with this standard error detects: `(z_(1 - alpha/2) + z_power) SE`.

    Withheld: `level_is_zero`; `no_variance`; `out_of_range`.

    Example:
        >>> round(detectable_lift(0.001, 0.1, alpha=0.05, power=0.8), 4)
        0.028
    """
    if not level or not standard_error:
        return NotComputable("no_variance") if level else NotComputable("level_is_zero")
    lift = (two_sided_quantile(alpha) + _power_quantile(alpha, power)) * standard_error / abs(level)
    return lift if math.isfinite(lift) else NotComputable("out_of_range")


def power_of(effect: float, standard_error: float, *, alpha: float = 0.05) -> float:
    """Return a two-sided fixed-sample test's power: `Phi(d - z) + Phi(-d - z)` at `d = effect / standard_error`."""
    _check_positive("standard_error", standard_error)
    if not math.isfinite(effect):
        raise ValueError(f"effect: must be finite, got {effect}")
    z, d = two_sided_quantile(alpha), effect / standard_error
    return cdf(d - z) + cdf(-d - z)


def runtime_left(*, needed: int, collected: int, elapsed: timedelta) -> timedelta | NotComputable:
    """Return how long until `needed` identities at the traffic observed so far; zero once they are there.

    Withheld: `no_traffic_yet`.
    """
    if elapsed < timedelta(0):
        raise ValueError(f"elapsed: must not be negative, got {elapsed}")
    if collected >= needed:
        return timedelta(0)
    if collected <= 0 or not elapsed:
        return NotComputable("no_traffic_yet")
    try:
        return elapsed * ((needed - collected) / collected)
    except OverflowError:
        return timedelta.max


def _power_quantile(alpha: float, power: float) -> float:
    check_level("power", power)
    if power <= alpha:
        raise ValueError(f"power: must be greater than alpha, got {power} at alpha {alpha}")
    return lower_quantile(power)


def _check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}: must be positive and finite, got {value}")
