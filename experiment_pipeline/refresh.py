"""Refresh: the nouns of claims and runs, and the pure decisions about them (rules R1-R8)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Generic

from typing_extensions import TypeVar

from experiment_pipeline.experiments import Experiment, ExperimentStatus
from experiment_pipeline.exposures import iso_utc

FIRST_BACK_OFF = timedelta(minutes=5)  # rule R4
LONGEST_BACK_OFF = timedelta(hours=6)
REST = 10  # times the last run's duration: automatic refreshes take at most a tenth of the time


Payload = TypeVar("Payload", bound=Mapping[str, object], default=Any)


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
class ComputationState(Generic[Payload]):
    """One row of rule R1, as the API serves it, by the type of its payload (`results.payload`); times are UTC."""

    computation: Computation
    as_of: datetime | None
    data_version: int | None
    computed_at: datetime | None
    payload: Payload | None
    is_final: bool
    last_error_at: datetime | None
    failures: int
    refresh_requested_at: datetime | None
    last_duration_seconds: float | None

    def envelope(self) -> dict[str, object] | None:
        """Return the payload and how it stands, JSON-ready; None before anything was asked or computed."""
        moments = {
            "as_of": self.as_of,
            "last_error_at": self.last_error_at,
            "refresh_requested_at": self.refresh_requested_at,
        }
        if not any(moments.values()):
            return None
        return {
            **{name: None if moment is None else iso_utc(moment) for name, moment in moments.items()},
            "payload": self.payload,
            "is_final": self.is_final,
        }


@dataclass(frozen=True, slots=True)
class Claim:
    """A request for a refresh; its id is the run key (rule R2).

    run_key:   of the run that automation requested for it; None while it has not
    served_by: the run that has taken it on; None while none has
    """

    id: int
    experiment_id: int
    partition_key: str
    computation: Computation
    source: ClaimSource
    requested_at: datetime
    run_key: str | None = None
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


@dataclass(frozen=True, slots=True)
class Candidate:
    """What decides whether an experiment is refreshed without anybody asking.

    states:       both computations, without their payloads
    newest_batch: the newest batch that brought its environment anything; 0 for none
    waits:        a claim of it waits or is being served already
    """

    experiment: Experiment
    states: tuple[ComputationState, ...]
    newest_batch: int
    waits: bool


def automatic_claim(
    candidate: Candidate, *, now: datetime, grace: timedelta, scanned_at: datetime | None
) -> ClaimSource | None:
    """Whether to claim a refresh now, and as what (rules R4, R6); None for not now.

    scanned_at: when the landing zone was last listed and found to be in the lake to its last object
    """
    if candidate.waits or now < _not_before(candidate.states):
        return None
    experiment = candidate.experiment
    if experiment.status is ExperimentStatus.RUNNING and _has_grown(candidate):
        return ClaimSource.SCHEDULE if _is_stale(candidate, now) else None
    if experiment.ended_at is not None and _misses_its_end(candidate, experiment.ended_at, now, grace, scanned_at):
        return ClaimSource.COMPLETION
    return None


def back_off(failures: int) -> timedelta:
    """How long to leave an experiment alone after so many failures in a row: 5 min, doubling to 6 h (rule R4)."""
    if failures <= 0:
        return timedelta(0)
    doublings = min(failures - 1, 10)  # past the longest by far
    return min(FIRST_BACK_OFF * (1 << doublings), LONGEST_BACK_OFF)


def _not_before(states: tuple[ComputationState, ...]) -> datetime:
    """The end of every back-off and of the rest after the last run."""
    moments = [datetime.min.replace(tzinfo=UTC)]
    for state in states:
        if state.last_error_at is not None:
            moments.append(state.last_error_at + back_off(state.failures))
        if state.computed_at is not None:
            moments.append(state.computed_at + REST * timedelta(seconds=state.last_duration_seconds or 0))
    return max(moments)


def _has_grown(candidate: Candidate) -> bool:
    """Whether batches have landed since a computation's data version; one that never ran has everything to see."""
    return any(state.data_version is None or state.data_version < candidate.newest_batch for state in candidate.states)


def _is_stale(candidate: Candidate, now: datetime) -> bool:
    interval = candidate.experiment.refresh_interval
    return any(state.computed_at is None or now >= state.computed_at + interval for state in candidate.states)


