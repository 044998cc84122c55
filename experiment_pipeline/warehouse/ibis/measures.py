"""Measures of identities where events lie, and their joint moments, as Ibis expressions (rules M2-M9).

Identities without an event have no row in the join: what they add is known (`silent`), and is merged in afterwards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import ibis

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.events import MILLISECOND
from experiment_pipeline.domain.measures import Aggregation, Measure
from experiment_pipeline.domain.metrics import Maturity, Metric, Ratio
from experiment_pipeline.warehouse.duckdb.metric_values import Clipping
from experiment_pipeline.warehouse.duckdb.moments import ArmMoments, Counts, Moments, finite
from experiment_pipeline.warehouse.ibis.events import DAY_MS, distinct_events, read_events
from experiment_pipeline.warehouse.ibis.first_exposures import analysed_identities

THURSDAY_TO_MONDAY = 3  # days: 1970 began on a Thursday, weeks begin on Mondays


@dataclass(frozen=True, slots=True)
class MetricColumns:
    """The columns of one metric in the rows of identities: `<name>_<metric id>`."""

    metric: Metric

    def of(self, name: str) -> str:
        """Return the name of a column."""
        return f"{name}_{self.metric.id}"

    @property
    def is_pair(self) -> bool:
        """Whether the metric has two measures."""
        return isinstance(self.metric.statistic, Ratio)

    @property
    def bounds(self) -> tuple[Clipping, Clipping]:
        """The bounds of its measure, and those of its denominator."""
        first, *others = [_bounds(measure) for measure in self.metric.measures]
        return first, next(iter(others), Clipping())

    @property
    def mature_after_ms(self) -> int | None:
        """How long after the first exposure an identity's window has ended; None where all are analysed (M8)."""
        if self.metric.maturity is Maturity.ALL:
            return None
        ends = [events.window.end for events in self.metric.events if events.window.end is not None]
        return max(ends, default=timedelta()) // MILLISECOND


def identity_values(scope: AnalysisScope, metrics: Sequence[Metric]) -> Any:
    """Return a row per analysed identity of the compared variants with any event that a metric may count.

    Its columns are `variant` and, of every metric, those that `moments` reads.
    """
    names = {name for metric in metrics for name in metric.event_names}
    window = scope.window
    rows = read_events(scope.environment_key, names, window.started_at, window.as_of, scope.data_version)
    events, people = distinct_events(rows), analysed_identities(scope)
    if scope.variants is not None:
        people = people.filter(people.variant.isin(sorted(scope.variants)))
    joined = events.join(people, "identifier")
    counted = joined.filter(joined.at_ms >= joined.first_ms)
    columns = {name: each for metric in metrics for name, each in _tallies(counted, metric).items()}
    tallied = counted.group_by("identifier", "variant", "first_ms").agg(**columns)
    as_of_ms = round(window.as_of.timestamp() * 1000)
    values = [each for metric in metrics for each in _values(tallied, metric, as_of_ms)]
    return tallied.select("variant", *values)


def moments(values: Any, metrics: Sequence[Metric]) -> Any:
    """Return a row per variant with the moments of every metric, centred at the variant's mean in a second pass."""
    of_variant = ibis.window(group_by="variant")
    columns = [(MetricColumns(metric).of, v) for metric in metrics for v in ("y", "x")]
    values = values.mutate(**{name(f"mean_{v}"): values[name(v)].mean().over(of_variant) for name, v in columns})
    found: dict[str, Any] = {}
    for metric in metrics:
        name = MetricColumns(metric).of
        dy, dx = (values[name(v)] - values[name(f"mean_{v}")] for v in ("y", "x"))
        of_metric = {
            "center_y": values[name("mean_y")].max(),
            "center_x": values[name("mean_x")].max(),
            "dy": dy.sum(),
            "dx": dx.sum(),
            "dyy": (dy * dy).sum(),
            "dxx": (dx * dx).sum(),
            "dxy": (dx * dy).sum(),
            "largest": values[name("y")].max(),
            "measured": values[name("y")].count(),
            "nonzero": (values[name("y")] != 0).sum(),
            "nonzero_x": (values[name("x")] != 0).sum(),
            **{each: values[name(each)].sum() for each in COUNTED},
        }
        found |= {name(key): each for key, each in of_metric.items()}
    return values.group_by("variant").agg(identities=values.count(), **found)


COUNTED = (
    *("analysed", "with_value", "with_event", "values", "invalid_values"),
    *("capped", "floored", "capped_x", "floored_x"),
)


