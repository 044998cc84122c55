"""The any-time-valid interval: it holds at every refresh at once, however often somebody looks.

An asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit
theory and asymptotic confidence sequences") built by Robbins' method of mixtures (1970). For an effect theta the
score `S = (D - theta) I` with information `I = 1 / SE(D)^2` behaves as a Brownian motion at time I, and against it
the mixture over alternatives at distance `+-d`, each blurred by a normal law of standard deviation t,

    M = v^(-1/2) exp((S^2 t^2 - I d^2) / (2 v)) cosh(S d / v),    v = 1 + I t^2,

is a martingale that starts at 1. By Ville's inequality it ever reaches 1 / alpha with probability at most alpha: the
interval is every theta for which it has not, the p-value of "no effect" is 1 / M at theta = 0.

d and t are fixed in advance, from the effect that the experiment was designed to detect and never from the data:
a mixture tuned to the data is no martingale, and its error rate is not the nominal one.
"""

import math
from dataclasses import dataclass

from experiment_pipeline.stats.effect import Effect
from experiment_pipeline.stats.normal import check_level

# Where the alternatives lie, in units of the design's effect. Of all such mixtures these lose little at any effect:
# at the design's effect 80 % power takes about 1.5 times the fixed sample, and a plain normal mixture, for all
# its tuning, more than 1.6; at half and at twice that effect both need the same (docs/calibration.md).
DISTANCE = 0.8
BLUR = 0.3

# Identities per arm that an experiment without a design is tuned for: too many or too few costs width, never validity.
DEFAULT_IDENTITIES_PER_ARM = 10_000


@dataclass(frozen=True, slots=True)
class AnytimeEffect:
    """The 1 - alpha confidence sequence of the absolute effect at this refresh, and its p-value for "no effect"."""

    ci_low: float
    ci_high: float
    p_value: float


def anytime_effect(effect: Effect, progress: float, *, alpha: float = 0.05) -> AnytimeEffect:
    """The any-time-valid interval and p-value of an effect, `progress` of the way to the planned information.

    Both are of one mixture: at every alpha the interval excludes 0 exactly when p < alpha. With zero variance in both
    arms the effect is certain.
    """
    check_level("alpha", alpha)
    if not progress > 0:
        raise ValueError(f"progress: must be positive, got {progress}")
    if effect.standard_error == 0:
        return AnytimeEffect(ci_low=effect.value, ci_high=effect.value, p_value=float(effect.value == 0))
    half = boundary(progress, alpha) * effect.standard_error
    z = abs(effect.value) / effect.standard_error
    return AnytimeEffect(
        ci_low=effect.value - half,
        ci_high=effect.value + half,
        p_value=math.exp(-max(0.0, log_mixture(z, progress))),
    )
