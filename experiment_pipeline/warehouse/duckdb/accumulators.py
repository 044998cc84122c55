"""Accumulators: what a tally keeps of the events of each identity, beside their number (rules M3, M6).

Each gives the same numbers, to the last bit, whatever the order and the pieces that events come in. An aggregation that
needs one of its own is a class here and an entry of `ACCUMULATORS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.warehouse.duckdb.exact_sums import ExactSums, Identities
from experiment_pipeline.warehouse.duckdb.population import Integers

Totals: TypeAlias = Mapping[str, NDArray[Any]]

DAY_US = 24 * 60 * 60 * 1_000_000
DAYS_SINCE_MONDAY = 3  # of 1970-01-01, from which times are counted
PERIOD_BITS = 28  # of one number that holds an identity and a day or week: enough for any time in microseconds
EARLIEST_PERIOD = 1 << (PERIOD_BITS - 1)  # is added, so that periods before 1970 are not negative
SLICES = "slices_"  # what the names of totals of sums begin with; the place follows
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
        resumes: whether a few numbers per identity, its totals, tell all that it needs to take in further events.
    """

    of_numbers: ClassVar[bool]
    resumes: ClassVar[bool]

    def __init__(self, size: int) -> None: ...

    def add(self, events: CountedEvents) -> None:
        """Take in events."""

    def values(self) -> Floats:
        """Return one value per identity; of those without any event that was taken in it is arbitrary."""

    def totals(self) -> Totals:
        """Return the totals by name, each an array of one number per identity."""

    def resume(self, identities: Identities, totals: Totals) -> None:
        """Replace what was taken in of some identities by earlier totals of theirs."""


class Sums:
    """Sums of the events' numbers; a mean is one over their count."""

    of_numbers: ClassVar[bool] = True
    resumes: ClassVar[bool] = True

    def __init__(self, size: int) -> None:
        self._sums = ExactSums(size)

    def add(self, events: CountedEvents) -> None:
        """Add the events' numbers."""
        self._sums.add(events.within, events.offsets, events.numbers)

    def values(self) -> Floats:
        """Return the sums."""
        return self._sums.totals()

    def totals(self) -> Totals:
        """Return the exact sums, as the slices of every place."""
        return {f"{SLICES}{place}": sums for place, sums in self._sums.slices().items()}

    def resume(self, identities: Identities, totals: Totals) -> None:
        """Go on from these slices."""
        slices = {int(name.removeprefix(SLICES)): sums for name, sums in totals.items()}
        self._sums.resume(identities, slices)


class Smallest:
    """The smallest number of each identity's events."""

    of_numbers: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    sign = 1.0

    def __init__(self, size: int) -> None:
        self._smallest = np.full(size, np.inf)

    def add(self, events: CountedEvents) -> None:
        """Compare the events' numbers."""
        np.minimum.at(self._smallest[events.within], events.offsets, _signed(events, self.sign))

    def values(self) -> Floats:
        """Return the smallest numbers."""
        return self.sign * self._smallest

    def totals(self) -> Totals:
        """Return the smallest numbers so far."""
        return {"extreme": self._smallest}

    def resume(self, identities: Identities, totals: Totals) -> None:
        """Go on from these numbers."""
        self._smallest[identities] = totals["extreme"]


class Largest(Smallest):
    """The largest number of each identity's events: the smallest of the negative ones."""

    sign = -1.0


class First:
    """The number of each identity's first event; of several at that time the smallest."""

    of_numbers: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
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

    def totals(self) -> Totals:
        """Return the first times so far, and the numbers at them."""
        return {"at": self._at, "number": self._number}

    def resume(self, identities: Identities, totals: Totals) -> None:
        """Go on from these times and numbers."""
        self._at[identities] = totals["at"]
        self._number[identities] = totals["number"]


class Last(First):
    """The number of each identity's last event; of several at that time the largest: the first, with all turned."""

    sign = -1


class WithoutTotals:
    """An accumulator that keeps all that it takes in, so that nothing can be resumed from a few numbers."""

    resumes: ClassVar[bool] = False

    def totals(self) -> Totals:
        """Raise: see `resumes`."""
        raise NotImplementedError

    def resume(self, identities: Identities, totals: Totals) -> None:
        """Raise: see `resumes`."""
        raise NotImplementedError


class Days(WithoutTotals):
    """Distinct UTC days with an event."""

    of_numbers: ClassVar[bool] = False

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept = DistinctRows()

    def add(self, events: CountedEvents) -> None:
        """Take in the events' days."""
        self._keep(events.identities, events.column("at_us") // DAY_US)

    def _keep(self, identities: Integers, periods: Integers) -> None:
        """Keep each identity and period as one number, which sorts in a tenth of the time that two columns take."""
        self._kept.add((identities << PERIOD_BITS) + periods + EARLIEST_PERIOD)

    def values(self) -> Floats:
        """Return how many there are."""
        (packed,) = self._kept.columns(1)
        return np.bincount(packed >> PERIOD_BITS, minlength=self._size).astype(np.float64)


class Weeks(Days):
    """Distinct weeks with an event: ISO weeks, which begin on Monday, of UTC days."""

    def add(self, events: CountedEvents) -> None:
        """Take in the events' weeks."""
        self._keep(events.identities, (events.column("at_us") // DAY_US + DAYS_SINCE_MONDAY) // 7)


class Distinct(WithoutTotals):
    """Distinct texts of the events' values; an event without a value has none."""

    of_numbers: ClassVar[bool] = False

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept = DistinctRows()

    def add(self, events: CountedEvents) -> None:
        """Take in the hashes of the events' values."""
        texts = events.column("text")
        has_text = np.flatnonzero(texts != NO_TEXT)
        self._kept.add(events.identities[has_text], texts[has_text])

    def values(self) -> Floats:
        """Return how many there are."""
        identities, _ = self._kept.columns(2)
        return np.bincount(identities, minlength=self._size).astype(np.float64)


class DistinctRows:
    """Rows of whole numbers, each kept once; what is kept is gone through when half as much has come again."""

    def __init__(self) -> None:
        self._kept: list[tuple[Integers, ...]] = []

    def add(self, *columns: Integers) -> None:
        """Take in rows; every call brings as many columns."""
        self._kept.append(_distinct_rows(columns))
        while len(self._kept) > 1 and len(self._kept[-1][0]) * 2 >= len(self._kept[-2][0]):
            self._merge_last(2)

    def columns(self, number: int) -> tuple[Integers, ...]:
        """Return all rows in rising order, in so many columns; where there are none, these are empty."""
        if not self._kept:
            return (np.empty(0, np.int64),) * number
        self._merge_last(len(self._kept))
        return self._kept[0]

    def _merge_last(self, number: int) -> None:
        last = self._kept[-number:]
        del self._kept[-number:]
        self._kept.append(_distinct_rows([np.concatenate(column) for column in zip(*last, strict=True)]))


def _distinct_rows(columns: Sequence[Integers]) -> tuple[Integers, ...]:
    """Return each row once, in rising order. A stable sort takes hardly any time where runs of rows rise already."""
    if len(columns) == 1:
        rows = [np.sort(columns[0], kind="stable")]
    else:
        order = np.lexsort(columns[::-1])
        rows = [column[order] for column in columns]
    is_new = np.logical_or.reduce([column[1:] != column[:-1] for column in rows])
    if is_new.all():
        return tuple(rows)
    positions = np.concatenate(([0], np.flatnonzero(is_new) + 1))
    return tuple(column[positions] for column in rows)


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
