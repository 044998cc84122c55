"""Traffic over time: experiments whose identities come over a while and whose values accrue, drawn event by event.

`populations` brings every identity with its final value. Here an identity is exposed at one time and does something
at others, and a look sees what has happened by then. All times are shares of the experiment's duration.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.stats.arrays import Floats
from tests.calibration.populations import Seed

Integers = NDArray[np.int64]

DAYS = 30  # that an experiment takes, for the cycles
DECAY = 0.1  # the share of the duration in which a decaying rate falls to 1/e
REFUND_DELAY = 0.1  # the mean time from a purchase to its refund
LAST_MOMENT = 1 - 1e-9


class Rates(Enum):
    """How often an identity acts: always the same, less and less after its exposure, or by hour and weekday."""

    CONSTANT = "constant"
    DECAYING = "decaying"
    CYCLES = "cycles"


@dataclass(frozen=True, slots=True)
class Traffic:
    """One metric of identities that are exposed over time and act over time.

    Attributes:
        identities: of control, at the end.
        events: that an identity exposed at the start is expected to have by the end; for occurrence its hazard.
        enrolled_within: the share of the duration within which all identities are exposed; 0 is at once.
        rates: how the events are spread over time.
        gamma: shape of the gamma law of the identities' rates, with mean 1; None where all have the same.
        log_sd: of the lognormal value of an event, for sum and mean.
        refunded: share of the purchases that are taken back later.
        window: how long after the exposure events count; None for no end.
        treatment_ratio: identities of treatment for one of control.
    """

    aggregation: Aggregation
    identities: int
    events: float
    enrolled_within: float = 0.0
    rates: Rates = Rates.CONSTANT
    gamma: float | None = None
    log_sd: float = 1.0
    refunded: float = 0.0
    window: float | None = None
    treatment_ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class ArmOverTime:
    """One arm at every look: arrays of shape (experiments, looks).

    Attributes:
        n: identities exposed so far.
        y: sum of their values, `yy` of the squares.
        events: that have counted so far.
        nonzero: identities whose value is not 0.
    """

    n: Floats
    y: Floats
    yy: Floats
    events: Floats
    nonzero: Floats


def draw_arms(
    traffic: Traffic, seed: Seed, experiments: int, looks: int, lift: float = 0.0
) -> tuple[ArmOverTime, ArmOverTime]:
    """Draw both arms of some experiments; the events of treatment are more frequent by the lift."""
    rng, shape = np.random.default_rng(seed), (experiments, looks)
    arms = (1.0, 1.0), (traffic.treatment_ratio, 1 + lift)
    control, treatment = (
        _Arm(traffic, rng, shape, (round(traffic.identities * size), traffic.events * factor)).draw()
        for size, factor in arms
    )
    return control, treatment


class _Arm:
    """One arm of some experiments while it is drawn; identity i of experiment e has the number `e * n + i`."""

    def __init__(self, traffic: Traffic, rng: np.random.Generator, shape: tuple[int, int], arm: tuple[int, float]):
        self.traffic, self.rng, self.experiments, self.looks = traffic, rng, *shape
        self.n, events = arm
        self.exposed = traffic.enrolled_within * rng.random((self.experiments, self.n))
        self.until = np.ones_like(self.exposed)
        if traffic.window is not None:
            self.until = np.minimum(1.0, self.exposed + traffic.window)
        self.expected = _expected(traffic.rates, self.exposed, self.until)  # of the events at rate 1
        spread = np.ones((self.experiments, 1))
        if traffic.gamma is not None:
            spread = rng.standard_gamma(traffic.gamma, (self.experiments, self.n)) / traffic.gamma
        self.frequency: Floats = events * spread

    def draw(self) -> ArmOverTime:
        """Return the arm at every look."""
        seen = self._seen()
        if self.traffic.aggregation is Aggregation.OCCURRENCE:
            converted = self._by_look(*self._conversions())
            return ArmOverTime(seen, converted, converted, converted, converted)
        number, at, amount = self._events()
        order = np.argsort(number + np.minimum(at, LAST_MOMENT))
        number, at = number[order], at[order]
        before, after = self._values(number, amount[order])
        experiment = number // self.n
        nonzero = (after != 0).astype(float) - (before != 0)
        sums = (after - before, after * after - before * before, None, nonzero)
        return ArmOverTime(seen, *(self._by_look(experiment, at, each) for each in sums))

    def _seen(self) -> Floats:
        """Return the identities exposed by every look."""
        if not self.traffic.enrolled_within:
            return np.full((self.experiments, self.looks), float(self.n))
        return self._by_look(np.repeat(np.arange(self.experiments), self.n), self.exposed.ravel())

    def _conversions(self) -> tuple[Integers, Floats]:
        """Return experiment and time of every first event: where the hazard reaches an exponential number."""
        needed = self.rng.standard_exponential((self.experiments, self.n)) / self.frequency
        converted = needed < self.expected
        at = _time_at(self.traffic.rates, self.exposed[converted], needed[converted])
        return np.nonzero(converted)[0], at

    def _events(self) -> tuple[Integers, Floats, Floats]:
        """Return identity, time and value of every event, in any order."""
        counts = self.rng.poisson(self.frequency * self.expected)
        number = np.repeat(np.arange(self.experiments * self.n), counts.ravel())
        total = len(number)
        exposed, expected = self.exposed.ravel()[number], self.expected.ravel()[number]
        at = _time_at(self.traffic.rates, exposed, self.rng.random(total) * expected)
        if self.traffic.aggregation is Aggregation.COUNT:
            return number, at, np.ones(total)
        amount = self.rng.lognormal(0, self.traffic.log_sd, total)
        if not self.traffic.refunded:
            return number, at, amount
        again = np.flatnonzero(self.rng.random(total) < self.traffic.refunded)
        later = at[again] + REFUND_DELAY * self.rng.standard_exponential(len(again))
        counted = later < self.until.ravel()[number[again]]
        again, later = again[counted], later[counted]
        refunds = (number[again], later, -amount[again])
        return np.append(number, refunds[0]), np.append(at, refunds[1]), np.append(amount, refunds[2])

    def _values(self, number: Integers, amount: Floats) -> tuple[Floats, Floats]:
        """Return the value of the event's identity before and after every event; events in order."""
        is_first = np.append(True, number[1:] != number[:-1]) if len(number) else np.zeros(0, bool)
        starts = np.flatnonzero(is_first)
        sizes = np.diff(np.append(starts, len(number)))
        running = amount.cumsum()
        after = running - np.repeat(running[starts] - amount[starts], sizes)
        after[np.abs(after) < 1e-9] = 0.0  # what a refund leaves by rounding
        if self.traffic.aggregation is Aggregation.MEAN:
            after /= np.arange(1, len(number) + 1) - np.repeat(starts, sizes)
        before = np.append(0.0, after[:-1])
        before[is_first] = 0.0
        return before, after

    def _by_look(self, experiment: Integers, at: Floats, amount: Floats | None = None) -> Floats:
        """Return what has happened by every look; the look at the end sees everything."""
        look = np.minimum((at * self.looks).astype(np.int64), self.looks - 1)
        shape = (self.experiments, self.looks)
        return (
            np.bincount(experiment * self.looks + look, amount, minlength=shape[0] * shape[1])
            .reshape(shape)
            .cumsum(axis=1, dtype=float)
        )