def arm_moments(row: Mapping[str, Any] | None, metric: Metric, people: int, mature: int) -> ArmMoments:
    """Return the moments of one variant: of the identities with events, and of the silent others.

    Args:
        row: of `moments`; None where nobody has an event.
        metric: of the row.
        people: analysed identities of the variant.
        mature: those whose window has ended.
    """
    name = MetricColumns(metric).of
    with_events = 0 if row is None else int(row[name("analysed")] or 0)
    silent = _silent(metric, mature - with_events, people - mature)
    if row is None:
        return silent
    n = int(row[name("measured")])
    counts = Counts(
        identities=with_events,
        nonzero=int(row[name("nonzero")] or 0),
        nonzero_x=int(row[name("nonzero_x")] or 0) if MetricColumns(metric).is_pair else 0,
        **{each: int(row[name(each)] or 0) for each in COUNTED if each != "analysed"},
    )

    def of(v: str) -> Moments:
        if not n:
            return Moments(0, 0.0, 0.0)
        center, off, squares = (float(row[name(key)]) for key in (f"center_{v}", f"d{v}", f"d{v}{v}"))
        m2 = finite(squares - off * off / n)
        return Moments(n, finite(center + off / n), m2 and max(m2, 0.0))

    largest = finite(float(row[name("largest")])) if n else None
    if not MetricColumns(metric).is_pair:
        return ArmMoments(of("y"), largest=largest, counts=counts).merge(silent)
    product = float(row[name("dxy")]) - float(row[name("dx")]) * float(row[name("dy")]) / n if n else 0.0
    return ArmMoments(of("y"), of("x"), finite(product), largest, counts).merge(silent)


def _silent(metric: Metric, n: int, not_mature: int) -> ArmMoments:
    """Return the moments of identities without an event: each is 0 within its bounds, or has no value (rule M6)."""
    columns = MetricColumns(metric)
    lacks = any(_counts_as_lacking(measure, columns) for measure in metric.measures)
    measured = 0 if any(measure.may_lack_value for measure in metric.measures) else n
    y, x = (_bounded_zero(each) for each in columns.bounds)
    y_bounds, x_bounds = columns.bounds
    counts = Counts(
        identities=n,
        not_mature=not_mature,
        nonzero=measured if y else 0,
        nonzero_x=measured if x and columns.is_pair else 0,
        with_value=0 if lacks else n,
        capped=measured if y_bounds.cap is not None and y_bounds.cap < 0 else 0,
        floored=measured if y_bounds.floor is not None and y_bounds.floor > 0 else 0,
        capped_x=measured if columns.is_pair and x_bounds.cap is not None and x_bounds.cap < 0 else 0,
        floored_x=measured if columns.is_pair and x_bounds.floor is not None and x_bounds.floor > 0 else 0,
    )
    largest = y if measured else None
    if not columns.is_pair:
        return ArmMoments(Moments(measured, y, 0.0), largest=largest, counts=counts)
    return ArmMoments(Moments(measured, y, 0.0), Moments(measured, x, 0.0), 0.0, largest, counts)


def _counts_as_lacking(measure: Measure, columns: MetricColumns) -> bool:
    """Whether an identity without a number has no value: of a pair alone where a missing one is not 0 (rule M6)."""
    return measure.may_lack_value if columns.is_pair else measure.aggregation.may_lack_value


def _bounded_zero(bounds: Clipping) -> float:
    at_least = max(0.0, bounds.floor) if bounds.floor is not None else 0.0
    return at_least if bounds.cap is None else min(at_least, bounds.cap)


def _bounds(measure: Measure) -> Clipping:
    cap, floor = measure.cap, measure.floor
    return Clipping(None if cap is None else cap.at, None if floor is None else floor.at)


