"""A request for a refresh as pages show it: whether it is possible, when it is again, and what it waits for (R2)."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import ComputationState, computation_to_request


@dataclass(frozen=True, slots=True)
class RefreshView:
    """A request for a refresh.

    Attributes:
        refusal: why none is possible at all; empty where one is.
        seconds: until one is possible again; 0 for now.
        waiting_since: the moment of a request that is not answered yet, UTC; None for no such request.
    """

    refusal: str
    seconds: int
    waiting_since: datetime | None


def refresh_view(
    experiment: Experiment,
    exposures: ComputationState,
    results: ComputationState,
    minimum_interval: timedelta,
    now: datetime,
) -> RefreshView:
    """Return what to know about asking for a refresh.

    Args:
        experiment: in the phase that is shown.
        exposures: as published, of that phase.
        results: the same.
        minimum_interval: between two requests of users.
        now: UTC.
    """
    asked = computation_to_request(exposures, results)
    requested = asked.refresh_requested_at
    left = timedelta(0) if requested is None else requested + minimum_interval - now
    answered = [moment for moment in (asked.computed_at, asked.last_error_at) if moment is not None]
    is_waiting = requested is not None and all(moment < requested for moment in answered)
    return RefreshView(
        refusal=_refusal(experiment, asked, now),
        seconds=max(0, math.ceil(left.total_seconds())),
        waiting_since=requested if is_waiting and not asked.is_final else None,
    )


def _refusal(experiment: Experiment, asked: ComputationState, now: datetime) -> str:
    if experiment.started_at is None or experiment.started_at > now:
        return "There is nothing to refresh before the experiment starts."
    return "The results are final: they never change again." if asked.is_final else ""
