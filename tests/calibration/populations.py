"""What identities do in the simulations: sums per look of simulated experiments, drawn many experiments at a time.

A population draws, for each of `experiments` experiments, `looks` batches of `batch` identities of one arm, and gives
the sums that aggregates are made of. Both arms of an A/A test are drawn from the same population.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.not_computable import NotComputable


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of one arm, at every look: arrays of shape (experiments, looks), n of shape (looks,)."""

    n: Floats
    mean: Floats
    m2: Floats


@dataclass(frozen=True, slots=True)
class Sums:
    """One arm, accumulated over looks: arrays of shape (experiments, looks), n of shape (looks,).

    Sums of squares are accurate enough here: these populations have means near their standard deviations.

    events: that have counted; y itself for conversions and counts
    nonzero: identities whose value is not 0
    """

    n: Floats
    y: Floats
    yy: Floats
    events: Floats
    nonzero: Floats

    @property
    def mean(self) -> Floats:
        """Values of each experiment at each look."""
        mean: Floats = self.y / self.n
        return mean

    @property
    def m2(self) -> Floats:
        """Values of each experiment at each look."""
        m2: Floats = np.maximum(self.yy - self.y * self.y / self.n, 0)
        return m2

    def aggregate(self, experiment: int, look: int) -> VariantAggregate:
        """Return the aggregate that the warehouse would have returned."""
        return VariantAggregate(int(self.n[look]), float(self.mean[experiment, look]), float(self.m2[experiment, look]))


@dataclass(frozen=True, slots=True)
class PairSums:
    """The same for two values per identity."""

    n: Floats
    x: Floats
    y: Floats
    xx: Floats
    yy: Floats
    xy: Floats

    @property
    def m2_x(self) -> Floats:
        """Values of each experiment at each look."""
        return self.xx - self.x * self.x / self.n

    @property
    def m2_y(self) -> Floats:
        """Values of each experiment at each look."""
        return self.yy - self.y * self.y / self.n

    @property
    def c_xy(self) -> Floats:
        """Values of each experiment at each look."""
        return self.xy - self.x * self.y / self.n

    def residual_m2(self, slope: Floats) -> Floats:
        """Return the sum of squared deviations of `y - slope x`, of each experiment at each look."""
        m2: Floats = np.maximum(self.m2_y - 2 * slope * self.c_xy + slope * slope * self.m2_x, 0)
        return m2

    def aggregate(self, experiment: int, look: int) -> PairAggregate:
        """Return the aggregate that the warehouse would have returned."""
        n, at = int(self.n[look]), (experiment, look)
        moments = (self.x[at] / n, self.y[at] / n, self.m2_x[at], self.m2_y[at], self.c_xy[at])
        return PairAggregate(n, *map(float, moments))


T = TypeVar("T")

Seed = Sequence[int]
Population = Callable[[np.random.Generator, int, int, int], Sums]
PairPopulation = Callable[[np.random.Generator, int, int, int], PairSums]


def computed(answer: T | NotComputable) -> T:
    """The answer; these populations never have one withheld."""
    if isinstance(answer, NotComputable):
        raise AssertionError(f"a simulated answer was withheld: {answer.reason}")  # noqa: TRY004
    return answer


def sizes_at_looks(looks: int, batch: int) -> Floats:
    return batch * np.arange(1.0, looks + 1)


@dataclass(frozen=True, slots=True)
class Binary:
    """Identities that convert or do not."""

    rate: float

    def __call__(self, rng: np.random.Generator, experiments: int, looks: int, batch: int) -> Sums:
        converted = rng.binomial(batch, self.rate, (experiments, looks)).cumsum(axis=1).astype(float)
        return Sums(sizes_at_looks(looks, batch), converted, converted, converted, converted)


@dataclass(frozen=True, slots=True)
class Counts:
    """Poisson events per identity."""

    rate: float

    @property
    def mean(self) -> float:
        """Per identity."""
        return self.rate

    @property
    def variance(self) -> float:
        """Between identities."""
        return self.rate

    def __call__(self, rng: np.random.Generator, experiments: int, looks: int, batch: int) -> Sums:
        events = rng.poisson(self.rate, (experiments, looks, batch))
        y, yy, nonzero = (
            of_look.sum(axis=2).cumsum(axis=1).astype(float) for of_look in (events, events * events, events > 0)
        )
        return Sums(sizes_at_looks(looks, batch), y, yy, y, nonzero)


@dataclass(frozen=True, slots=True)
class Revenue:
    """Most identities spend nothing; those who buy spend a lognormal amount of this log scale."""

    buyers: float
    sigma: float
    scale: float = 1.0

    @property
    def mean(self) -> float:
        """Per identity."""
        return self.buyers * self.scale * math.exp(self.sigma * self.sigma / 2)

    @property
    def variance(self) -> float:
        """Between identities."""
        return self.mean**2 * (math.exp(self.sigma * self.sigma) / self.buyers - 1)

    def __call__(self, rng: np.random.Generator, experiments: int, looks: int, batch: int) -> Sums:
        bought = rng.binomial(batch, self.buyers, experiments * looks)
        spent = self.scale * rng.lognormal(0, self.sigma, bought.sum())
        ends = bought.cumsum()
        y, yy = (
            np.diff(np.concatenate(([0.0], values.cumsum()))[ends], prepend=0.0).reshape(experiments, looks)
            for values in (spent, spent * spent)
        )
        purchases = bought.reshape(experiments, looks).cumsum(axis=1).astype(float)
        return Sums(sizes_at_looks(looks, batch), y.cumsum(axis=1), yy.cumsum(axis=1), purchases, nonzero=purchases)


@dataclass(frozen=True, slots=True)
class Baskets:
    """x orders per identity, more from the keener ones, each worth about the same: y / x is the average order value."""

    orders: float
    worth: float = 1.0

    def __call__(self, rng: np.random.Generator, experiments: int, looks: int, batch: int) -> PairSums:
        shape = (experiments, looks, batch)
        keenness = rng.standard_gamma(2.0, shape) / 2
        x = rng.poisson(self.orders * keenness).astype(float)
        y = self.worth * x * (0.5 + rng.standard_gamma(2.0, shape) / 4)
        return pair_sums(x, y, batch)


@dataclass(frozen=True, slots=True)
class Habits:
    """Events of the same identities before (x) and after (y) their first exposure."""

    rate: float

    def __call__(self, rng: np.random.Generator, experiments: int, looks: int, batch: int) -> PairSums:
        habit = self.rate * rng.standard_gamma(1.5, (experiments, looks, batch)) / 1.5
        return pair_sums(rng.poisson(habit).astype(float), rng.poisson(habit).astype(float), batch)


def pair_sums(x: Floats, y: Floats, batch: int) -> PairSums:
    sums = (values.sum(axis=2).cumsum(axis=1) for values in (x, y, x * x, y * y, x * y))
    return PairSums(sizes_at_looks(x.shape[1], batch), *sums)
