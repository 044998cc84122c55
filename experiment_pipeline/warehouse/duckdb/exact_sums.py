"""Sums that are the same to the last bit in whatever order and pieces values come (rule X5)."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.warehouse.duckdb.population import Integers

Identities: TypeAlias = Integers | NDArray[np.bool_] | slice

SLICE_BITS = 32  # leaves 21 of a double's 53 bits: two million slices add up without rounding
LOWEST_PLACE = -33  # the last one whose unit is a double
SPARSE_FRACTION = 16  # a place reached by fewer than one identity in so many is stored sparsely


class ExactSums:
    """One sum per identity, the same to the last bit in whatever order and pieces values come.

    Every value is cut at fixed binary places, `SLICE_BITS` apart. The slices of one place are whole numbers of its
    unit, and add up without rounding. After Demmel and Nguyen (2015), "Parallel reproducible summation".
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._places: dict[int, Floats] = {}
        self._sparse: dict[int, list[tuple[Integers, Floats]]] = {}  # places that few values reach

    def add(self, within: slice, numbers: Integers, values: Floats) -> None:
        """Add finite values to sums.

        Args:
            within: the identities that the values are of, and others.
            numbers: the identity of every value, from the first of `within` on.
            values: not changed.
        """
        while (largest := max(values.max(initial=0.0), -values.min(initial=0.0))) > 0:
            place = max(LOWEST_PLACE, (int(np.frexp(largest)[1]) - 1) // SLICE_BITS)
            slices = values / _unit(place)
            if place != LOWEST_PLACE:
                np.trunc(slices, out=slices)
            self._add_slices(place, within, numbers, slices)
            slices *= _unit(place)
            values = np.subtract(values, slices, out=slices)
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

    def slices(self) -> dict[int, Floats]:
        """Return the sums of every place by identity, in its unit: what sums can be resumed from without rounding."""
        return {place: self._sums(place) for place in sorted({*self._places, *self._sparse})}

    def resume(self, identities: Identities, slices: Mapping[int, Floats]) -> None:
        """Replace what was added to the sums of some identities.

        Args:
            identities: their numbers, or a slice of them.
            slices: their sums by place, as `slices` returned them.
        """
        for place in {*self._places, *self._sparse, *slices}:
            if place not in self._places:
                self._places[place] = self._sums(place) if place in self._sparse else np.zeros(self._size)
                self._sparse.pop(place, None)
            self._places[place][identities] = slices.get(place, 0.0)

    def _add_slices(self, place: int, within: slice, numbers: Integers, slices: Floats) -> None:
        """Add slices of one place.

        Allocate a full array for a place only when many identities need it; store few values sparsely.
        """
        if place not in self._places:
            reach = np.flatnonzero(slices)
            sparse = self._sparse.setdefault(place, [])
            if sum(len(found) for found, _ in sparse) + len(reach) < self._size // SPARSE_FRACTION:
                sparse.append((within.start + numbers[reach], slices[reach]))
                return
            self._places[place] = self._sums(place)
            del self._sparse[place]
        sums = self._places[place][within]  # a view
        sums += np.bincount(numbers, weights=slices, minlength=len(sums))

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
