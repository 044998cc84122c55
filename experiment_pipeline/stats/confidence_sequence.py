"""The anytime-valid interval: it holds at every refresh at once, however often somebody looks.

An asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit
theory and asymptotic confidence sequences") built by Robbins' method of mixtures (1970). Let Z be the standardised
distance of the effect from theta, and I a clock that runs as the evidence accrues. `S = Z sqrt(I)` then behaves as a
Brownian motion, and against it the mixture over alternatives at distance +-d, each blurred by a normal law of standard
deviation t,

    M = v^(-1/2) exp((S^2 t^2 - I d^2) / (2 v)) cosh(S d / v),    v = 1 + I t^2,

is a martingale that starts at 1. So is the mean of several, each tuned to a lift of its own. By Ville's inequality it
ever reaches 1 / alpha with probability at most alpha: the interval holds every theta for which it has not, and the
p-value of "no effect" is 1 / M at theta = 0.

d and t are fixed in advance by the lift that the experiment was designed to detect, never by the data: a mixture tuned
to the data is not a martingale, and its error rate is not the nominal one. I is the evidence (`evidence`) times the
square of that lift, so that d and t are pure numbers. Why two bumps, and which SE: docs/adr/0021, docs/adr/0022; which
clock, and what without a design: docs/adr/0038.
"""

import math
from dataclasses import dataclass

import numpy as np

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.effect import Effect
from experiment_pipeline.stats.evidence import Evidence, Mixture, pooled_standard_error
from experiment_pipeline.stats.normal import check_level

# Where the alternatives lie, in lifts that are looked for; docs/adr/0021 has what was measured. At that lift this
# mixture reaches 80 % power within 1.6 times the fixed sample, which a single normal around zero misses at any width.
DISTANCE = 0.8
BLUR = 0.2

SMALLEST_INFORMATION, LARGEST_INFORMATION, LARGEST_Z = 1e-30, 1e30, 1e100  # beyond these a float has no use for more
NEWTON_STEPS = 30


@dataclass(frozen=True, slots=True)
class AnytimeEffect:
    """The 1 - alpha confidence sequence of the absolute effect at this refresh, and its p-value for "no effect".

    p_value is of the same mixture: the interval excludes 0 exactly when `p_value < alpha`, at every alpha.
    """

    ci_low: float
    ci_high: float
    p_value: float


def anytime_effect(
    effect: Effect, control: VariantAggregate, treatment: VariantAggregate, evidence: Evidence, *, alpha: float = 0.05
) -> AnytimeEffect:
    """Return the anytime-valid interval and p-value of an effect.

    alpha is the level of this one comparison (see `multiplicity` for a family). With zero variance in both arms the
    effect is certain: the interval is the point, p is 0 or 1.

    The standard error is the larger of the effect's own and the pooled one. A small arm of skewed values has, whenever
    its mean is low by chance, a variance that is too low as well: on its own standard error, a tenth of the traffic
    and revenue from one buyer in twenty err in a quarter of A/A tests. Arms of equal size lose nothing.

    Args:
        effect: the absolute effect of the two arms, from `effect`.
        control: the arm that is compared with, of two identities or more.
        treatment: the arm that is compared, of two identities or more.
        evidence: how far the comparison has come, from `accrued_evidence`.
        alpha: the level, strictly between 0 and 1.

    Returns:
        The interval in the metric's unit, and the p-value.

    Raises:
        ValueError: `alpha` is out of range.

    Example:
        >>> from experiment_pipeline.stats.effect import effect
        >>> control = VariantAggregate(n=10_000, mean=0.10, m2=900.0)
        >>> treatment = VariantAggregate(n=10_000, mean=0.11, m2=979.0)
        >>> found = anytime_effect(effect(control, treatment), control, treatment, Evidence(587.0, ((0.1, 1.0),)))
        >>> round(found.ci_low, 4), round(found.ci_high, 4), round(found.p_value, 3)
        (-0.0025, 0.0225, 0.164)
    """
    check_level("alpha", alpha)
    if effect.standard_error == 0:
        return AnytimeEffect(ci_low=effect.value, ci_high=effect.value, p_value=float(effect.value == 0))
    standard_error = _larger_error(effect, control, treatment, evidence)
    amount, z = np.array(evidence.amount), np.array(min(abs(effect.value) / standard_error, LARGEST_Z))
    half = float(boundary(amount, evidence.mixture, alpha)) * standard_error
    log_m = float(log_mixture(z, amount, evidence.mixture))
    return AnytimeEffect(effect.value - half, effect.value + half, p_value=math.exp(-max(0.0, log_m)))


