"""Funnels: the identities whose events contain several steps, one after the other (rule M14)."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.warehouse.duckdb.population import Integers
from experiment_pipeline.warehouse.duckdb.tally import Piece, TimeSpan

NEVER = np.iinfo(np.int64).min  # the start of a chain that there is not
FROM_EXPOSURE = TimeSpan()


class StepEvents:
    """Events of one name that can be steps of a funnel.

    Args:
        steps: the number of each step that they can be, with the column of its condition; None for no condition.
    """

    def __init__(self, steps: Sequence[tuple[int, str | None]]) -> None:
        self._steps = steps
        self._pieces: list[tuple[Integers, Integers, Integers]] = []

    def add(self, piece: Piece) -> None:
        """Keep the events of a piece that can be any step."""
        positions = piece.counted(FROM_EXPOSURE, None)
        steps = np.zeros(len(positions), np.int64)
        for number, condition in self._steps:
            met = 1 if condition is None else piece.columns[condition][positions].astype(np.int64)
            steps |= met << number
        kept = np.flatnonzero(steps)
        self._pieces.append((piece.identities(positions[kept]), piece.columns["at_us"][positions[kept]], steps[kept]))

    def columns(self) -> tuple[Integers, Integers, Integers]:
        """Return the identities of the events, their times, and the steps that they can be, one bit each."""
        none = np.empty(0, np.int64)
        identities, at, steps = zip((none, none, none), *self._pieces, strict=True)
        return np.concatenate(identities), np.concatenate(at), np.concatenate(steps)


def reached_steps(
    size: int, events: Sequence[tuple[Integers, Integers, Integers]], steps: int, within_us: int | None
) -> NDArray[np.bool_]:
    """Return which identities reach which step.

    A chain of events reaches step k where k different events are the steps up to it, each at or after the one before,
    and all of them within a time of the first. Of the chains that reach a step the one that starts last is the best:
    every event that another can go on with, it can go on with, too. So one time per identity and step is enough.

    Args:
        size: identities.
        events: of each name: identities, times and possible steps; see `StepEvents.columns`.
        steps: how many there are.
        within_us: how long after the first step the others count, exclusive; None for no end.

    Returns:
        One row per step, one column per identity.
    """
    identities, at, possible = (np.concatenate(column) for column in zip(*events, strict=True))
    order = np.lexsort((possible, at, identities))  # of events at one time the earlier step comes first
    identities, at, possible = identities[order], at[order], possible[order]
    starts = np.full((steps, size), NEVER)
    for of_round, times, can_be in _rounds(identities, at, possible):
        for step in reversed(range(steps)):  # from the last one on: no event is two steps
            is_step = np.flatnonzero(can_be >> step & 1)
            _extend(starts, step, of_round[is_step], times[is_step], within_us)
    for identity in _with_ambiguous_ties(identities, at, possible):
        first, beyond = np.searchsorted(identities, [identity, identity + 1])
        own = zip(at[first:beyond].tolist(), possible[first:beyond].tolist(), strict=True)
        starts[:, identity] = _latest_starts(own, steps, within_us)
    reached: NDArray[np.bool_] = starts != NEVER
    return reached


def _rounds(identities: Integers, at: Integers, possible: Integers) -> Iterator[tuple[Integers, Integers, Integers]]:
    """Yield the first event of every identity, then the second ones, and so on."""
    of_each, first, counts = np.unique(identities, return_index=True, return_counts=True)
    most_first = np.argsort(-counts, kind="stable")
    of_each, first, counts = of_each[most_first], first[most_first], counts[most_first]
    for number in range(int(counts.max(initial=0))):
        left = int(np.searchsorted(-counts, -number))  # those with more events than this
        yield of_each[:left], at[first[:left] + number], possible[first[:left] + number]


def _extend(starts: NDArray[np.int64], step: int, identities: Integers, at: Integers, within_us: int | None) -> None:
    """Extend the chains of these identities by an event each that is this step."""
    if step == 0:
        starts[0, identities] = at
        return
    before = starts[step - 1, identities]
    goes_on = before != NEVER
    if within_us is not None:
        goes_on &= at < before + within_us
    identities = identities[goes_on]
    starts[step, identities] = np.maximum(starts[step, identities], before[goes_on])


def _with_ambiguous_ties(identities: Integers, at: Integers, possible: Integers) -> list[int]:
    """Return the identities with several events at one time of which one can be several steps: their order matters."""
    if not len(identities):
        return []
    is_tied = np.zeros(len(identities), bool)
    same = (identities[1:] == identities[:-1]) & (at[1:] == at[:-1])
    is_tied[1:] |= same
    is_tied[:-1] |= same
    found: list[int] = np.unique(identities[is_tied & (possible & (possible - 1) != 0)]).tolist()
    return found


def _latest_starts(events: Iterable[tuple[int, int]], steps: int, within_us: int | None) -> list[int]:
    """Return the latest start of a chain that reaches each step, of one identity, in whatever order its ties are."""
    starts = [NEVER] * steps
    for time, tied in groupby(events, key=itemgetter(0)):
        possible = [can_be for _, can_be in tied]
        extended = list(starts)
        for reached, start in enumerate([time, *starts]):
            if start == NEVER or (within_us is not None and time >= start + within_us):
                continue
            for step in range(reached, reached + _most_steps(possible, reached, steps)):
                extended[step] = max(extended[step], start)
        starts = extended
    return starts


def _most_steps(possible: Sequence[int], first: int, steps: int) -> int:
    """Return how many steps from `first` on different events can be: a matching, step by step (Kuhn 1955)."""
    step_of_event: dict[int, int] = {}

    def place(step: int, tried: set[int]) -> bool:
        for event, can_be in enumerate(possible):
            if can_be >> step & 1 and event not in tried:
                tried.add(event)
                if event not in step_of_event or place(step_of_event[event], tried):
                    step_of_event[event] = step
                    return True
        return False

    return next((step - first for step in range(first, steps) if not place(step, set())), steps - first)
