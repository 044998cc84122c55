"""Tallies: one number per identity, counted event by event, and its moments per variant (rules M2-M5).

Events come as columns, in any order and in any pieces, and the answer is the same to the last bit: counts are whole
numbers, and values are summed without rounding. docs/adr/0013 says why it is not SQL.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.stats.arrays import Floats

Integers: TypeAlias = NDArray[np.int64]

OF_VALUES = (Aggregation.SUM, Aggregation.MEAN)
SLICE_BITS = 32  # leaves 21 of a double's 53 bits: two million slices add up without rounding
LOWEST_PLACE = -33  # the last one whose unit is a double
NOT_EXPOSED = np.iinfo(np.int64).max  # the time of an identity that was never exposed
MOST_STEPS = 8
SPARSE_FRACTION = 16  # a place reached by fewer than one identity in so many is stored sparsely


class Population:
    """Analysed identities, numbered in the order of their hashes.

    Attributes:
        members: by arm, the numbers of its identities.

    Hashes are spread evenly, so the first bits of a hash tell its position among the sorted ones to within a step or
    two.
    """

    def __init__(self, identity_hash: Integers, first_exposed_at: Integers, arm: Integers, arms: int) -> None:
        order = np.argsort(identity_hash, kind="stable")  # hardly any time where they come in order already
        self._size = len(order)
        self._hashes = np.append(identity_hash[order], NOT_EXPOSED)  # an end mark: no hash comes after it
        self._first_exposed_at = np.append(first_exposed_at[order], NOT_EXPOSED)
        by_arm = np.argsort(arm[order], kind="stable")
        ends = np.cumsum(np.bincount(arm, minlength=arms))
        self.members = [by_arm[start:end] for start, end in pairwise([0, *ends.tolist()])]
        self._bits = self._size.bit_length() + 1
        sharing = np.bincount(self._first_bits(self._hashes[:-1]), minlength=1 << self._bits)
        self._starts = np.cumsum(sharing) - sharing

    def __len__(self) -> int:
        return self._size

    def find(self, identity_hash: Integers) -> tuple[Integers, Integers, Integers]:
        """Return the numbers and first-exposure times of the identities in a column of hashes.

        Args:
            identity_hash: the identity of every event; events of one identity are neighbours.

        Returns:
            The numbers of the identities, their first-exposure times, and for every event the index of its identity in
            these two. An unknown identity gets an arbitrary number and the time `NOT_EXPOSED`.
        """
        changes = np.concatenate(([True], identity_hash[1:] != identity_hash[:-1]))  # an identity's events lie together
        belongs_to = np.cumsum(changes) - 1
        identity_hash = identity_hash[np.flatnonzero(changes)]
        numbers = self._starts[self._first_bits(identity_hash)]
        behind = np.flatnonzero(self._hashes[numbers] < identity_hash)
        for _ in range(MOST_STEPS):
            numbers[behind] += 1
            behind = behind[self._hashes[numbers[behind]] < identity_hash[behind]]
        numbers[behind] = np.searchsorted(self._hashes, identity_hash[behind])  # only forged hashes are so much alike
        exposed_at = np.where(self._hashes[numbers] == identity_hash, self._first_exposed_at[numbers], NOT_EXPOSED)
        return numbers, exposed_at, belongs_to

    def _first_bits(self, identity_hash: Integers) -> Integers:
        return (identity_hash >> (64 - self._bits)) + (1 << (self._bits - 1))


class ExactSums:
    """One sum per identity, the same to the last bit in whatever order and pieces values come.

    Every value is cut at fixed binary places, `SLICE_BITS` apart. The slices of one place are whole numbers of its
    unit, and add up without rounding. After Demmel and Nguyen (2015), "Parallel reproducible summation".
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._places: dict[int, Floats] = {}
        self._sparse: dict[int, list[tuple[Integers, Floats]]] = {}  # places that few values reach

    def add(self, numbers: Integers, values: Floats) -> None:
        """Add finite values to the sums of these identities."""
        while (largest := np.abs(values).max(initial=0.0)) > 0:
            place = max(LOWEST_PLACE, (int(np.frexp(largest)[1]) - 1) // SLICE_BITS)
            units = values / _unit(place)
            slices = units if place == LOWEST_PLACE else np.trunc(units)
            self._add_slices(place, numbers, slices)
            values = values - slices * _unit(place)
            if np.count_nonzero(values) < len(values) // 2:
                left = np.flatnonzero(values)
                numbers, values = numbers[left], values[left]

    def totals(self) -> Floats:
        """Return one sum per identity: its sums of all places, added from the lowest place up, rounded at each step."""
        totals = np.zeros(self._size)
        with np.errstate(over="ignore", invalid="ignore"):  # a sum may be too large for a float
            for place in sorted({*self._places, *self._sparse}):
                totals += self._sums(place) * _unit(place)
        return totals

    def _add_slices(self, place: int, numbers: Integers, slices: Floats) -> None:
        """Add slices of one place.

        Allocate a full array for a place only when many identities need it; store few values sparsely.
        """
        if place not in self._places:
            reach = np.flatnonzero(slices)
            sparse = self._sparse.setdefault(place, [])
            if sum(len(found) for found, _ in sparse) + len(reach) < self._size // SPARSE_FRACTION:
                sparse.append((numbers[reach], slices[reach]))
                return
            self._places[place] = self._sums(place)
            del self._sparse[place]
        self._places[place] += np.bincount(numbers, weights=slices, minlength=self._size)

    def _sums(self, place: int) -> Floats:
        """Return the sums of one place, in its unit."""
        if place in self._places:
            return self._places[place]
        sums = np.zeros(self._size)
        for numbers, slices in self._sparse[place]:
            np.add.at(sums, numbers, slices)
        return sums


def _unit(place: int) -> float:
    return 2.0 ** (place * SLICE_BITS)


@dataclass(slots=True)
class Tally:
    """Counts and sums of one kind of event for each identity of a population, after its first exposure (M2, M3).

    Attributes:
        window_us: how long after the first exposure events count, in microseconds, exclusive; None for no end.
    """

    population: Population
    window_us: int | None
    events: Integers
    numeric_events: Integers
    sums: ExactSums

    @classmethod
    def of(cls, population: Population, window_us: int | None) -> "Tally":
        """Return an empty tally."""
        size = len(population)
        return cls(population, window_us, np.zeros(size, np.int64), np.zeros(size, np.int64), ExactSums(size))

    def add(self, identity_hash: Integers, at: Integers, values: Floats | None = None) -> None:
        """Count events.

        Args:
            identity_hash: the identity of every event; events of one identity are neighbours.
            at: the time of every event, in microseconds since 1970.
            values: of every event, NaN where the value is not a number (rule E5); None where no metric reads values.
        """
        if not len(identity_hash) or not len(self.population):
            return
        numbers, exposed_at, belongs_to = self.population.find(identity_hash)
        exposed_at = exposed_at[belongs_to]
        counts = at >= exposed_at
        if self.window_us is not None:
            counts &= at - exposed_at < self.window_us
        counted = np.flatnonzero(counts)  # selecting by index takes a third of the time that a mask takes
        numbers = numbers[belongs_to[counted]]
        events = np.bincount(numbers, minlength=len(self.population))
        self.events += events
        if values is None:
            return
        values = values[counted]
        numeric = ~np.isnan(values)
        if not numeric.all():
            numbers, values = numbers[numeric], values[numeric]
            events = np.bincount(numbers, minlength=len(self.population))
        self.numeric_events += events
        self.sums.add(numbers, values)

    def moments(self, aggregation: Aggregation) -> list["Moments"]:
        """Return the moments of every arm; its identities without events are zeros (rule M4)."""
        values = self._values(aggregation)
        read = self.events if aggregation in OF_VALUES else np.zeros_like(self.events)
        invalid = read - self.numeric_events if aggregation in OF_VALUES else read
        return [
            Moments.of(
                values[members],
                int(invalid[members].sum()),
                int(read[members].sum()),
                self._with_number(members) if aggregation is Aggregation.MEAN else len(members),
            )
            for members in self.population.members
        ]

    def _with_number(self, members: Integers) -> int:
        return int(np.count_nonzero(self.numeric_events[members]))

    def _values(self, aggregation: Aggregation) -> Floats:
        match aggregation:
            case Aggregation.OCCURRENCE:
                return (self.events > 0).astype(np.float64)
            case Aggregation.COUNT:
                return self.events.astype(np.float64)
            case Aggregation.SUM:
                return self.sums.totals()
            case _:
                return self.sums.totals() / np.maximum(self.numeric_events, 1)


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of one metric in one arm, over all its identities or a range of them, while they are computed.

    `VariantAggregate` is what statistics compute with, always finite; `MetricAggregates` is one metric in all arms.
    This one may be too large for a float, counts the values that were read, and is merged range by range.

    Attributes:
        n: identities.
        mean: None where it is too large for a float; `m2` likewise.
        nonzero: identities whose value is not 0.
        with_value: identities that have a value: of a mean those with a number among their events, otherwise all.
        largest: the largest value of an identity; None where there is no identity, or a value too large for a float.
        invalid_values: events whose value was read and is not a number (rule E5).
        values: events whose value was read.
    """

    n: int
    mean: float | None
    m2: float | None
    nonzero: int
    with_value: int
    largest: float | None
    invalid_values: int
    values: int

    @classmethod
    def of(
        cls, of_identities: Floats, invalid_values: int, values: int = 0, with_value: int | None = None
    ) -> "Moments":
        """Return the moments of one number per identity; the second of two passes corrects the rounding.

        Args:
            of_identities: one value per identity.
            invalid_values: see the attribute; `values` likewise.
            with_value: see the attribute; None for all.
        """
        n = len(of_identities)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(of_identities.mean()) if n else 0.0
            deviations = of_identities - mean
            m2 = float((deviations * deviations).sum() - deviations.sum() ** 2 / max(n, 1))
            largest = float(of_identities.max()) if n else math.inf
        return cls(
            n=n,
            mean=_finite(mean),
            m2=max(m2, 0.0) if math.isfinite(m2) else None,
            nonzero=int(np.count_nonzero(of_identities)),
            with_value=n if with_value is None else with_value,
            largest=_finite(largest),
            invalid_values=invalid_values,
            values=values,
        )

    @property
    def aggregate(self) -> VariantAggregate | None:
        """The aggregate that statistics compute with; None where the moments are too large for a float."""
        return None if self.mean is None or self.m2 is None else VariantAggregate(self.n, self.mean, self.m2)

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of the identities of both together."""
        if self.n == 0 or other.n == 0:
            return other if self.n == 0 else self
        mean, m2 = self._merged_moments(other)
        return Moments(
            n=self.n + other.n,
            mean=mean,
            m2=m2,
            nonzero=self.nonzero + other.nonzero,
            with_value=self.with_value + other.with_value,
            largest=None if self.largest is None or other.largest is None else max(self.largest, other.largest),
            invalid_values=self.invalid_values + other.invalid_values,
            values=self.values + other.values,
        )

    def _merged_moments(self, other: "Moments") -> tuple[float | None, float | None]:
        """Return mean and m2 of both together, each None where it is too large for a float."""
        if self.mean is None or other.mean is None:
            return None, None
        mine, theirs = self.aggregate, other.aggregate
        if mine is not None and theirs is not None:
            try:
                both = mine.merge(theirs)
            except ValueError:  # both are finite, together they are not
                pass
            else:
                return both.mean, both.m2
        return _finite((self.n * self.mean + other.n * other.mean) / (self.n + other.n)), None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