def standardised(effect: Effect, control: VariantAggregate, treatment: VariantAggregate, evidence: Evidence) -> float:
    """Return z, the effect over the standard error that `anytime_effect` takes; what is certain is LARGEST_Z of it."""
    if effect.standard_error == 0:
        return math.copysign(LARGEST_Z, effect.value) if effect.value else 0.0
    z = effect.value / _larger_error(effect, control, treatment, evidence)
    return max(-LARGEST_Z, min(LARGEST_Z, z))


def _larger_error(effect: Effect, control: VariantAggregate, treatment: VariantAggregate, evidence: Evidence) -> float:
    return max(effect.standard_error, pooled_standard_error(control, treatment)) * evidence.error_factor


def log_mixture(z: Floats, evidence: Floats, mixture: Mixture) -> Floats:
    """Return `log M` at a standardised distance `z >= 0`: the mean over the lifts of this mixture; arrays broadcast."""
    bumps = _Bumps.of(evidence, mixture)
    return _log_sum(bumps.exponents(np.asarray(z)[..., None]))


def boundary(evidence: Floats, mixture: Mixture, alpha: float) -> Floats:
    """Return the z at which the mixture reaches 1 / alpha. The interval is `D -+ z SE`.

    Newton's method on `log M`, which is convex and increasing in z. It starts to the right of the root, where the part
    of one lift alone reaches 1 / alpha with the smaller `x - log 2` in place of `log cosh x`: so it descends to the
    root and cannot overshoot.
    """
    bumps = _Bumps.of(evidence, mixture)
    start = bumps.constant - math.log(alpha) + math.log(2)
    z: Floats = (2 * start / (bumps.linear + np.sqrt(bumps.linear**2 + 4 * bumps.square * start))).min(axis=-1)
    for _ in range(NEWTON_STEPS):
        exponents = bumps.exponents(z[..., None])
        weights = np.exp(exponents - exponents.max(axis=-1, keepdims=True))
        slope = (weights * bumps.slopes(z[..., None])).sum(axis=-1) / weights.sum(axis=-1)
        before, z = z, z - (_log_sum(exponents) + math.log(alpha)) / slope
        if np.array_equal(before, z):  # more steps would change no bit
            break
    return z


@dataclass(frozen=True, slots=True)
class _Bumps:
    """The part of `log M` of each lift, `square z^2 + log cosh(linear z) - constant`; lifts along the last axis."""

    square: Floats
    linear: Floats
    constant: Floats

    @classmethod
    def of(cls, evidence: Floats, mixture: Mixture) -> "_Bumps":
        """Return the parts of a mixture at this evidence; its weights are in the constants."""
        lifts, weights = np.array(mixture).T
        information = np.clip(
            np.asarray(evidence)[..., None] * lifts * lifts, SMALLEST_INFORMATION, LARGEST_INFORMATION
        )
        v = 1 + information * BLUR**2
        constant = np.log(v) / 2 + DISTANCE**2 * information / (2 * v) - np.log(weights)
        return cls(BLUR**2 * information / (2 * v), DISTANCE * np.sqrt(information) / v, constant)

    def exponents(self, z: Floats) -> Floats:
        """Return the parts of `log M` at z."""
        x = self.linear * z
        exponents: Floats = self.square * z * z + x + np.log1p(np.exp(-2 * x)) - math.log(2) - self.constant
        return exponents

    def slopes(self, z: Floats) -> Floats:
        """Return their derivatives in z."""
        slopes: Floats = 2 * self.square * z + self.linear * np.tanh(self.linear * z)
        return slopes


def _log_sum(exponents: Floats) -> Floats:
    """Return the logarithm of the sum of exponentials along the last axis."""
    largest = exponents.max(axis=-1)
    total: Floats = largest + np.log(np.exp(exponents - largest[..., None]).sum(axis=-1))
    return total
