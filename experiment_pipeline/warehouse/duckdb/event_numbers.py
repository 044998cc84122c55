"""Numbers of single events, kept for the quantile of events (rule M12)."""

import math

import numpy as np

from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.warehouse.duckdb.population import Integers, Population
from experiment_pipeline.warehouse.duckdb.tally import Piece, TimeSpan


class EventNumbers:
    """The numbers of the events of each identity that count.

    Attributes:
        invalid: events that count and whose value is not a number, by identity.
    """

    def __init__(self, population: Population, span: TimeSpan, condition: str | None) -> None:
        self._span, self._condition = span, condition
        self._identities: list[Integers] = []
        self._numbers: list[Floats] = []
        self.invalid = np.zeros(len(population), np.int64)

    def add(self, piece: Piece) -> None:
        """Keep the events of a piece."""
        positions = piece.counted(self._span, self._condition)
        identities, numbers = piece.identities(positions), piece.columns["number"][positions]
        numeric = ~np.isnan(numbers)
        self.invalid += np.bincount(identities[~numeric], minlength=len(self.invalid))
        self._identities.append(identities[numeric])
        self._numbers.append(numbers[numeric] + 0.0)  # a zero has no sign

    def columns(self) -> tuple[Integers, Floats]:
        """Return the identities and the numbers of all events, in any order."""
        return (
            np.concatenate(self._identities, dtype=np.int64) if self._identities else np.empty(0, np.int64),
            np.concatenate(self._numbers) if self._numbers else np.empty(0, np.float64),
        )


class ShareBelow:
    """The share of events at or below a number, and its error: events of one identity come together.

    By the delta method over identities, of whole numbers, so that it is the same in any order and pieces.
    """

    def __init__(self) -> None:
        self.identities = self.events = self._below = 0
        self._squares = [0, 0, 0]  # of events below, of both multiplied, of events

    def add(self, events: Integers, below: Integers) -> None:
        """Take in identities, by their events and those of them at or below the number."""
        has_events = np.flatnonzero(events)
        events, below = events[has_events], below[has_events]
        self.identities += len(events)
        self.events += int(events.sum())
        self._below += int(below.sum())
        for place, (one, other) in enumerate(((below, below), (below, events), (events, events))):
            self._squares[place] += int(np.dot(one, other))

    @property
    def error(self) -> float:
        """The standard error of the share; infinite with fewer than two identities."""
        if self.identities < 2:
            return math.inf
        below, events = self._below, self.events
        residual = events**2 * self._squares[0] - 2 * below * events * self._squares[1] + below**2 * self._squares[2]
        return math.sqrt(residual * self.identities / (self.identities - 1)) / events**2
