"""Accumulators: what a tally keeps of the events of each identity, beside their number (rules M3, M6).

Each gives the same numbers, to the last bit, whatever the order and the pieces that events come in. An aggregation that
needs one of its own is a class here and an entry of `ACCUMULATORS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.warehouse.duckdb.exact_sums import ExactSums
from experiment_pipeline.warehouse.duckdb.population import Integers

DAY_US = 24 * 60 * 60 * 1_000_000
DAYS_SINCE_MONDAY = 3  # of 1970-01-01, from which times are counted
NO_TEXT = 0  # in place of the hash of a value's text, where there is no value


@dataclass(frozen=True, slots=True)
class CountedEvents:
    """Events that count.

    Attributes:
        within: the numbers of the identities that these and other events are of.
        offsets: the number of the identity of every event, counted from the first of `within` on.
        numbers: the events' values; empty for accumulators that take in all events.
        positions: of the events in the columns.
        columns: of these and other events, by name.
    """

    within: slice
    offsets: Integers
    numbers: Floats
    positions: Integers
    columns: Mapping[str, NDArray[Any]]

    @property
    def identities(self) -> Integers:
        """The number of the identity of every event."""
        identities: Integers = self.within.start + self.offsets
        return identities

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of these events alone."""
        return self.columns[name][self.positions]


class Accumulator(Protocol):
    """One number per identity, while events are counted.

    Attributes:
        of_numbers: whether it takes in the events whose value is a number alone.
    """

    of_numbers: ClassVar[bool]

    def __init__(self, size: int) -> None: ...

    def add(self, events: CountedEvents) -> None:
        """Take in events."""

    def values(self) -> Floats:
        """Return one value per identity; of those without any event that was taken in it is arbitrary."""


class Sums:
    """Sums of the events' numbers; a mean is one over their count."""

    of_numbers: ClassVar[bool] = True

    def __init__(self, size: int) -> None:
        self._sums = ExactSums(size)

    def add(self, events: CountedEvents) -> None:
        """Add the events' numbers."""
        self._sums.add(events.within, events.offsets, events.numbers)

    def values(self) -> Floats:
        """Return the sums."""
        return self._sums.totals()


class Smallest:
    """The smallest number of each identity's events."""

    of_numbers: ClassVar[bool] = True
    sign = 1.0

    def __init__(self, size: int) -> None:
        self._smallest = np.full(size, np.inf)

    def add(self, events: CountedEvents) -> None:
        """Compare the events' numbers."""
        np.minimum.at(self._smallest[events.within], events.offsets, _signed(events, self.sign))

    def values(self) -> Floats:
        """Return the smallest numbers."""
        return self.sign * self._smallest


class Largest(Smallest):
    """The largest number of each identity's events: the smallest of the negative ones."""

    sign = -1.0


class First:
    """The number of each identity's first event; of several at that time the smallest."""

    of_numbers: ClassVar[bool] = True
    sign = 1

    def __init__(self, size: int) -> None:
        self._at = np.full(size, np.iinfo(np.int64).max)
        self._number = np.full(size, np.inf)

    def add(self, events: CountedEvents) -> None:
        """Compare the events' times, and the numbers of those at the first time."""
        at = self.sign * events.column("at_us")
        first, number = self._at[events.within], self._number[events.within]  # views
        earliest = first.copy()
        np.minimum.at(earliest, events.offsets, at)
        number[earliest < first] = np.inf
        first[:] = earliest
        firsts = np.flatnonzero(at == earliest[events.offsets])
        np.minimum.at(number, events.offsets[firsts], _signed(events, float(self.sign))[firsts])

    def values(self) -> Floats:
        """Return the first numbers."""
        return self.sign * self._number


class Last(First):
    """The number of each identity's last event; of several at that time the largest: the first, with all turned."""

    sign = -1


class Days:
    """Distinct UTC days with an event."""

    of_numbers: ClassVar[bool] = False

    def __init__(self, size: int) -> None:
        self._size = size
        self._pairs: list[tuple[Integers, Integers]] = []

    def add(self, events: CountedEvents) -> None:
        """Take in the events' days."""
        self._add(events.identities, events.column("at_us") // DAY_US)

    def _add(self, identities: Integers, keys: Integers) -> None:
        """Keep each pair of an identity and a key once; what is kept is gone through when as much has come again."""
        self._pairs.append(_distinct_pairs(identities, keys))
        while len(self._pairs) > 1 and len(self._pairs[-1][0]) * 2 >= len(self._pairs[-2][0]):
            self._merge_last(2)

    def _merge_last(self, number: int) -> None:
        last = self._pairs[-number:]
        del self._pairs[-number:]
        self._pairs.append(_distinct_pairs(*(np.concatenate(column) for column in zip(*last, strict=True))))

    def values(self) -> Floats:
        """Return how many there are."""
        if not self._pairs:
            return np.zeros(self._size)
        self._merge_last(len(self._pairs))
        return np.bincount(self._pairs[0][0], minlength=self._size).astype(np.float64)


class Weeks(Days):
    """Distinct weeks with an event: ISO weeks, which begin on Monday, of UTC days."""

    def add(self, events: CountedEvents) -> None:
        """Take in the events' weeks."""
        self._add(events.identities, (events.column("at_us") // DAY_US + DAYS_SINCE_MONDAY) // 7)


class Distinct(Days):
    """Distinct texts of the events' values; an event without a value has none."""

    def add(self, events: CountedEvents) -> None:
        """Take in the hashes of the events' values."""
        texts = events.column("text")
        has_text = np.flatnonzero(texts != NO_TEXT)
        self._add(events.identities[has_text], texts[has_text])


def _distinct_pairs(identities: Integers, keys: Integers) -> tuple[Integers, Integers]:
    order = np.lexsort((keys, identities))
    identities, keys = identities[order], keys[order]
    is_new = np.ones(len(order), bool)
    is_new[1:] = (identities[1:] != identities[:-1]) | (keys[1:] != keys[:-1])
    return identities[is_new], keys[is_new]


def _signed(events: CountedEvents, sign: float) -> Floats:
    """Return the events' numbers, or their negative ones; a zero has no sign, which an order could decide."""
    signed: Floats = sign * events.numbers + 0.0
    return signed


ACCUMULATORS: dict[Aggregation, type[Accumulator]] = {
    Aggregation.SUM: Sums,
    Aggregation.MEAN: Sums,
    Aggregation.MIN: Smallest,
    Aggregation.MAX: Largest,
    Aggregation.FIRST: First,
    Aggregation.LAST: Last,
    Aggregation.DAYS: Days,
    Aggregation.WEEKS: Weeks,
    Aggregation.DISTINCT: Distinct,
}
