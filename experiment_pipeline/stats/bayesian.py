"""Probabilities of decisions, given the data: chance to win, expected loss, chance to be best.

All of it rests on one posterior: under a flat prior the absolute effect is normal around the observed difference with
its standard error. A prior on the lift, where an experiment declares one, narrows it (`informed_lift`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.metrics import Direction
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.effect import LARGEST, Effect, squared_standard_error
from experiment_pipeline.stats.lift import lift
from experiment_pipeline.stats.normal import cdf, density, two_sided_quantile
from experiment_pipeline.stats.not_computable import NotComputable

FARTHEST = 40.0  # standard errors; beyond them a float has no density left
BLOCK = 2**20  # densities computed at a time: a thousand arms take a hundred million
REACH = 9.0  # standard errors on both sides that are integrated over; outside lies 2e-19 of an arm


@dataclass(frozen=True, slots=True)
class ExpectedLoss:
    """The expected cost of each decision per identity, in the metric's unit, if it is the wrong one; >= 0."""

    if_ship: float
    if_keep: float


@dataclass(frozen=True, slots=True)
class LiftPrior:
    """A normal prior on the relative lift, declared before the start."""

    mean: float
    standard_deviation: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean):
            raise ValueError(f"mean: must be finite, got {self.mean}")
        if not (math.isfinite(self.standard_deviation) and self.standard_deviation > 0):
            raise ValueError(f"standard_deviation: must be positive and finite, got {self.standard_deviation}")


@dataclass(frozen=True, slots=True)
class InformedLift:
    """The posterior of the lift under a prior: normal with this mean (`value`) and standard deviation."""

    value: float
    standard_deviation: float
    ci_low: float
    ci_high: float
    chance_to_win: float


def chance_to_win(effect: Effect, direction: Direction) -> float:
    """Return the chance to win: `Phi(D / SE(D))` on the absolute scale, flipped when lower is better.

    With zero variance in both arms it is exact: 0, 0.5 or 1.

    Args:
        effect: the absolute effect, from `effect`.
        direction: the better side, `better_direction` of the comparison (rule M1).

    Returns:
        A probability from 0 to 1.

    Example:
        >>> from experiment_pipeline.stats.effect import Effect
        >>> observed = Effect(value=0.01, standard_error=0.004, ci_low=0.0022, ci_high=0.0178)
        >>> round(chance_to_win(observed, Direction.UP), 4)
        0.9938
        >>> round(expected_loss(observed, Direction.UP).if_ship, 6)
        8e-06
    """
    return _chance_above_zero(_sign(direction) * effect.value, effect.standard_error)


def expected_loss(effect: Effect, direction: Direction) -> ExpectedLoss:
    """Return `E[max(0, -delta)]` of shipping and `E[max(0, delta)]` of keeping control, delta being the gain.

    Closed form `mu Phi(mu / sigma) + sigma phi(mu / sigma)`, for mu = the gain of the decision not taken.

    Args:
        effect: the absolute effect, from `effect`.
        direction: the better side, as for `chance_to_win`.

    Returns:
        Both losses, in the metric's unit.
    """
    gain = _sign(direction) * effect.value
    return ExpectedLoss(
        if_ship=_expected_positive_part(-gain, effect.standard_error),
        if_keep=_expected_positive_part(gain, effect.standard_error),
    )


def informed_lift(
    control: VariantAggregate,
    treatment: VariantAggregate,
    prior: LiftPrior,
    direction: Direction,
    *,
    alpha: float = 0.05,
) -> InformedLift | NotComputable:
    """Return the lift under a normal prior: precisions add, means are averaged by precision.

    The likelihood is normal with the delta-method error of `lift`; withheld for the same reasons.
    """
    z = two_sided_quantile(alpha)
    observed = lift(control, treatment, alpha=alpha, interval="delta")
    if isinstance(observed, NotComputable):
        return observed
    error = (observed.ci_high - observed.ci_low) / (2 * z)
    shrinkage = 1 / math.hypot(1, error / prior.standard_deviation)  # 1 when there is no error
    weight, sd = shrinkage * shrinkage, shrinkage * error
    value = weight * observed.value + (1 - weight) * prior.mean
    return InformedLift(
        value=value,
        standard_deviation=sd,
        ci_low=value - z * sd,
        ci_high=value + z * sd,
        chance_to_win=_chance_above_zero(_sign(direction) * value, sd),
    )


