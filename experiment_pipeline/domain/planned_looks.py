"""Planned looks: the payloads at which a design's boundaries are compared; stored, never computed again (rule C7)."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PlannedLook:
    """One planned look at one treatment.

    Attributes:
        number: the k-th of n_looks: the largest k whose share k / n_looks of the planned evidence had accrued.
        as_of: the end of the window of the payload that it is, UTC.
        information_fraction: accrued over planned evidence.
        boundary: for |z|; None where the look spends nothing, so that nothing can cross it.
        z: the effect over its standard error, the larger of two (ADR 22); above 0 where the treatment is larger.
        crossed: whether z has reached the boundary.
    """

    number: int
    as_of: datetime
    information_fraction: float
    boundary: float | None
    z: float
    crossed: bool


@dataclass(frozen=True, slots=True)
class PlannedLookOf:
    """A planned look, and the metric and treatment that it is at."""

    metric_id: int
    treatment: str
    look: PlannedLook
