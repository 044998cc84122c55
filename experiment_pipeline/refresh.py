"""Refresh: the nouns of claims and runs, and the pure decisions about them (rules R1-R8)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Computation(StrEnum):
    """Rule R1: what is kept per experiment."""

    EXPOSURES = "exposures"
    RESULTS = "results"


class ClaimSource(StrEnum):
    """Who asked (rule R2)."""

    API = "api"
    CLI = "cli"
    SCHEDULE = "schedule"
    COMPLETION = "completion"
    UI = "ui"

    @property
    def is_user(self) -> bool:
        """Users' requests are throttled and go first; all others neither wait for the throttle nor start it."""
        return self in (ClaimSource.API, ClaimSource.CLI)


class ClaimOutcome(StrEnum):
    """How a claim ended; a waiting one has none."""

    PUBLISHED = "published"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ComputationState:
    """One row of rule R1, as the API serves it. `payload` is JSON-ready; times are UTC."""

    computation: Computation
    as_of: datetime | None
    data_version: int | None
    computed_at: datetime | None
    payload: dict[str, Any] | None
    is_final: bool
    last_error_at: datetime | None
    failures: int
    refresh_requested_at: datetime | None
    last_duration_seconds: float | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A request for a refresh; its id is the run key (rule R2).

    served_by: the run that has taken it on; None while none has
    """

    id: int
    experiment_id: int
    partition_key: str
    computation: Computation
    source: ClaimSource
    requested_at: datetime
    served_by: str | None = None


@dataclass(frozen=True, slots=True)
class RefreshRun:
    """One run's hold on one experiment: as-of and data version are fixed for every artifact it makes (rule R5)."""

    run_id: str
    experiment_id: int
    as_of: datetime
    data_version: int


def is_final(
    *,
    ended_at: datetime | None,
    as_of: datetime,
    computed_at: datetime,
    final_from: datetime | None,
    covers_landed: bool,
) -> bool:
    """Rule R6: final when the window is whole, the grace has passed and every object landed before then is in.

    final_from:    `ended_at` plus the grace; None while the experiment has not ended
    covers_landed: the data version holds every object that landed before `final_from`
    """
    if ended_at is None or final_from is None:
        return False
    return as_of >= ended_at and computed_at >= final_from and covers_landed
