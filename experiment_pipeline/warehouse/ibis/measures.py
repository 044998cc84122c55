"""Measures of identities where events lie, as Ibis expressions: a row per identity with events (rules M2-M9, M11).

Identities without an event have no row in the join: what they add is known, and is merged in afterwards (`moments`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import ibis

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.events import MILLISECOND
from experiment_pipeline.domain.measures import Aggregation, Measure
from experiment_pipeline.domain.metrics import Maturity, Mean, Metric, Ratio
from experiment_pipeline.warehouse.ibis.chosen_events import ChosenEvents
from experiment_pipeline.warehouse.ibis.events import DAY_MS, read_events

THURSDAY_TO_MONDAY = 3  # days: 1970 began on a Thursday, weeks begin on Mondays
ENDS = {Aggregation.FIRST: "min", Aggregation.LAST: "max"}


@dataclass(frozen=True, slots=True)
class Counted:
    """The events that a measure counts in one stretch of time, which begins and ends so long after the exposure."""

    measure: Measure
    start_ms: int
    end_ms: int | None

    @property
    def reads_numbers(self) -> bool:
        """Whether it reads the events' values as numbers."""
        return self.measure.aggregation.reads_numbers


@dataclass(frozen=True, slots=True)
class MetricColumns:
    """The columns of one metric in the rows of identities: `<name>_<metric id>`."""

    metric: Metric

    def of(self, name: str) -> str:
        """Return the name of a column."""
        return f"{name}_{self.metric.id}"

    def of_place(self, name: str, place: int) -> str:
        """Return the name of a column of one of its two numbers."""
        return f"{name}_{self.metric.id}_{place}"

    @property
    def counted(self) -> tuple[Counted, ...]:
        """The events that it counts: for y, and where there are two numbers for x, a denominator or its pre-period."""
        found = [_in_window(measure) for measure in self.metric.measures]
        if (before := self.pre_period) is not None:
            found.append(Counted(self.metric.measures[0], -(before // MILLISECOND), 0))
        return tuple(found)

    @property
    def pre_period(self) -> timedelta | None:
        """How long before the first exposure its covariate begins; None without one (rule M11)."""
        return self.metric.statistic.covariate_before if isinstance(self.metric.statistic, Mean) else None

    @property
    def is_ratio(self) -> bool:
        """Whether it has two measures."""
        return isinstance(self.metric.statistic, Ratio)

    @property
    def is_pair(self) -> bool:
        """Whether it has two numbers of each identity."""
        return self.is_ratio or self.pre_period is not None

    @property
    def numbers(self) -> tuple[str, ...]:
        """The names of its numbers."""
        return ("y", "x") if self.is_pair else ("y",)

    @property
    def own(self) -> tuple[tuple[int, Counted], ...]:
        """The events that it counts in its window, with the place of each: all but those of the pre-period."""
        return tuple(enumerate(self.counted))[: len(self.metric.measures)]

    def counts_as_lacking(self, measure: Measure) -> bool:
        """Return whether an identity without a number has no value: of a ratio only where it is left out (rule M6)."""
        return measure.may_lack_value if self.is_ratio else measure.aggregation.may_lack_value

    @property
    def mature_after_ms(self) -> int | None:
        """How long after the first exposure an identity's window has ended; None where all are analysed (M8)."""
        if self.metric.maturity is Maturity.ALL:
            return None
        ends = [events.window.end for events in self.metric.events if events.window.end is not None]
        return max(ends, default=timedelta()) // MILLISECOND


def identity_values(scope: AnalysisScope, metrics: Sequence[Metric], people: Any, *, unique_rows: bool = False) -> Any:
    """Return a row per identity with any event that a metric may count.

    Its columns are those of `people` but `identifier`, and of every metric those that `percentiles.bounded` reads.

    Args:
        scope: of the analysis.
        metrics: of measures.
        people: the identities, with `identifier`, `first_ms` and more columns.
        unique_rows: whether each event is declared to have one row.
    """
    chosen = ChosenEvents((events for metric in metrics for events in metric.events), unique_rows=unique_rows)
    before = max((MetricColumns(metric).pre_period or timedelta() for metric in metrics), default=timedelta())
    counted = joined_events(scope, metrics, people, chosen, before)
    counted = counted.mutate(**_end_times(counted, metrics, chosen))
    columns = {name: each for metric in metrics for name, each in _tallies(counted, metric, chosen).items()}
    kept = [name for name in people.columns if name != "identifier"]
    tallied = counted.group_by("identifier", *kept).agg(**columns)
    as_of_ms = round(scope.window.as_of.timestamp() * 1000)
    values = [each for metric in metrics for each in _values(tallied, metric, as_of_ms)]
    return tallied.select(*kept, *values)


def joined_events(
    scope: AnalysisScope,
    metrics: Sequence[Metric],
    people: Any,
    chosen: ChosenEvents,
    before: timedelta = timedelta(),
) -> Any:
    """Return each event of the metrics beside the identity that it is of, from so long before its exposure on."""
    names = {name for metric in metrics for name in metric.event_names}
    window = scope.window
    rows = read_events(scope.environment_key, names, window.started_at - before, window.as_of, scope.data_version)
    joined = chosen.distinct(rows).join(people, "identifier")
    return joined.filter(joined.at_ms >= joined.first_ms - before // MILLISECOND)


def counts(events: Any, counted: Counted, chosen: ChosenEvents) -> Any:
    """Return whether each event is one that is counted."""
    after = events.at_ms - events.first_ms
    found = chosen.are(events, counted.measure.events) & (after >= counted.start_ms)
    return found if counted.end_ms is None else found & (after < counted.end_ms)


def one(is_so: Any) -> Any:
    """Return 1 or 0: PostgreSQL casts no boolean to a number that adds up to a whole one."""
    return is_so.ifelse(ibis.literal(1, type="int64"), ibis.literal(0, type="int64"))


def _in_window(measure: Measure) -> Counted:
    window = measure.events.window
    return Counted(measure, window.start // MILLISECOND, None if window.end is None else window.end // MILLISECOND)


def _end_times(events: Any, metrics: Sequence[Metric], chosen: ChosenEvents) -> dict[str, Any]:
    """Return the times of the first or last number of each identity: not every engine has an ordered `first` (N9)."""
    of_identity, found = ibis.window(group_by="identifier"), {}
    for metric in metrics:
        columns = MetricColumns(metric)
        for place, counted in enumerate(columns.counted):
            if (end := ENDS.get(counted.measure.aggregation)) is not None:
                is_number = counts(events, counted, chosen) & events.numeric_value.notnull()
                times = is_number.ifelse(events.at_ms, ibis.null("int64"))
                found[columns.of_place("at", place)] = getattr(times, end)().over(of_identity)
    return found


def _tallies(events: Any, metric: Metric, chosen: ChosenEvents) -> dict[str, Any]:
    """Return the aggregates of the events of one identity that a metric needs."""
    columns, found = MetricColumns(metric), {}
    for place, counted in enumerate(columns.counted):
        is_counted = counts(events, counted, chosen)
        found[columns.of_place("value", place)] = _value(events, counted, is_counted, columns.of_place("at", place))
        if (place, counted) in columns.own:
            found[columns.of_place("events", place)] = one(is_counted).sum()
            if counted.reads_numbers:
                numeric = is_counted & events.numeric_value.notnull()
                found[columns.of_place("numbers", place)] = one(numeric).sum()
    return found


def _value(events: Any, counted: Counted, is_counted: Any, at: str) -> Any:
    """Return the value of one identity; null without an event, or without a number where it reads numbers."""
    number, monday = events.numeric_value, events.at_ms + THURSDAY_TO_MONDAY * DAY_MS
    found = {
        Aggregation.OCCURRENCE: lambda: one(is_counted).max(),
        Aggregation.COUNT: lambda: one(is_counted).sum(),
        Aggregation.SUM: lambda: number.sum(where=is_counted),
        Aggregation.MEAN: lambda: number.mean(where=is_counted),
        Aggregation.MIN: lambda: number.min(where=is_counted),
        Aggregation.MAX: lambda: number.max(where=is_counted),
        Aggregation.FIRST: lambda: number.min(where=is_counted & (events.at_ms == events[at])),
        Aggregation.LAST: lambda: number.max(where=is_counted & (events.at_ms == events[at])),
        Aggregation.DAYS: lambda: (events.at_ms - events.at_ms % DAY_MS).nunique(where=is_counted),
        Aggregation.WEEKS: lambda: (monday - monday % (7 * DAY_MS)).nunique(where=is_counted),
        Aggregation.DISTINCT: lambda: events.value.nunique(where=is_counted & events.value.notnull()),
    }
    return found[counted.measure.aggregation]()


def _values(tallied: Any, metric: Metric, as_of_ms: int) -> list[Any]:
    """Return the columns of one metric: y and x null where the identity is left out, and what is counted of it."""
    columns, zero = MetricColumns(metric), ibis.literal(0, type="int64")

    def tally(key: str, place: int) -> Any:
        return tallied[columns.of_place(key, place)]

    after = columns.mature_after_ms
    mature = ibis.literal(True) if after is None else tallied.first_ms + after <= as_of_ms
    has_value, is_measured = mature, mature
    for place, counted in columns.own:
        if columns.counts_as_lacking(counted.measure):
            has_value &= tally("numbers", place) > 0
        if counted.measure.may_lack_value:
            is_measured &= tally("numbers", place) > 0
    has_event = mature & (sum((tally("events", place) for place, _ in columns.own), zero) > 0)
    reads = [place for place, counted in columns.own if counted.reads_numbers]
    read = sum((tally("events", place) for place in reads), zero)
    numbers = sum((tally("numbers", place) for place in reads), zero)
    found = {
        "analysed": one(mature),
        "with_value": one(has_value),
        "with_event": one(has_event),
        "values": mature.ifelse(read, 0),
        "invalid_values": mature.ifelse(read - numbers, 0),
    }
    for place, name in enumerate(columns.numbers):
        value = tally("value", place).cast("float64").fill_null(0.0)
        found[name] = is_measured.ifelse(value, ibis.null("float64"))
    return [each.name(columns.of(key)) for key, each in found.items()]
