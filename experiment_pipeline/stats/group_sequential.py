"""Planned looks: group-sequential boundaries at the information actually observed, for looks declared in the design.

Write S for the score, a Brownian motion with drift `theta` at information time t (1 at the planned end), and
`Z = S / sqrt(t)`. The density of S among experiments still running is carried from look to look by integration over
the continuation region (Armitage, McPherson and Rowe 1969; Jennison and Turnbull 2000, chapter 19), here with
Gauss-Legendre nodes: the integrand is analytic, so boundaries and probabilities are accurate to 1e-9 (asked: 1e-4).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.normal import SQRT_2PI, check_level, lower_quantile, two_sided_quantile

NEVER = math.inf  # the boundary of a look that spends nothing
LEAST_GROWTH = 1.001  # a look that adds less than a thousandth to the information waits for the next one
FARTHEST = 9.0  # |Z| beyond it carries 2e-19 of probability: the integration stops there
HIGHEST_Z = 38.0  # and beyond this one a float has no tail at all
LEAST_SPENDING = 1e-300  # less than this cannot be spent: no Z is that far out
LARGEST = 1e100  # of information fractions, their reciprocals, drifts and boundaries; the rest would overflow


@dataclass(frozen=True, slots=True)
class ExitProbabilities:
    """The probability to stop at each look, above and below, for one drift."""

    upper: tuple[float, ...]
    lower: tuple[float, ...]

    @property
    def total(self) -> float:
        """Return the probability to stop at any look: type I error at drift 0, power elsewhere."""
        return math.fsum(self.upper) + math.fsum(self.lower)


def obrien_fleming_spending(fraction: float, alpha: float) -> float:
    """Return the error that both sides together may have spent at an information fraction (Lan and DeMets 1983).

    `4 (1 - Phi(z_(1 - alpha/4) / sqrt(t)))`, alpha from t = 1 on: next to nothing early, like O'Brien and Fleming.
    """
    check_level("alpha", alpha)
    if math.isnan(fraction):
        raise ValueError(f"fraction: must be a number, got {fraction}")
    if fraction >= 1:
        return alpha
    return 4 * float(special.ndtr(lower_quantile(alpha / 4) / math.sqrt(fraction))) if fraction > 0 else 0.0


def spending_boundaries(fractions: Sequence[float], alpha: float = 0.05) -> tuple[float, ...]:
    """Return Lan-DeMets boundaries for |Z| at the information fractions observed so far, O'Brien-Fleming type.

    fractions: observed over planned information at each look, in order of the looks. A look whose information has not
    grown by LEAST_GROWTH beyond the largest before it (quarantine can shrink n) spends nothing and gets NEVER; what it
    could have spent is left for the next. From 1 on all of alpha is spent, so a look after that gets NEVER as well.

    Example:
        >>> [round(z, 3) for z in spending_boundaries([0.5, 1.0])]
        [2.963, 1.969]
    """
    check_level("alpha", alpha)
    walk, boundaries, largest = _Walk(drift=0.0), [], 0.0
    for look, fraction in enumerate(_checked(fractions)):
        spend = obrien_fleming_spending(fraction, alpha) - obrien_fleming_spending(largest, alpha)
        if fraction < LEAST_GROWTH * largest or spend < LEAST_SPENDING:
            boundaries.append(NEVER)
            continue
        boundary = walk.quantile(spend / 2, fraction)
        walk, largest = walk.continued(boundary, fraction, _next_time(fractions, look)), fraction
        boundaries.append(boundary)
    return tuple(boundaries)


def next_boundary(fractions: Sequence[float], boundaries: Sequence[float], fraction: float, alpha: float) -> float:
    """Return the Lan-DeMets boundary for |Z| of a look, given the boundaries that the looks before it had.

    It is what `spending_boundaries` gives for the last of all these looks, if the others had the boundaries that it
    gives. Looks that were compared with others, of an older version say, stay as they were: what such a boundary spent
    less or more than planned is not made up for.

    Args:
        fractions: information fractions of the looks before, in their order.
        boundaries: what they were compared with; NEVER for one that spent nothing.
        fraction: of this look.
        alpha: of both sides together.

    Returns:
        The boundary; NEVER where the information has not grown, or nothing is left to spend.

    Example:
        >>> round(next_boundary([0.5], [2.963], 1.0, 0.05), 3)
        1.969
    """
    check_level("alpha", alpha)
    every = _checked((*fractions, fraction))
    walk, largest = _Walk(drift=0.0), 0.0
    for look, (time, boundary) in enumerate(zip(fractions, boundaries, strict=True)):
        if time >= LEAST_GROWTH * largest and boundary <= LARGEST:
            walk, largest = walk.continued(boundary, time, _next_time(every, look)), time
    spend = obrien_fleming_spending(fraction, alpha) - obrien_fleming_spending(largest, alpha)
    if fraction < LEAST_GROWTH * largest or spend < LEAST_SPENDING:
        return NEVER
    return walk.quantile(spend / 2, fraction)


def obrien_fleming_boundaries(looks: int, alpha: float = 0.05) -> tuple[float, ...]:
    """Return classical boundaries for equally spaced looks, `C sqrt(K / k)` (O'Brien and Fleming 1979)."""
    check_level("alpha", alpha)
    if looks < 1:
        raise ValueError(f"looks: must be at least 1, got {looks}")
    fractions = [(k + 1) / looks for k in range(looks)]
    shape = [math.sqrt(1 / fraction) for fraction in fractions]
    constant = _root(lambda c: exit_probabilities(fractions, [c * s for s in shape]).total - alpha, 1e-15, HIGHEST_Z)
    return tuple(constant * s for s in shape)


def exit_probabilities(
    fractions: Sequence[float], boundaries: Sequence[float], drift: float = 0.0
) -> ExitProbabilities:
    """Return the probability to stop at each look when `|Z| >= boundary` stops; a look that has not grown cannot stop.

    drift: the expectation of Z at information fraction 1; a fixed-sample test with 80 % power at 5 % has 2.80
    """
    if len(boundaries) != len(fractions):
        raise ValueError(f"boundaries: one per look is needed, got {len(boundaries)} for {len(fractions)} looks")
    if not abs(drift) <= LARGEST:
        raise ValueError(f"drift: must lie within {LARGEST:g} of 0, got {drift}")
    walk, upper, lower, largest = _Walk(drift), [], [], 0.0
    for look, (fraction, boundary) in enumerate(zip(_checked(fractions), boundaries, strict=True)):
        if not boundary > 0:
            raise ValueError(f"boundaries: must be positive, got {boundary}")
        if fraction < LEAST_GROWTH * largest or boundary > LARGEST:
            upper.append(0.0)
            lower.append(0.0)
            continue
        upper.append(walk.above(boundary, fraction))
        lower.append(walk.below(-boundary, fraction))
        walk, largest = walk.continued(boundary, fraction, _next_time(fractions, look)), fraction
    return ExitProbabilities(tuple(upper), tuple(lower))


def drift_for_power(fractions: Sequence[float], boundaries: Sequence[float], power: float = 0.8) -> float:
    """Return the drift at which a design stops with this power, whatever the side."""
    check_level("power", power)
    if power <= exit_probabilities(fractions, boundaries).total:
        raise ValueError(f"power: must be greater than the type I error, got {power}")
    if power > exit_probabilities(fractions, boundaries, HIGHEST_Z).total:
        raise ValueError(f"power: not within reach of these boundaries, got {power}")
    return _root(lambda drift: power - exit_probabilities(fractions, boundaries, drift).total, 0.0, HIGHEST_Z)


def inflation(
    fractions: Sequence[float], boundaries: Sequence[float], alpha: float = 0.05, power: float = 0.8
) -> float:
    """Return how many times the fixed sample a design needs at most for the same power at the same alpha."""
    fixed = two_sided_quantile(alpha) + lower_quantile(power)
    return (drift_for_power(fractions, boundaries, power) / fixed) ** 2


@dataclass(frozen=True, slots=True)
class _Walk:
    """S among experiments that have not stopped by `time`: `mass[i]` of probability at `nodes[i]`."""

    drift: float
    time: float = 0.0
    nodes: Floats = field(default_factory=lambda: np.zeros(1))
    mass: Floats = field(default_factory=lambda: np.ones(1))

    def above(self, z: float, time: float) -> float:
        """Return the probability that Z exceeds z at a later time."""
        return float(self.mass @ special.ndtr((self._expected(time) - z * math.sqrt(time)) / self._deviation(time)))

    def below(self, z: float, time: float) -> float:
        """Return the probability that Z lies below z at a later time."""
        return float(self.mass @ special.ndtr((z * math.sqrt(time) - self._expected(time)) / self._deviation(time)))

    def quantile(self, tail: float, time: float) -> float:
        """Return the z that Z exceeds at a later time with this probability."""
        return _root(lambda z: self.above(z, time) - tail, 0.0, HIGHEST_Z)

    def continued(self, boundary: float, time: float, next_time: float = math.inf) -> "_Walk":
        """Return the walk at a later time among those with `|Z| < boundary` there.

        Nodes lie as close as the shorter of two steps needs: the one that leads here, and the one to `next_time`. What
        a look soon after this one asks about is as narrow as its own step.
        """
        reach = FARTHEST * math.sqrt(time)
        edge = boundary * math.sqrt(time)
        low, high = max(-edge, self.drift * time - reach), min(edge, self.drift * time + reach)
        if low >= high:
            return _Walk(self.drift, time, np.zeros(1), np.zeros(1))
        deviation = self._deviation(time)
        narrowest = min(deviation, math.sqrt(next_time - time))
        nodes, weights = _gauss_legendre(low, high, panels=math.ceil((high - low) / (2 * narrowest)))
        steps = (nodes[:, None] - self._expected(time)) / deviation
        density = np.exp(-steps * steps / 2) @ self.mass / (SQRT_2PI * deviation)
        return _Walk(self.drift, time, nodes, weights * density)

    def _expected(self, time: float) -> Floats:
        return self.nodes + self.drift * (time - self.time)

    def _deviation(self, time: float) -> float:
        return math.sqrt(time - self.time)


def _next_time(fractions: Sequence[float], look: int) -> float:
    """Return the information of the next look that has grown beyond this one; infinite where none has."""
    grown = (fraction for fraction in fractions[look + 1 :] if fraction >= LEAST_GROWTH * fractions[look])
    return next(grown, math.inf)


def _gauss_legendre(low: float, high: float, panels: int) -> tuple[Floats, Floats]:
    """Return nodes and weights of sixteen-point panels."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    edges = np.linspace(low, high, panels + 1)
    half = (high - low) / (2 * panels)
    return (edges[:-1, None] + half * (nodes + 1)).ravel(), np.tile(half * weights, panels)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a decreasing function is zero; `low` where it is not even positive there."""
    if function(low) <= 0:
        return low
    from scipy.optimize import brentq  # 0.1 s to import, and only planned looks need it

    return float(brentq(function, low, high, xtol=1e-12, rtol=1e-14))


def _checked(fractions: Sequence[float]) -> Sequence[float]:
    for fraction in fractions:
        if not 1 / LARGEST <= fraction <= LARGEST:
            raise ValueError(f"fractions: must lie between {1 / LARGEST:g} and {LARGEST:g}, got {fraction}")
    return fractions
