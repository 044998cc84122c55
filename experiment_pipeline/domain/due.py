"""Due: whether an experiment is refreshed automatically, and when a computation is final (rules R4, R6)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import ClaimSource, ComputationState
from experiment_pipeline.times import is_ahead, is_within

FIRST_BACK_OFF = timedelta(minutes=5)  # rule R4
LONGEST_BACK_OFF = timedelta(hours=6)
COOLDOWN_FACTOR = 10  # times the last run's duration: automatic refreshes take at most a tenth of the time


def is_final(
    *,
    ended_at: datetime | None,
    as_of: datetime,
    computed_at: datetime,
    final_from: datetime | None,
    covers_landed: bool,
) -> bool:
    """Whether a computation is final: its window is whole, the grace had passed, and all that landed is in (rule R6).

    Args:
        ended_at: the end of the experiment; None while it has not ended.
        as_of: the end of the computation's window.
        computed_at: when it was published.
        final_from: `ended_at` plus the grace; None while the experiment has not ended.
        covers_landed: whether its data version holds every object that landed before `final_from`.
    """
    if ended_at is None or final_from is None:
        return False
    return as_of >= ended_at and computed_at >= final_from and covers_landed


@dataclass(frozen=True, slots=True)
class Candidate:
    """An experiment, with what decides whether it is refreshed automatically.

    Attributes:
        states: both computations, without their payloads.
        newest_batch: the newest batch that holds events of its environment; 0 for none.
        waits: whether it has a claim that waits or is being served.
        settle: of events that are analysed in a warehouse, how old a data version is at least (rule N4); None of the
            lake. A warehouse is not asked for news: its experiments count as if there were some.
    """

    experiment: Experiment
    states: tuple[ComputationState, ...]
    newest_batch: int
    waits: bool
    settle: timedelta | None = None


def automatic_claim(
    candidate: Candidate, *, now: datetime, grace: timedelta, scanned_at: datetime | None
) -> ClaimSource | None:
    """Return the source of the claim to make now, or None where the experiment is not due (rules R4, R6).

    Args:
        candidate: the experiment and its state.
        now: the present moment, UTC.
        grace: how long after its end an experiment becomes final.
        scanned_at: time of the last listing of the landing zone that found every object in the lake; None for never.
    """
    if candidate.waits or _pauses(candidate.states, now):
        return None
    experiment = candidate.experiment
    # An end in the future comes from a wrong clock that was corrected: until then the experiment goes on as before.
    goes_on = experiment.status is ExperimentStatus.RUNNING or (experiment.ended_at or now) > now
    if goes_on and _has_grown(candidate):
        return ClaimSource.SCHEDULE if _is_stale(candidate, now) else None
    if experiment.ended_at is not None and _needs_last_refresh(candidate, experiment.ended_at, now, grace, scanned_at):
        return ClaimSource.COMPLETION
    return None


def back_off(failures: int) -> timedelta:
    """Return the pause after so many failures in a row: 5 min, doubling to 6 h (rule R4)."""
    if failures <= 0:
        return timedelta(0)
    doublings = min(failures - 1, 10)  # more would exceed the longest pause anyway
    return min(FIRST_BACK_OFF * (1 << doublings), LONGEST_BACK_OFF)


def _pauses(states: tuple[ComputationState, ...], now: datetime) -> bool:
    """Return whether a back-off or cooldown is still running."""
    pauses = [(state.last_error_at, back_off(state.failures)) for state in states]
    pauses += [(state.computed_at, _cooldown(state)) for state in states]
    return any(moment is not None and is_within(moment, pause, now) for moment, pause in pauses)


def _cooldown(state: ComputationState) -> timedelta:
    return COOLDOWN_FACTOR * timedelta(seconds=state.last_duration_seconds or 0)


def _has_grown(candidate: Candidate) -> bool:
    """Return whether batches are newer than a computation's data version; always true if it never ran."""
    return candidate.settle is not None or any(
        state.data_version is None or state.data_version < candidate.newest_batch for state in candidate.states
    )


def _is_stale(candidate: Candidate, now: datetime) -> bool:
    interval = candidate.experiment.refresh_interval
    return any(
        state.computed_at is None or not is_within(state.computed_at, interval, now) for state in candidate.states
    )


def _needs_last_refresh(
    candidate: Candidate, ended_at: datetime, now: datetime, grace: timedelta, scanned_at: datetime | None
) -> bool:
    """Return whether an ended experiment still needs a refresh (rule R6).

    It needs one after its end, and a last one when the grace has passed and every object that landed before then is
    known to be in the lake. A refresh after the grace, but before this is known, is not final and is repeated.
    """
    final_from = ended_at + grace
    if candidate.settle is None:
        settled = now >= final_from and knows_landed(scanned_at, final_from, now)
    else:
        settled = now >= final_from + candidate.settle
    return now >= ended_at and any(
        not state.is_final and (state.as_of is None or state.as_of < ended_at or settled) for state in candidate.states
    )


def knows_landed(scanned_at: datetime | None, before: datetime, now: datetime) -> bool:
    """Return whether the landing zone was listed after a moment (rule R6). One dated in the future does not count."""
    return scanned_at is not None and scanned_at >= before and not is_ahead(scanned_at, now)
