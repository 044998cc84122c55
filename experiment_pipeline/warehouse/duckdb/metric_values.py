"""Values of a metric: one number per identity, or two, before they become moments (rules M6, M8-M14)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.domain.measures import Events, Measure
from experiment_pipeline.domain.metrics import Funnel, Maturity, Mean, Metric, Quantile, Ratio
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.warehouse.duckdb import readings
from experiment_pipeline.warehouse.duckdb.event_numbers import EventNumbers
from experiment_pipeline.warehouse.duckdb.funnels import StepEvents, reached_steps
from experiment_pipeline.warehouse.duckdb.moments import ArmMoments, Counts
from experiment_pipeline.warehouse.duckdb.population import Integers, Population
from experiment_pipeline.warehouse.duckdb.readings import MICROSECOND, Request
from experiment_pipeline.warehouse.duckdb.slices import Slice
from experiment_pipeline.warehouse.duckdb.tally import Tally

Booleans: TypeAlias = NDArray[np.bool_]
Kept: TypeAlias = Tally | EventNumbers | StepEvents


@dataclass(frozen=True, slots=True)
class Clipping:
    """The bounds of one measure as numbers; None where there is none."""

    cap: float | None = None
    floor: float | None = None

    def clipped(self, values: Floats) -> Floats:
        """Return the values, each at least the floor and at most the cap, which wins."""
        if self.floor is not None:
            values = np.maximum(values, self.floor)
        return values if self.cap is None else np.minimum(values, self.cap)

    def above(self, values: Floats) -> int:
        """Return how many values are above the cap."""
        return 0 if self.cap is None else int(np.count_nonzero(values > self.cap))

    def below(self, values: Floats) -> int:
        """Return how many values are below the floor."""
        return 0 if self.floor is None else int(np.count_nonzero(values < self.floor))


UNBOUNDED = Clipping()


@dataclass(frozen=True, slots=True)
class MetricValues:
    """One metric of the identities of one population; arrays have one element per identity.

    Attributes:
        y: its values; of a ratio, those of its numerator.
        x: the values of a ratio's denominator, or of the metric over its pre-period; None for other metrics.
        mature: whether the identity's window has ended; None where that does not matter (rule M8).
        has_value: whether it has a value, of a ratio two; None where all have one (rule M6).
        has_event: whether it has an event that counts, of a ratio for either measure; None where its value tells.
        is_left_out: whether identities without a value are left out.
        read: its events whose value is read as a number; `invalid` those of them whose value is not one (rule E5).
        steps: of a funnel, whether it reaches each.
        event_numbers: of a quantile of events: the identity of each event, and its number.
    """

    y: Floats
    read: Integers
    invalid: Integers
    x: Floats | None = None
    mature: Booleans | None = None
    has_value: Booleans | None = None
    has_event: Booleans | None = None
    is_left_out: bool = False
    steps: tuple[Floats, ...] = ()
    event_numbers: tuple[Integers, Floats] | None = None

    def analysed(self, members: Integers) -> Integers:
        """Return those of the identities whose window has ended."""
        return members if self.mature is None else members[self.mature[members]]

    def measured(self, members: Integers) -> Integers:
        """Return those of the identities that the metric is over."""
        analysed = self.analysed(members)
        if self.has_value is None or not self.is_left_out:
            return analysed
        return analysed[self.has_value[analysed]]

    def moments(self, members: Integers, y_bounds: Clipping, x_bounds: Clipping) -> ArmMoments:
        """Return the moments of the identities of one arm."""
        analysed, measured = self.analysed(members), self.measured(members)
        y, x = self.y[measured], None if self.x is None else self.x[measured]
        counts = Counts(
            identities=len(analysed),
            not_mature=len(members) - len(analysed),
            with_value=len(analysed) if self.has_value is None else int(np.count_nonzero(self.has_value[analysed])),
            with_event=int(np.count_nonzero((self.y if self.has_event is None else self.has_event)[analysed])),
            values=int(self.read[analysed].sum()),
            invalid_values=int(self.invalid[analysed].sum()),
            capped=y_bounds.above(y),
            floored=y_bounds.below(y),
            capped_x=0 if x is None else x_bounds.above(x),
            floored_x=0 if x is None else x_bounds.below(x),
        )
        return ArmMoments.of(y_bounds.clipped(y), None if x is None else x_bounds.clipped(x), counts)


def metric_values(
    sliced: tuple[Metric, Slice | None], population: Population, found: Mapping[Request, Kept], as_of_us: int
) -> MetricValues:
    """Return the values of a metric, made of the events that were kept for it.

    Args:
        sliced: the metric, and the slice that it is of; None for the whole.
        population: the identities.
        found: what was kept of the events, for every request of the metric.
        as_of_us: the refresh, in microseconds since 1970.
    """
    metric, of = sliced
    mature = _mature(metric, population, as_of_us)
    match metric.statistic:
        case Funnel() as funnel:
            return _of_funnel(funnel, found, len(population))
        case Quantile(of=Events() as events):
            kept = _event_numbers(found[readings.kept_numbers(events)])
            identities, numbers = kept.columns()
            numeric = np.bincount(identities, minlength=len(population))
            return MetricValues(
                y=numeric.astype(np.float64),
                read=numeric + kept.invalid,
                invalid=kept.invalid,
                mature=mature,
                has_value=numeric > 0,
                has_event=numeric + kept.invalid > 0,
                is_left_out=True,
                event_numbers=(identities, numbers),
            )
        case Mean(measure, before) if before is not None:
            pre_period = _tally(found[readings.tallied_before(measure, before, of)]).values(measure.aggregation)
            return replace(_of_measure(measure, of, found), x=pre_period, mature=mature)
        case Ratio(numerator, denominator):
            return replace(
                _of_ratio(_of_measure(numerator, of, found), _of_measure(denominator, of, found)), mature=mature
            )
        case _:
            return replace(_of_measure(metric.measures[0], of, found), mature=mature)


def _of_measure(measure: Measure, of: Slice | None, found: Mapping[Request, Kept]) -> MetricValues:
    tally, aggregation = _tally(found[readings.tallied(measure, of)]), measure.aggregation
    read = tally.events if aggregation.reads_numbers else np.zeros_like(tally.events)
    return MetricValues(
        y=tally.values(aggregation),
        read=read,
        invalid=read - tally.numeric_events if aggregation.reads_numbers else read,
        has_value=tally.numeric_events > 0 if aggregation.may_lack_value else None,
        has_event=tally.events > 0,
        is_left_out=measure.may_lack_value,
    )


def _of_ratio(numerator: MetricValues, denominator: MetricValues) -> MetricValues:
    """Return the values of both: an identity that is left out of one is left out of the ratio."""
    masks = [each.has_value for each in (numerator, denominator) if each.is_left_out and each.has_value is not None]
    has_event = [each.has_event for each in (numerator, denominator) if each.has_event is not None]
    return MetricValues(
        y=numerator.y,
        x=denominator.y,
        read=numerator.read + denominator.read,
        invalid=numerator.invalid + denominator.invalid,
        has_value=np.logical_and.reduce(masks) if masks else None,
        has_event=np.logical_or.reduce(has_event),
        is_left_out=bool(masks),
    )


def _of_funnel(funnel: Funnel, found: Mapping[Request, Kept], size: int) -> MetricValues:
    kept = [found[request] for request in readings.kept_steps(funnel)]
    events = [each.columns() for each in kept if isinstance(each, StepEvents)]
    within = None if funnel.within is None else funnel.within // MICROSECOND
    steps = reached_steps(size, events, len(funnel.steps), within).astype(np.float64)
    none = np.zeros(size, np.int64)
    return MetricValues(y=steps[-1], read=none, invalid=none, steps=tuple(steps))


def _mature(metric: Metric, population: Population, as_of_us: int) -> Booleans | None:
    """Return whether each identity's whole window lies before the refresh; None where all identities are analysed."""
    if metric.maturity is Maturity.ALL:
        return None
    ends = [events.window.end for events in metric.events if events.window.end is not None]
    return population.starts_at + max(ends, default=timedelta()) // MICROSECOND <= as_of_us


def _tally(kept: Kept) -> Tally:
    assert isinstance(kept, Tally)  # noqa: S101 - what a request for tallied events is kept in
    return kept


def _event_numbers(kept: Kept) -> EventNumbers:
    assert isinstance(kept, EventNumbers)  # noqa: S101 - what a request for numbers of events is kept in
    return kept
