"""Events that metrics choose by conditions: each event once, with what it meets (rules E4, M7)."""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from typing import Any

import ibis

from experiment_pipeline.domain.measures import Condition, Events
from experiment_pipeline.warehouse.ibis.conditions import meets_all
from experiment_pipeline.warehouse.ibis.events import EVENT_KEY

FLAGS = 10  # in one number, beside the time of loading in microseconds, which stays below 2^53 until the year 2255


class ChosenEvents:
    """The conditions of some metrics, each a bit of a number that every event has.

    Rows of one event may differ in their properties, which are no part of it: the row that was loaded first tells, and
    of several loaded at once the one that meets less. Time and bits are one number, so that the smallest one is it.

    Args:
        chosen: the events that count in the metrics.
        unique_rows: whether each event is declared to have one row, so that no duplicates are removed (rule N2).
    """

    def __init__(self, chosen: Iterable[Events], *, unique_rows: bool = False) -> None:
        self._unique_rows = unique_rows
        self._conditions: Sequence[tuple[Condition, ...]] = tuple(
            dict.fromkeys(each.where for each in chosen if each.where)
        )

    def distinct(self, rows: Any) -> Any:
        """Return each event once, with its number and what it meets."""
        numbers = {name: self._with_flags(rows, first) for name, first in self._columns.items()}
        if self._unique_rows:
            return rows.select(*EVENT_KEY, "numeric_value", **numbers)
        if not numbers:
            return rows.select(*EVENT_KEY, "numeric_value").distinct()
        return rows.group_by(*EVENT_KEY, "numeric_value").agg(**{name: each.min() for name, each in numbers.items()})

    def are(self, events: Any, chosen: Events) -> Any:
        """Return whether each event is one that was chosen; when it happened does not matter."""
        is_named = events.event == chosen.name
        if not chosen.where:
            return is_named
        place = self._conditions.index(chosen.where)
        flags = events[_column(place // FLAGS)]
        return is_named & ((flags & (1 << place % FLAGS)) != 0)

    @property
    def _columns(self) -> dict[str, int]:
        """The names of the numbers, with the place of the first condition of each."""
        return {_column(first // FLAGS): first for first in range(0, len(self._conditions), FLAGS)}

    def _with_flags(self, rows: Any, first: int) -> Any:
        bits = [
            meets_all(rows, conditions).ifelse(ibis.literal(1 << place, type="int64"), ibis.literal(0, type="int64"))
            for place, conditions in enumerate(self._conditions[first : first + FLAGS])
        ]
        return rows.loaded_us * (1 << FLAGS) + reduce(add, bits)


def _column(number: int) -> str:
    return f"meets_{number}"
