"""Refresh: computations, claims and runs (rules R1, R2, R5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic

from typing_extensions import TypeVar

from experiment_pipeline.domain.planned_looks import PlannedLookOf
from experiment_pipeline.times import iso_utc

SEVERITIES = ("error", "warning", "ok")  # of findings, the worst first
Payload = TypeVar("Payload", bound=Mapping[str, object], default=Any)


class Computation(StrEnum):
    """A computation that is kept per experiment (rule R1)."""

    EXPOSURES = "exposures"
    RESULTS = "results"


class ClaimSource(StrEnum):
    """The origin of a claim (rule R2)."""

    API = "api"
    CLI = "cli"
    SCHEDULE = "schedule"
    COMPLETION = "completion"
    UI = "ui"

    @property
    def is_user(self) -> bool:
        """Whether a user asked. Users' requests are throttled and go first; others know no throttle, and start none."""
        return self in (ClaimSource.API, ClaimSource.CLI)


class ClaimOutcome(StrEnum):
    """The way a claim ended; a waiting one has no outcome."""

    PUBLISHED = "published"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ComputationState(Generic[Payload]):
    """One computation of one phase of an experiment (rules R1, X9), typed by its payload (`results.payload`).

    Times are UTC.
    """

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
    phase: int = 1

    def agrees_with(self, other: "ComputationState") -> bool:
        """Whether both payloads are as of one moment and one data version, or one of the two has none."""
        if self.payload is None or other.payload is None:
            return True
        return (self.as_of, self.data_version) == (other.as_of, other.data_version)

    def without_payload(self) -> "ComputationState[Payload]":
        """Return the state with its failures and requests alone."""
        return replace(self, as_of=None, data_version=None, computed_at=None, payload=None, is_final=False)

    def envelope(self) -> dict[str, object] | None:
        """Return the payload with its times and finality, JSON-ready; None before any request or result."""
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
            "phase": self.phase,
            "data_version": self.data_version,
            "computed_at": self.computed_at and iso_utc(self.computed_at),
        }


@dataclass(frozen=True, slots=True)
class ComputedTogether:
    """Both computations of one experiment, as of one moment and one data version: they may be shown beside each other.

    Attributes:
        exposures: as published; without a payload where none is as of the moment of the results' payload.
        results: the same.
        newer: the computation of which a newer payload is published, and none of the other yet; None for neither.
    """

    exposures: ComputationState
    results: ComputationState
    newer: Computation | None = None


def computation_to_request(exposures: ComputationState, results: ComputationState) -> ComputationState:
    """Return the computation to request, of which one run serves both (rule R2).

    It is the results, unless they are final and the exposures are not yet (rule R8).
    """
    return exposures if results.is_final and not exposures.is_final else results


@dataclass(frozen=True, slots=True)
class Claim:
    """A request for a refresh (rule R2).

    Attributes:
        run_key: of the run that automation requested for it; None while it has requested none.
        served_by: the id of the run that serves it; None while none does.
        phase: of the experiment, whose computation is asked for (rule X9).
        is_of_ended_phase: whether a restart has ended that phase.
    """

    id: int
    experiment_id: int
    partition_key: str
    computation: Computation
    source: ClaimSource
    requested_at: datetime
    run_key: str | None = None
    served_by: str | None = None
    phase: int = 1
    is_of_ended_phase: bool = False


@dataclass(frozen=True, slots=True)
class RefreshRun:
    """The lease of one experiment by one run, and the as-of and data version of every artifact it makes (rule R5).

    phase: of the experiment, which the run computes and publishes (rule X9)
    """

    run_id: str
    experiment_id: int
    as_of: datetime
    data_version: int
    phase: int = 1


@dataclass(frozen=True, slots=True)
class Publication:
    """A payload that a run has computed and publishes (rule R5).

    Attributes:
        run: the run, whose as-of and data version the payload has.
        payload: JSON-ready.
        code_version: digest of the code that computed it.
        computed_at: the moment of publishing, UTC.
        grace: how long after an experiment's end its last objects may land; final is what was computed later (rule R6).
        duration: of the run so far; None where it is not known.
        findings: of the health checks, JSON-ready, each with the name of its check; None leaves those that are stored.
        live_stats: of results, JSON-ready; None leaves those that are stored.
        planned_looks: the planned looks that the payload is, stored with it and never changed (rule C7).
        sql: of results, the statement that their aggregates were computed with; None where it is not known.
        settle: of a warehouse, how old its data version was at least when the run began (rule N4); None of the lake.
    """

    run: RefreshRun
    computation: Computation
    payload: Mapping[str, object]
    code_version: str
    computed_at: datetime
    grace: timedelta
    duration: timedelta | None = None
    findings: Sequence[Mapping[str, object]] | None = None
    live_stats: Mapping[str, object] | None = None
    planned_looks: Sequence[PlannedLookOf] = ()
    sql: str | None = None
    settle: timedelta | None = None


@dataclass(frozen=True, slots=True)
class StoredLiveStats:
    """The live statistics that were stored with an experiment's newest results, as of their moment (UTC)."""

    as_of: datetime
    data_version: int
    payload: Mapping[str, Any]
    is_final: bool

    def to_json(self) -> dict[str, object]:
        """Return them as they are served."""
        return {
            **self.payload,
            "as_of": iso_utc(self.as_of),
            "data_version": self.data_version,
            "is_final": self.is_final,
        }


@dataclass(frozen=True, slots=True)
class StoredHealth:
    """The health findings that were stored with an experiment's newest results, as of their moment (UTC)."""

    as_of: datetime
    data_version: int
    findings: Sequence[Mapping[str, Any]]

    def to_json(self) -> dict[str, object]:
        """Return the findings as they are served."""
        return {"as_of": iso_utc(self.as_of), "data_version": self.data_version, "findings": self.worst_first()}

    def evidence(self) -> dict[str, Mapping[str, Any]]:
        """Return the numbers that each finding rests on, by its check."""
        return {finding["check"]: finding["evidence"] for finding in self.findings}

    def worst_first(self) -> list[Mapping[str, Any]]:
        """Return the findings in the order of their severity."""
        return sorted(self.findings, key=lambda finding: SEVERITIES.index(finding["severity"]))
