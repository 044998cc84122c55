"""Retention: how long an environment keeps its events, and what an experiment still needs of them (rule X8)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from experiment_pipeline.domain.experiments import Experiment

SHORTEST_KEEP = timedelta(days=31)  # events go by whole months
MONTH = "%Y-%m"  # as partitions of the lake are named


@dataclass(frozen=True, slots=True)
class NeededEvents:
    """Events that the next refresh of an experiment reads.

    Attributes:
        experiment_key: of an experiment of which a phase is not final.
        since: the earliest moment, UTC: the phase's start, less the longest pre-period of a covariate (rule M11).
    """

    experiment_key: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Retention:
    """The events that an environment keeps at a moment.

    Attributes:
        keep: of events, by their time.
        kept_from: the first month that stays, as partitions are named.
        before: rejected records that arrived before it go, UTC.
        held_by: the experiment that keeps earlier months from going; None where none does.
    """

    environment_key: str
    keep: timedelta
    kept_from: str
    before: datetime
    held_by: str | None = None

    @classmethod
    def of(cls, environment_key: str, keep: timedelta, needed: Iterable[NeededEvents], now: datetime) -> "Retention":
        """Return what is kept now: whole months, and those that an experiment needs."""
        before = now - keep
        earliest = min(needed, key=lambda each: each.since, default=None)
        if earliest is None or earliest.since.strftime(MONTH) >= before.strftime(MONTH):
            return cls(environment_key, keep, before.strftime(MONTH), before)
        return cls(environment_key, keep, earliest.since.strftime(MONTH), before, earliest.experiment_key)


def needed_since(experiment: Experiment, started_at: datetime) -> datetime:
    """Return the earliest moment that a refresh of a phase reads, by the phase's start."""
    before = (getattr(attached.metric.statistic, "covariate_before", None) for attached in experiment.metrics)
    return started_at - max((each for each in before if each is not None), default=timedelta(0))
