"""Skewed revenue: an order's, capped at a percentile, and adjusted by what identities spent before."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.measures import Clock
from experiment_pipeline.stats.arrays import Floats
from tests.calibration.clocks import Looks, called
from tests.calibration.fixed import Arms
from tests.calibration.populations import PairSums, Seed, pair_sums, sizes_at_looks

BUYERS, FLOOR = 0.05, 150


@dataclass(frozen=True, slots=True)
class Orders:
    """x orders of an identity, most have none, and y their revenue: each order is lognormal; y / x is an order's."""

    orders: float = 0.5
    sigma: float = 1.0
    worth: float = 1.0

    def __call__(self, rng: np.random.Generator, experiments: int, looks: int, batch: int) -> PairSums:
        shape = (experiments, looks, batch)
        x = rng.poisson(self.orders * rng.standard_gamma(1.0, shape))
        spent = np.append(0.0, self.worth * rng.lognormal(-(self.sigma**2) / 2, self.sigma, int(x.sum())).cumsum())
        ends = x.ravel().cumsum()
        y = (spent[ends] - spent[ends - x.ravel()]).reshape(shape)
        return pair_sums(x.astype(float), y, batch)


@dataclass(frozen=True, slots=True)
class Spending:
    """Revenue of the same identities before (x) and after (y): one in twenty buys, and who spent much does so again."""

    worth: float = 1.0

    @property
    def mean(self) -> float:
        """Revenue of an identity after."""
        return self.worth * BUYERS * math.exp((0.8**2 + 0.6**2) / 2)

    def __call__(self, rng: np.random.Generator, experiments: int, looks: int, batch: int) -> PairSums:
        keen = rng.binomial(batch, 2 * BUYERS, experiments * looks)  # the others spend nothing, before or after
        habit, ends = rng.normal(0, 0.8, int(keen.sum())), keen.cumsum()
        x, y = (
            np.where(rng.random(len(habit)) < 0.5, np.exp(habit + rng.normal(0, 0.6, len(habit))), 0.0)
            for _ in range(2)
        )
        y *= self.worth
        sums = (
            np.diff(np.append(0.0, values.cumsum())[ends], prepend=0.0).reshape(experiments, looks).cumsum(axis=1)
            for values in (x, y, x * x, y * y, x * y)
        )
        return PairSums(sizes_at_looks(looks, batch), *sums)


def capped(values: list[Floats], sizes: list[int], percentile: float) -> list[Floats]:
    """Return the buyers' values of all arms, held to a percentile of everybody's (rule M10)."""
    pooled = np.concatenate(values)
    rank = int(np.ceil(percentile / 100 * sum(sizes) - 1e-9)) - (sum(sizes) - len(pooled))
    cap = np.partition(pooled, rank - 1)[rank - 1] if rank > 0 else 0.0
    return [np.minimum(each, cap) for each in values]


def capped_arms(
    seed: Seed,
    experiments: int,
    sizes: tuple[int, int],
    *,
    sigma: float = 1.0,
    percentile: float = 99.5,
    worth: float = 1.0,
) -> list[Arms]:
    """Both arms of every experiment on revenue that is capped at a percentile of both arms together."""
    rng, arms = np.random.default_rng(seed), []
    for _ in range(experiments):
        spent = [
            times * rng.lognormal(0, sigma, rng.binomial(n, BUYERS))
            for n, times in zip(sizes, (1.0, worth), strict=True)
        ]
        control, treatment = (
            _aggregate(values, n) for values, n in zip(capped(spent, list(sizes), percentile), sizes, strict=True)
        )
        arms.append((control, treatment))
    return arms


def capped_truth(sizes: tuple[int, int], *, sigma: float, percentile: float, worth: float) -> tuple[float, float]:
    """Return the true effect and lift of capped revenue, with the cap that all identities of both arms have."""
    shares, scales = [n / sum(sizes) for n in sizes], (0.0, math.log(worth))

    def beyond(log_cap: float) -> float:
        above = (share * ndtr((scale - log_cap) / sigma) for share, scale in zip(shares, scales, strict=True))
        return BUYERS * float(sum(above)) - (1 - percentile / 100)

    log_cap = brentq(beyond, -20, 20)
    means = [
        BUYERS
        * float(
            math.exp(scale + sigma**2 / 2) * ndtr((log_cap - scale) / sigma - sigma)
            + math.exp(log_cap) * ndtr((scale - log_cap) / sigma)
        )
        for scale in scales
    ]
    return means[1] - means[0], means[1] / means[0] - 1


