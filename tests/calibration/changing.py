"""Values that change as events come: the first, last, largest, mean of an identity's, its days and distinct values.

Everybody is exposed at once or all the time, and acts at a constant or a decaying rate; all times are shares of the
experiment. A look sees what has happened by then.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.measures import Aggregation, Clock
from experiment_pipeline.stats.arrays import Floats
from tests.calibration.clocks import Looks, called
from tests.calibration.populations import Seed

CLOCKS = {
    Aggregation.DAYS: Clock.SATURATING,
    Aggregation.DISTINCT: Clock.SATURATING,
    Aggregation.FIRST: Clock.IDENTITIES,
    Aggregation.LAST: Clock.REPLACED,
    Aggregation.MIN: Clock.EXTREMES,
    Aggregation.MAX: Clock.EXTREMES,
}
FLOOR, CHUNK, DECAY, KINDS = 150, 250, 0.1, 5  # of identities that are not 0; experiments drawn at a time; of distinct
FOUND_AT_THE_END = 2.8016  # standard errors of an effect that 80 % of fixed samples find


@dataclass(frozen=True, slots=True)
class Changing:
    """One metric of identities that act over time.

    Attributes:
        events: that an identity that is exposed at the start has by the end.
        arriving: whether identities are exposed all the time, instead of at once.
        decaying: whether they act less and less after their exposure.
        gamma: shape of the gamma law of their rates; None where all have the same.
        uniform: whether values are uniform, instead of lognormal.
        planned: whether there is a design, for the effect that 80 % of fixed samples find at the end.
    """

    aggregation: Aggregation
    identities: int
    events: float
    looks: int = 240
    arriving: bool = False
    decaying: bool = False
    gamma: float | None = None
    uniform: bool = False
    planned: bool = False

    @property
    def name(self) -> str:
        """Return what is unusual about it."""
        return ", ".join(self._words())

    def _words(self) -> Iterator[str]:
        yield f"{self.aggregation} of {self.events:g} {'uniform ' if self.uniform else ''}events"
        yield f"{self.identities:,} an arm {'all the time' if self.arriving else 'at once'}"
        if self.decaying:
            yield "decaying"
        if self.gamma is not None:
            yield "gamma rates"
        yield f"{self.looks} looks"
        yield "design" if self.planned else "no design"


def errors(case: Changing, seed: Seed, experiments: int) -> Counter[str]:
    """Count A/A tests that are called a difference at any look."""
    found: Counter[str] = Counter()
    for start in range(0, experiments, CHUNK):
        rng, size = np.random.default_rng((*seed, start)), min(CHUNK, experiments - start)
        control, treatment = draw(case, rng, size), draw(case, rng, size)
        design = _design(control) if case.planned else Design()
        found += called(control, treatment, CLOCKS.get(case.aggregation, Clock.EVENTS), design, FLOOR)
    return found


def draw(case: Changing, rng: np.random.Generator, experiments: int) -> Looks:
    """Return one arm of some experiments at every look."""
    arm = _Arm(case, rng, (experiments, case.identities))
    looks = [arm.look(number) for number in range(case.looks)]
    return Looks(*(np.stack(each, axis=1) for each in zip(*looks, strict=True)))


def _design(control: Looks) -> Design:
    """Return the design of an experimenter who knew the spread of the values at the end."""
    n, mean = control.n[:, -1], float(control.mean[:, -1].mean())
    error = float(np.sqrt((2 * control.m2[:, -1] / n / (n - 1)).mean()))
    return Design(mde=FOUND_AT_THE_END * error / abs(mean), baseline=mean)


class _Arm:
    """One arm of some experiments while time goes on; identity i of experiment e is number `e * identities + i`."""

    def __init__(self, case: Changing, rng: np.random.Generator, shape: tuple[int, int]):
        self.case, self.rng, self.shape = case, rng, shape
        self.exposed = rng.random(shape) if case.arriving else np.zeros(shape)
        self.events, self.value = np.zeros(shape[0] * shape[1]), np.zeros(shape[0] * shape[1])
        self.sums = np.zeros((5, shape[0]))  # with a value, values, their squares, events, not 0
        rate = np.full(shape, case.events)
        if case.gamma is not None:
            rate = case.events * rng.standard_gamma(case.gamma, shape) / case.gamma
        acted = _acted(1 - self.exposed, decaying=case.decaying)
        number = np.repeat(np.arange(self.events.size), rng.poisson(rate * acted).ravel())
        since = _acted_so_much(rng.random(len(number)) * acted.ravel()[number], decaying=case.decaying)
        look = np.minimum((self.exposed.ravel()[number] + since) * case.looks, case.looks - 1).astype(np.int64)
        order = np.argsort(look, kind="stable")
        self.who, self.starts = number[order], np.searchsorted(look[order], np.arange(case.looks + 1))

    def look(self, number: int) -> tuple[Floats, ...]:
        """Let time go on to the next look, and return what it sees: n, mean, m2, events, counted."""
        at, new = np.unique(self.who[self.starts[number] : self.starts[number + 1]], return_counts=True)
        events, before = self.events[at], self.value[at]
        after = self._values(before, events, new.astype(float))
        self.value[at], self.events[at] = after, events + new
        changes = events == 0, after - before, after**2 - before**2, new, (after != 0).astype(float) - (before != 0)
        experiment = at // self.shape[1]
        self.sums = self.sums + np.array([np.bincount(experiment, each, minlength=self.shape[0]) for each in changes])
        with_value, total, squares, events_so_far, nonzero = self.sums
        n = with_value
        if not self.case.aggregation.may_lack_value:
            n = (self.exposed < (number + 1) / self.case.looks).sum(axis=1).astype(float)
        mean = total / np.maximum(n, 1)
        return n, mean, np.maximum(squares - mean * total, 0), events_so_far, nonzero

    def _values(self, value: Floats, events: Floats, new: Floats) -> Floats:
        """Return the values of identities after some new events."""
        match self.case.aggregation:
            case Aggregation.FIRST:
                return np.where(events == 0, self._numbers(np.ones_like(new)), value)
            case Aggregation.LAST:
                return self._numbers(np.ones_like(new))
            case Aggregation.MAX:
                return np.maximum(value, self._numbers(new))
            case Aggregation.MEAN:
                total = value * events + self.rng.standard_gamma(0.6 * new) / 0.6
                mean: Floats = total / (events + new)
                return mean
            case Aggregation.DAYS:
                return value + 1
            case Aggregation.DISTINCT:
                more: Floats = self.rng.binomial(new.astype(np.int64), 1 - value / KINDS).astype(float)
                return np.minimum(value + more, KINDS)
            case _:
                raise NotImplementedError(self.case.aggregation)

    def _numbers(self, of: Floats) -> Floats:
        """Return the largest of so many numbers, for each."""
        largest = self.rng.random(len(of)) ** (1 / of)
        if self.case.uniform:
            return largest
        numbers: Floats = np.exp(special.ndtri(np.clip(largest, 1e-12, 1 - 1e-12)))
        return numbers


def _acted(time: Floats, *, decaying: bool) -> Floats:
    """Return the share of its events that an identity has within so much time after its exposure."""
    share: Floats = np.expm1(-time / DECAY) / np.expm1(-1 / DECAY) if decaying else time
    return share


def _acted_so_much(share: Floats, *, decaying: bool) -> Floats:
    """Return the time after its exposure within which an identity has this share of its events."""
    time: Floats = -DECAY * np.log1p(share * np.expm1(-1 / DECAY)) if decaying else share
    return time


A = Aggregation
CASES = (
    Changing(A.FIRST, 1_000, 4.0),
    Changing(A.FIRST, 1_000, 4.0, arriving=True, planned=True),
    Changing(A.LAST, 600, 12.0),
    Changing(A.LAST, 600, 12.0, planned=True),
    Changing(A.LAST, 1_000, 4.0, arriving=True, planned=True),
    Changing(A.LAST, 1_000, 4.0, gamma=0.5),
    Changing(A.MAX, 1_000, 4.0),
    Changing(A.MAX, 600, 12.0, planned=True),
    Changing(A.MAX, 600, 12.0, arriving=True, decaying=True, uniform=True),
    Changing(A.MAX, 600, 12.0, arriving=True, decaying=True, uniform=True, planned=True),
    Changing(A.MAX, 600, 12.0, arriving=True, uniform=True),
    Changing(A.MAX, 1_000, 4.0, arriving=True, decaying=True, uniform=True),
    Changing(A.MEAN, 1_000, 4.0),
    Changing(A.MEAN, 600, 12.0, arriving=True, planned=True),
    Changing(A.DAYS, 1_000, 4.0, looks=30),
    Changing(A.DAYS, 600, 30.0, looks=30, arriving=True, planned=True),
    Changing(A.DISTINCT, 1_000, 4.0),
    Changing(A.DISTINCT, 600, 12.0, arriving=True),
    Changing(A.DISTINCT, 600, 12.0, arriving=True, decaying=True),
    Changing(A.DISTINCT, 600, 12.0, arriving=True, planned=True),
)
SATURATED = (  # nearly all have all five values soon after they arrive: see the limits in docs/adr/0041
    Changing(A.DISTINCT, 600, 20.0, arriving=True),
    Changing(A.DISTINCT, 600, 20.0, arriving=True, planned=True),
)