def _cycle() -> tuple[Floats, Floats]:
    """Return the hours of the experiment and the share of a cyclic rate before each: busy noons, quiet weekends."""
    hours = np.arange(DAYS * 24)
    rate = (1 - 0.8 * np.cos(2 * np.pi * (hours + 0.5) / 24)) * np.where(hours // 24 % 7 < 5, 1.2, 0.5)
    return np.append(hours, DAYS * 24) / (DAYS * 24), np.append(0.0, rate.cumsum()) / rate.sum()


HOURS, CYCLE = _cycle()


def _expected(rates: Rates, start: Floats, end: Floats) -> Floats:
    """Return the events expected between two times, of an identity exposed at the first; 1 for all of the duration."""
    match rates:
        case Rates.CONSTANT:
            return end - start
        case Rates.DECAYING:
            share: Floats = np.expm1((start - end) / DECAY) / np.expm1(-1 / DECAY)
            return share
        case Rates.CYCLES:
            return np.interp(end, HOURS, CYCLE) - np.interp(start, HOURS, CYCLE)


def _time_at(rates: Rates, start: Floats, expected: Floats) -> Floats:
    """Return when so many events are expected: the inverse of `_expected`."""
    match rates:
        case Rates.CONSTANT:
            return start + expected
        case Rates.DECAYING:
            at: Floats = start - DECAY * np.log1p(expected * np.expm1(-1 / DECAY))
            return at
        case Rates.CYCLES:
            return np.interp(np.interp(start, HOURS, CYCLE) + expected, CYCLE, HOURS)
