"""Phases: an experiment runs in phases 1, 2, ...; a restart ends the running one and begins the next (rule X9)."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class EndedPhase:
    """A phase that a restart has ended: its window, and the shares that were in force in it.

    Attributes:
        number: 1 for the experiment's first.
        started_at: UTC, as is `ended_at`: the moment of the restart, when the next one started.
        percentage_allocations: of the experiment's variants, in their order.
    """

    number: int
    started_at: datetime
    ended_at: datetime
    percentage_allocations: tuple[float | None, ...]