def _misses_its_end(
    candidate: Candidate, ended_at: datetime, now: datetime, grace: timedelta, scanned_at: datetime | None
) -> bool:
    """Rule R6: one refresh once the experiment has ended, another once the grace has passed and all that landed
    before then is in the lake. One that came after the grace and before that was known is not final, and is made again.
    """
    final_from = ended_at + grace
    settled = now >= final_from and scanned_at is not None and scanned_at >= final_from
    return any(
        not state.is_final and (state.as_of is None or state.as_of < ended_at or settled) for state in candidate.states
    )


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run to request for waiting claims, of one experiment or of several small ones.

    run_key: begins with the first claim's id; requesting it again starts nothing twice
    """

    run_key: str
    partition_keys: tuple[str, ...]
    claim_ids: tuple[int, ...]
    by_user: bool


@dataclass(frozen=True, slots=True)
class DispatchLimits:
    """How much is requested at once.

    runs:           per tick
    experiments:    small ones that share a run
    automatic_runs: of automatic claims, requested and not ended
    users_share: whether users' experiments share runs too; where sensors look every few seconds, each has its own
    """

    runs: int = 10
    experiments: int = 25
    automatic_runs: int = 4
    users_share: bool = False


def plan_runs(
    waiting: Sequence[Claim],
    large: Collection[int],
    *,
    now: datetime,
    limits: DispatchLimits | None = None,
    created: Collection[str] = (),
) -> list[PlannedRun]:
    """The runs to request for the claims that wait, users' first (rule R2).

    waiting: every claim without an outcome, users' first
    large:   ids of experiments whose runs take long; they share a run with none, so that they delay none (rule R7)
    created: run keys that Dagster has a run for already, which are not requested again
    A user's experiment has a run of its own by default, automatic ones share. Claims of an experiment that is being
    served wait for its run to end. Runs that were requested and never created are requested again under their old key:
    whoever asked may have died before Dagster heard of it.
    """
    limits = limits or DispatchLimits()
    busy = {claim.experiment_id for claim in waiting if claim.served_by is not None or claim.run_key is not None}
    begun = {claim.run_key for claim in waiting if claim.served_by is not None}
    again = [
        _planned(key, [claim for claim in waiting if claim.run_key == key])
        for key in dict.fromkeys(claim.run_key for claim in waiting)
        if key is not None and key not in begun and key not in created
    ]
    fresh: dict[int, list[Claim]] = {}
    for claim in waiting:
        if claim.experiment_id not in busy:
            fresh.setdefault(claim.experiment_id, []).append(claim)
    by_user = [claims for claims in fresh.values() if any(claim.source.is_user for claim in claims)]
    automatic = [claims for claims in fresh.values() if not any(claim.source.is_user for claim in claims)]
    # By key: a run that serves several has opened some of them and not yet the others, and is one run.
    under_way = {claim.run_key or claim.served_by for claim in waiting if not claim.source.is_user} - {None}
    room = max(0, limits.automatic_runs - len(under_way))
    groups = _shared(by_user, large, limits.experiments if limits.users_share else 1)
    groups += _shared(automatic, large, limits.experiments)[:room]
    new = [_planned(f"refresh:{group[0].id}:{now:%Y%m%dT%H%M%S%f}", group) for group in groups]
    return [*again, *new][: limits.runs]


def _shared(waiting: list[list[Claim]], large: Collection[int], size: int) -> list[list[Claim]]:
    """Claims by run: every large experiment its own, the small ones together, the oldest claims first."""
    small = [claims for claims in waiting if claims[0].experiment_id not in large]
    alone = [claims for claims in waiting if claims[0].experiment_id in large]
    together = [
        [claim for claims in small[start : start + size] for claim in claims] for start in range(0, len(small), size)
    ]
    return sorted([*together, *alone], key=lambda claims: claims[0].id)


def _planned(run_key: str, claims: Sequence[Claim]) -> PlannedRun:
    return PlannedRun(
        run_key=run_key,
        partition_keys=tuple(dict.fromkeys(claim.partition_key for claim in claims)),
        claim_ids=tuple(claim.id for claim in claims),
        by_user=any(claim.source.is_user for claim in claims),
    )
