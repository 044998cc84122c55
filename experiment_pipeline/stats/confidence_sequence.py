"""The anytime-valid interval: it holds at every refresh at once, however often somebody looks.

An asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit
theory and asymptotic confidence sequences") built by Robbins' method of mixtures (1970). For an effect theta the
score `S = (D - theta) / SE^2` behaves as a Brownian motion at time `I = 1 / SE^2`, and against it the mixture over
alternatives at distance +-d, each blurred by a normal law of standard deviation t,

    M = v^(-1/2) exp((S^2 t^2 - I d^2) / (2 v)) cosh(S d / v),    v = 1 + I t^2,

is a martingale that starts at 1. By Ville's inequality it ever reaches 1 / alpha with probability at most alpha: the
interval holds every theta for which it has not, and the p-value of "no effect" is 1 / M at theta = 0.

d and t are fixed in advance by the effect that the experiment was designed to detect, never by the data: a mixture
tuned to the data is not a martingale, and its error rate is not the nominal one. Here I is counted in units of
1 / (design effect)^2, so that d and t are pure numbers. Why two bumps, and which SE: docs/adr/0021, docs/adr/0022.
"""

import math
from dataclasses import dataclass

import numpy as np

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.effect import Effect
from experiment_pipeline.stats.normal import check_level

# Where the alternatives lie, in design effects; docs/adr/0021 has what was measured. At the design's effect this
# mixture reaches 80 % power within 1.6 times the fixed sample, which a single normal around zero misses at any width.
DISTANCE = 0.8
BLUR = 0.2

# What an experiment without a design is tuned for. A wrong guess costs width, never validity.
DEFAULT_IDENTITIES_PER_ARM = 10_000
FIXED_SAMPLE_INFORMATION = 7.849  # (z_0.975 + z_0.8)^2: where a fixed-sample test detects the design's effect

SMALLEST_INFORMATION, LARGEST_INFORMATION, LARGEST_Z = 1e-30, 1e30, 1e100  # beyond these a float has no use for more


@dataclass(frozen=True, slots=True)
class AnytimeEffect:
    """The 1 - alpha confidence sequence of the absolute effect at this refresh, and its p-value for "no effect".

    p_value is of the same mixture: the interval excludes 0 exactly when `p_value < alpha`, at every alpha.
    """

    ci_low: float
    ci_high: float
    p_value: float


def anytime_effect(
    effect: Effect, control: VariantAggregate, treatment: VariantAggregate, design: Design, *, alpha: float = 0.05
) -> AnytimeEffect:
    """Return the anytime-valid interval and p-value of an effect, for an experiment of this design.

    alpha is the level of this one comparison (see `multiplicity` for a family). With zero variance in both arms the
    effect is certain: the interval is the point, p is 0 or 1.

    The standard error is the larger of the effect's own and the pooled one. A small arm of skewed values has, whenever
    its mean is low by chance, a variance that is too low as well: on its own standard error, a tenth of the traffic
    and revenue from one buyer in twenty err in a quarter of A/A tests. Arms of equal size lose nothing.

    Args:
        effect: the absolute effect of the two arms, from `effect`.
        control: the arm that is compared with, of two identities or more.
        treatment: the arm that is compared, of two identities or more.
        design: the effect that the interval is tuned to, fixed before the start.
        alpha: the level, strictly between 0 and 1.

    Returns:
        The interval in the metric's unit, and the p-value.

    Raises:
        ValueError: `alpha` or the design is out of range; names it.

    Example:
        >>> from experiment_pipeline.stats.effect import effect
        >>> control = VariantAggregate(n=10_000, mean=0.10, m2=900.0)
        >>> treatment = VariantAggregate(n=10_000, mean=0.11, m2=979.0)
        >>> found = anytime_effect(effect(control, treatment), control, treatment, Design(mde=0.1, baseline=0.1))
        >>> round(found.ci_low, 4), round(found.ci_high, 4), round(found.p_value, 3)
        (-0.0027, 0.0227, 0.168)
    """
    check_level("alpha", alpha)
    if effect.standard_error == 0:
        return AnytimeEffect(ci_low=effect.value, ci_high=effect.value, p_value=float(effect.value == 0))
    standard_error = max(effect.standard_error, pooled_standard_error(control, treatment))
    information = np.array(scaled_information(standard_error, control.n, treatment.n, design))
    half = float(boundary(information, alpha)) * standard_error
    z = min(abs(effect.value) / standard_error, LARGEST_Z)
    log_m = float(log_mixture(np.array(z), information))
    return AnytimeEffect(effect.value - half, effect.value + half, p_value=math.exp(-max(0.0, log_m)))


def pooled_standard_error(control: VariantAggregate, treatment: VariantAggregate) -> float:
    """Return the pooled standard error, as if both variances were one.

    `sqrt(s^2 (1 / n_c + 1 / n_t))` with `s^2 = (m2_c + m2_t) / (n_c + n_t - 2)`.
    """
    degrees = control.n + treatment.n - 2
    variance = control.m2 / degrees + treatment.m2 / degrees
    return math.sqrt(variance) * math.sqrt(1 / control.n + 1 / treatment.n)


def scaled_information(standard_error: float, control_n: int, treatment_n: int, design: Design) -> float:
    """Return the information so far, in units of 1 / (design effect)^2.

    `(mde * baseline / SE)^2` where the design names both. Where it does not, identities are the clock: planned for
    DEFAULT_IDENTITIES_PER_ARM in two equal arms, whatever they are worth in the metric's unit.
    """
    if design.mde and design.baseline:
        if not (math.isfinite(design.mde) and math.isfinite(design.baseline)):
            raise ValueError(f"design: mde and baseline must be finite, got {design.mde} and {design.baseline}")
        in_errors = design.mde * design.baseline / standard_error
        information = in_errors * in_errors
    else:
        effective_identities = 1 / (1 / control_n + 1 / treatment_n)
        information = FIXED_SAMPLE_INFORMATION * effective_identities / (DEFAULT_IDENTITIES_PER_ARM / 2)
    return min(max(information, SMALLEST_INFORMATION), LARGEST_INFORMATION)


def log_mixture(z: Floats, information: Floats) -> Floats:
    """Return `log M` at a standardised distance `z >= 0`, i.e. `S = z sqrt(I)`; arrays broadcast."""
    v = 1 + information * BLUR**2
    return (
        (z * z * BLUR**2 - DISTANCE**2) * (information / v) / 2
        - np.log(v) / 2
        + _log_cosh(z * np.sqrt(information) * DISTANCE / v)
    )


def boundary(information: Floats, alpha: float) -> Floats:
    """Return the z at which the mixture reaches 1 / alpha; 2.81 at the fixed sample. The interval is `D -+ z SE`.

    Newton's method on `a z^2 + log cosh(b z) = c`, convex and increasing: started to the right of its root, where
    `log cosh x` is replaced by the smaller `x - log 2`, it descends to it and cannot overshoot.
    """
    v = 1 + information * BLUR**2
    a, b = BLUR**2 * information / (2 * v), DISTANCE * np.sqrt(information) / v
    c = np.log(v) / 2 + DISTANCE**2 * information / (2 * v) - math.log(alpha)
    start = c + math.log(2)
    z = 2 * start / (b + np.sqrt(b * b + 4 * a * start))
    for _ in range(12):
        z = z - (a * z * z + _log_cosh(b * z) - c) / (2 * a * z + b * np.tanh(b * z))
    return z


def _log_cosh(x: Floats) -> Floats:
    return x + np.log1p(np.exp(-2 * x)) - math.log(2)