def _aggregate(values: Floats, n: int) -> VariantAggregate:
    mean = float(values.sum()) / n
    return VariantAggregate(n, mean, max(0.0, float((values * values).sum()) - n * mean * mean))


def adjusted_pairs(
    seed: Seed, experiments: int, sizes: tuple[int, int], treatment: Spending
) -> list[tuple[PairAggregate, PairAggregate]]:
    """Both arms of every experiment on skewed revenue with its pre-period."""
    rng, control = np.random.default_rng(seed), Spending()
    return [
        (control(rng, 1, 1, sizes[0]).aggregate(0, 0), treatment(rng, 1, 1, sizes[1]).aggregate(0, 0))
        for _ in range(experiments)
    ]


def peeking_capped(seed: Seed, experiments: int, *, looks: int, batches: tuple[int, int]) -> Counter[str]:
    """Count A/A tests on capped revenue that are called at any look; the cap is that of the look."""
    rng = np.random.default_rng(seed)
    found: Counter[str] = Counter()
    for _ in range(experiments):
        bought = [rng.binomial(batch, BUYERS, looks).cumsum() for batch in batches]
        spent = [rng.lognormal(0, 1.0, int(each[-1])) for each in bought]
        seen = [
            capped([values[: each[k]] for values, each in zip(spent, bought, strict=True)], sizes, 99.5)
            for k in range(looks)
            for sizes in [[batch * (k + 1) for batch in batches]]
        ]
        control, treatment = (
            _looks([each[arm] for each in seen], batches[arm] * np.arange(1.0, looks + 1)) for arm in (0, 1)
        )
        found += called(control, treatment, Clock.EVENTS, Design(), FLOOR)
    return found


def _looks(values: list[Floats], n: Floats) -> Looks:
    sums = np.array([[each.sum(), (each * each).sum(), len(each)] for each in values]).T
    mean = sums[0] / n
    moments = (n, mean, np.maximum(sums[1] - n * mean * mean, 0), sums[2], sums[2])
    return Looks(*(each[None, :] for each in moments))


def peeking_pairs(seed: Seed, experiments: int, *, ratio: bool, looks: int, batch: int) -> Counter[str]:
    """Count A/A tests on an order's revenue, or on revenue adjusted for the pre-period, that are called at any look."""
    rng = np.random.default_rng(seed)
    population = Orders() if ratio else Spending()
    c, t = population(rng, experiments, looks, batch), population(rng, experiments, looks, batch)
    events = batch * np.arange(1.0, looks + 1) * BUYERS + np.zeros_like(c.x)
    if ratio:
        arms = [_ratio(each, events) for each in (c, t)]
        return called(arms[0], arms[1], Clock.INFORMATION, Design(), FLOOR)
    before = c.m2_x + t.m2_x
    theta = np.divide(c.c_xy + t.c_xy, before, out=np.zeros_like(before), where=before > 0)
    shift = theta * (t.x / t.n - c.x / c.n)
    control = _of_pairs(c, c.y / c.n, c.residual_m2(theta), events)
    return called(control, _of_pairs(t, t.y / t.n - shift, t.residual_m2(theta), events), Clock.EVENTS, Design(), FLOOR)


def _ratio(arm: PairSums, events: Floats) -> Looks:
    x = np.maximum(arm.x, 1)  # below the floor where nobody has an order
    ratio, mean_x = arm.y / x, x / arm.n
    return _of_pairs(arm, ratio, arm.residual_m2(ratio) / mean_x / mean_x, events)


def _of_pairs(arm: PairSums, mean: Floats, m2: Floats, events: Floats) -> Looks:
    return Looks(arm.n + np.zeros_like(mean), mean, m2, events, events)