def _tallies(counted: Any, metric: Metric) -> dict[str, Any]:
    """Return the aggregates of the events of one identity that the measures of a metric need."""
    found: dict[str, Any] = {}
    for place, measure in enumerate(metric.measures):
        window = measure.events.window
        after = counted.at_ms - counted.first_ms
        counts = (counted.event == measure.events.name) & (after >= window.start // MILLISECOND)
        if window.end is not None:
            counts &= after < window.end // MILLISECOND
        numeric = counts & counted.numeric_value.notnull()
        of_measure = {
            "events": _one(counts).sum(),
            "numbers": _one(numeric).sum(),
            "value": _value(counted, measure, counts),
        }
        found |= {f"{key}_{metric.id}_{place}": each for key, each in of_measure.items()}
    return found


def _value(counted: Any, measure: Measure, counts: Any) -> Any:
    """Return the value of one identity; `capabilities` refuses the aggregations that are not here."""
    number, monday = counted.numeric_value, counted.at_ms + THURSDAY_TO_MONDAY * DAY_MS
    found = {
        Aggregation.OCCURRENCE: lambda: _one(counts).max(),
        Aggregation.COUNT: lambda: _one(counts).sum(),
        Aggregation.SUM: lambda: number.sum(where=counts),
        Aggregation.MEAN: lambda: number.mean(where=counts),
        Aggregation.MIN: lambda: number.min(where=counts),
        Aggregation.MAX: lambda: number.max(where=counts),
        Aggregation.DAYS: lambda: (counted.at_ms - counted.at_ms % DAY_MS).nunique(where=counts),
        Aggregation.WEEKS: lambda: (monday - monday % (7 * DAY_MS)).nunique(where=counts),
        Aggregation.DISTINCT: lambda: counted.value.nunique(where=counts & counted.value.notnull()),
    }
    return found[measure.aggregation]()


def _values(tallied: Any, metric: Metric, as_of_ms: int) -> list[Any]:
    """Return the columns of one metric: y and x null where the identity is left out, and what is counted of it."""
    columns, zero = MetricColumns(metric), ibis.literal(0, type="int64")
    place_of = range(len(metric.measures))

    def tally(key: str, place: int) -> Any:
        return tallied[f"{key}_{metric.id}_{place}"]

    after = columns.mature_after_ms
    mature = ibis.literal(True) if after is None else tallied.first_ms + after <= as_of_ms
    has_value, is_measured = mature, mature
    for place, measure in enumerate(metric.measures):
        if _counts_as_lacking(measure, columns):
            has_value &= tally("numbers", place) > 0
        if measure.may_lack_value:
            is_measured &= tally("numbers", place) > 0
    has_event = mature & (sum((tally("events", place) for place in place_of), zero) > 0)
    reads = [place for place in place_of if metric.measures[place].aggregation.reads_numbers]
    read = sum((tally("events", place) for place in reads), zero)
    numbers = sum((tally("numbers", place) for place in reads), zero)
    raw = [tally("value", place).cast("float64").fill_null(0.0) for place in place_of]
    found = {
        "analysed": _one(mature),
        "with_value": _one(has_value),
        "with_event": _one(has_event),
        "values": mature.ifelse(read, 0),
        "invalid_values": mature.ifelse(read - numbers, 0),
    }
    for v, suffix, value, bounds in zip(
        ("y", "x"), ("", "_x"), [*raw, ibis.literal(0.0)][:2], columns.bounds, strict=True
    ):
        bounded = value
        found |= {
            f"capped{suffix}": _is_beyond(is_measured, None if bounds.cap is None else value > bounds.cap),
            f"floored{suffix}": _is_beyond(is_measured, None if bounds.floor is None else value < bounds.floor),
        }
        if bounds.floor is not None:
            bounded = ibis.greatest(bounded, bounds.floor)
        if bounds.cap is not None:
            bounded = ibis.least(bounded, bounds.cap)
        found[v] = is_measured.ifelse(bounded, ibis.null("float64"))
    return [each.name(columns.of(key)) for key, each in found.items()]


def _is_beyond(is_measured: Any, is_beyond: Any) -> Any:
    return ibis.literal(0, type="int64") if is_beyond is None else _one(is_measured & is_beyond)


def _one(is_so: Any) -> Any:
    """Return 1 or 0: PostgreSQL casts no boolean to a number that adds up to a whole one."""
    return is_so.ifelse(ibis.literal(1, type="int64"), ibis.literal(0, type="int64"))


def mature_identities(scope: AnalysisScope, metrics: Sequence[Metric]) -> Any:
    """Return `variant`, `n` and the identities whose window has ended, `mature_<metric id>`, of every variant."""
    people, as_of_ms = analysed_identities(scope), round(scope.window.as_of.timestamp() * 1000)
    found: dict[str, Any] = {}
    for metric in metrics:
        columns = MetricColumns(metric)
        after = columns.mature_after_ms
        is_mature = people.count() if after is None else (people.first_ms + after <= as_of_ms).sum()
        found[columns.of("mature")] = is_mature
    return people.group_by("variant").agg(n=people.count(), **found)