def chance_to_be_best(arms: Mapping[str, VariantAggregate], direction: Direction) -> dict[str, float] | NotComputable:
    """Return the probability of each arm, control included, that its true mean is the best of all; they sum to 1.

    With independent posteriors `N(m_i, s_i^2)`, `P(i best) = integral of phi_i(x) prod_{j != i} Phi_j(x) dx`, by
    Gauss-Legendre panels; the error is below 1e-9. Arms without variance are certain: only the best of these
    competes, and ties share.
    Withheld: `fewer_than_two_arms`; `fewer_than_two_identities` in an arm; `out_of_range`.
    """
    if len(arms) < 2:
        return NotComputable("fewer_than_two_arms")
    if any(arm.n < 2 for arm in arms.values()):
        return NotComputable("fewer_than_two_identities")
    means = _sign(direction) * np.array([arm.mean for arm in arms.values()])
    errors = np.array([math.sqrt(squared_standard_error(arm)) for arm in arms.values()])
    if max(np.abs(means).max(), errors.max()) > LARGEST:
        return NotComputable("out_of_range")
    means -= means.max()  # so that floats resolve the distances between arms, not where they lie
    return dict(zip(arms, _chances_to_be_largest(means, errors).tolist(), strict=True))


def _sign(direction: Direction) -> int:
    return -1 if direction is Direction.DOWN else 1


def _chance_above_zero(mean: float, sd: float) -> float:
    if sd == 0:
        return 0.5 if mean == 0 else float(mean > 0)
    return cdf(mean / sd)


def _expected_positive_part(mean: float, sd: float) -> float:
    if sd == 0:
        return max(0.0, mean)
    z = mean / sd
    if z > 0:
        return mean + _expected_positive_part(-mean, sd)
    # phi(z) (1 + z R(-z)) with Mills' ratio R: keeps its digits where z Phi(z) + phi(z) would cancel
    mills = math.sqrt(math.pi / 2) * float(special.erfcx(-z / math.sqrt(2)))
    return max(0.0, sd * density(z) * (1 + z * mills))


def _chances_to_be_largest(means: Floats, errors: Floats) -> Floats:
    """Return `P(i)` for independent normals, those without error being points."""
    chances = np.zeros(len(means))
    certain = errors == 0
    floor = means[certain].max() if certain.any() else -np.inf
    leaders = certain & (means == floor)
    loc, scale = means[~certain], errors[~certain]
    chances[leaders] = np.exp(special.log_ndtr(_standardised(floor - loc, scale)).sum()) / max(1, leaders.sum())
    if len(loc):
        nodes, weights = _panels(loc, scale, floor)
        for part in np.array_split(np.arange(len(nodes)), math.ceil(len(nodes) * len(loc) / BLOCK)):
            chances[~certain] += weights[part] @ _densities(nodes[part], loc, scale)
    total: float = chances.sum()
    return chances / total


def _densities(x: Floats, loc: Floats, scale: Floats) -> Floats:
    """Return `phi_i prod_{j != i} Phi_j` of every arm at each x."""
    z = _standardised(x[:, None] - loc, scale)
    log_cdf = special.log_ndtr(z)
    # in logarithms: far below every mean each factor underflows but not the product
    log_density = -z * z / 2 - np.log(np.sqrt(2 * np.pi) * scale) - log_cdf + log_cdf.sum(axis=1, keepdims=True)
    densities: Floats = np.exp(log_density)
    return densities


def _standardised(distance: Floats, scale: Floats) -> Floats:
    with np.errstate(over="ignore"):
        z: Floats = np.clip(distance / scale, -FARTHEST, FARTHEST)
    return z


def _panels(loc: Floats, scale: Floats, floor: float) -> tuple[Floats, Floats]:
    """Return Gauss-Legendre nodes and weights where the largest can lie.

    Panels are as wide as the narrowest arm allows there.
    """
    low, high = max(floor, (loc - REACH * scale).max()), (loc + REACH * scale).max()
    marks = (loc[:, None] + scale[:, None] * np.array([-REACH, -6, -4, -2, -1, 0, 1, 2, 4, 6, REACH])).ravel()
    marks = np.unique(np.concatenate(([low, high], marks[(marks > low) & (marks < high)])))
    kept = [marks[0]]
    for mark in marks[1:-1]:
        if mark - kept[-1] > scale.min() / 2:
            kept.append(mark)
    edges = np.array([*kept, max(marks[-1], kept[-1])])
    nodes, weights = np.polynomial.legendre.leggauss(16)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (nodes + 1)).ravel(), (half * weights).ravel()
