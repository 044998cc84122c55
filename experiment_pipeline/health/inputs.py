"""Inputs of the health checks, loaded once for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.delivered_records import DeliveredRecords
from experiment_pipeline.domain.event_ids import RepeatedEventIds
from experiment_pipeline.domain.event_timing import EventTiming
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.exposures import FirstExposureCounts, SeenExposures
from experiment_pipeline.domain.field_types import FieldTypes
from experiment_pipeline.domain.floors import SHIPPED_FLOORS, Floors
from experiment_pipeline.health.thresholds import SHIPPED_THRESHOLDS, Thresholds
from experiment_pipeline.results.model import ExperimentResults

NOT_SEEN = SeenExposures()
NONE_REPEATED = RepeatedEventIds()
NOBODY_EXPOSED = FirstExposureCounts()
NO_EVENTS = EventTiming()
NONE_DELIVERED = DeliveredRecords()


@dataclass(frozen=True, slots=True)
class LakeCounts:
    """Counts of what the lake holds of the experiment's environment and the analysis leaves out.

    Attributes:
        events: the kinds of events around the window, most frequent first, with their number; None where it was not
            asked for, since every metric has values that are not 0.
        other_spellings: exposures in the window of flags whose names are the experiment's but for their spelling.
        before_start: exposures of the flag in the month before the start, those of an earlier experiment left out.
        after_end: exposures of the flag after the end, those of a later experiment left out.
        mixed_fields: properties by which events, identities or groups are chosen and that came in several types.
        repeated_ids: event ids of the metrics' events that came with another time or value.
        ambiguous_links: anonymous identities with links to several known ones.
        saw_another_variant: analysed identities that saw another variant in an earlier phase.
        timing: of exposures of the flag and events of the metrics.
        first_exposures: by day, quarantined ones and other variants included.
        delivered: records of the batches that arrived while the experiment ran.
    """

    events: Mapping[str, int] | None = None
    other_spellings: Mapping[str, SeenExposures] = field(default_factory=dict)
    before_start: SeenExposures = NOT_SEEN
    after_end: SeenExposures = NOT_SEEN
    mixed_fields: tuple[FieldTypes, ...] = ()
    repeated_ids: RepeatedEventIds = NONE_REPEATED
    ambiguous_links: int = 0
    saw_another_variant: int = 0
    timing: EventTiming = NO_EVENTS
    first_exposures: FirstExposureCounts = NOBODY_EXPOSED
    delivered: DeliveredRecords = NONE_DELIVERED


@dataclass(frozen=True, slots=True)
class WarehouseRows:
    """Rows that a look reads where events lie, and what that cost.

    Attributes:
        engine: of the warehouse.
        rows: of the flag and the metrics, repeated and rejected ones included.
        rejected: of these, left out by rules E1 to E3, by reason.
        read: what these rows are of, and their number, JSON-ready: the next look counts them again.
        counted_before: rows of the look before, as it counted them; None where it did not, or for other events.
        counted_again: the same rows, counted now.
        cost: of all statements so far, JSON-ready.
    """

    engine: str
    rows: int
    rejected: Mapping[str, int]
    read: Mapping[str, Any]
    counted_before: int | None = None
    counted_again: int | None = None
    cost: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HealthInputs:
    """One refresh of one experiment, as every check sees it.

    Attributes:
        experiment: as it is configured.
        aggregates: one per attached metric that has any identity, in any order.
        results: the split, and every treatment against control on every metric.
        identities: analysed identities per variant seen, holdout and undeclared ones included.
        lake: what the analysis leaves out.
        floors: the least data that inference needs.
        thresholds: the bounds beyond which checks warn.
        as_of: the end of the window, UTC.
        arrivals: when the newest events of senders and of each source arrived, UTC; None where that was not asked for.
        warehouse: rows that were read where events lie; None where they are in the lake.
        stored: evidence of the findings that were stored with the results before, by check.
    """

    experiment: Experiment
    aggregates: tuple[MetricAggregates, ...]
    results: ExperimentResults
    identities: Mapping[str, int] = field(default_factory=dict)
    lake: LakeCounts = field(default_factory=LakeCounts)
    floors: Floors = SHIPPED_FLOORS
    thresholds: Thresholds = SHIPPED_THRESHOLDS
    as_of: datetime | None = None
    arrivals: Mapping[str, datetime | None] | None = None
    warehouse: WarehouseRows | None = None
    stored: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
