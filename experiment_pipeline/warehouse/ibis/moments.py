"""Moments of the identities of each arm, of those with events where events lie, merged with the others (rule M5)."""

from collections.abc import Mapping, Sequence
from typing import Any

import ibis

from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.warehouse.duckdb.metric_values import Clipping
from experiment_pipeline.warehouse.duckdb.moments import ArmMoments, Counts, Moments, finite
from experiment_pipeline.warehouse.ibis.measures import MetricColumns
from experiment_pipeline.warehouse.ibis.percentiles import bounds_of

COUNTED = ("analysed", "with_value", "with_event", "values", "invalid_values")


def moments(values: Any, metrics: Sequence[Metric], arms: Sequence[str]) -> Any:
    """Return a row per arm with the moments of every metric, centred at the arm's mean in a second pass.

    Args:
        values: rows of identities, every number within its bounds.
        metrics: of measures.
        arms: the columns that tell the arm.
    """
    of_arm = ibis.window(group_by=list(arms))
    columns = [(MetricColumns(metric).of, v) for metric in metrics for v in MetricColumns(metric).numbers]
    values = values.mutate(**{name(f"mean_{v}"): values[name(v)].mean().over(of_arm) for name, v in columns})
    found: dict[str, Any] = {}
    for metric in metrics:
        of_metric = MetricColumns(metric)
        name = of_metric.of
        for v in of_metric.numbers:
            center, number = values[name(f"mean_{v}")], values[name(v)]
            off = number - center
            found |= {
                name(f"center_{v}"): center.max(),
                name(f"d{v}"): off.sum(),
                name(f"d{v}{v}"): (off * off).sum(),
                name(f"nonzero_{v}"): (number != 0).sum(),
            }
        y, mean = values[name("y")], values[name("mean_y")]
        if of_metric.is_pair:
            found[name("dxy")] = ((values[name("x")] - values[name("mean_x")]) * (y - mean)).sum()
        found |= {name("largest"): y.max(), name("measured"): y.count()}
        found |= {name(each): values[name(each)].sum() for each in COUNTED}
        for bound in bounds_of(metric):
            found[bound.touched] = values[bound.touched].sum()
            found[bound.threshold] = values[bound.threshold].max()
    return values.group_by(*arms).agg(identities=values.count(), **found)


def clippings(metric: Metric, rows: Sequence[Mapping[str, Any]], mature: int) -> tuple[Clipping, Clipping]:
    """Return the bounds of a metric's y and x as numbers: they are the same in all rows.

    Args:
        metric: of measures.
        rows: of `moments`.
        mature: identities of the compared variants whose window has ended.
    """
    found: dict[str, dict[str, float | None]] = {"y": {}, "x": {}}
    for bound in bounds_of(metric):
        threshold = rows[0][bound.threshold] if rows else bound.of_nobody_with_events(mature)
        found[bound.number][bound.side] = None if threshold is None else float(threshold)
    return Clipping(**found["y"]), Clipping(**found["x"])


def arm_moments(
    row: Mapping[str, Any] | None, metric: Metric, bounds: tuple[Clipping, Clipping], people: int, mature: int
) -> ArmMoments:
    """Return the moments of one arm: of the identities with events, and of the silent others.

    Args:
        row: of `moments`; None where nobody has an event.
        metric: of the row.
        bounds: of its numbers.
        people: analysed identities of the arm.
        mature: those whose window has ended.
    """
    columns = MetricColumns(metric)
    name = columns.of
    with_events = 0 if row is None else int(row[name("analysed")] or 0)
    silent = _silent(metric, bounds, mature - with_events, people - mature)
    if row is None:
        return silent
    n = int(row[name("measured")])
    touched = {each.touched.removesuffix(f"_{metric.id}"): int(row[each.touched] or 0) for each in bounds_of(metric)}
    counts = Counts(
        identities=with_events,
        nonzero=int(row[name("nonzero_y")] or 0),
        nonzero_x=int(row[name("nonzero_x")] or 0) if columns.is_pair else 0,
        **touched,
        **{each: int(row[name(each)] or 0) for each in COUNTED if each != "analysed"},
    )

    def of(v: str) -> Moments:
        if not n:
            return Moments(0, 0.0, 0.0)
        center, off, squares = (float(row[name(key)]) for key in (f"center_{v}", f"d{v}", f"d{v}{v}"))
        m2 = finite(squares - off * off / n)
        return Moments(n, finite(center + off / n), m2 and max(m2, 0.0))

    largest = finite(float(row[name("largest")])) if n else None
    if not columns.is_pair:
        return ArmMoments(of("y"), largest=largest, counts=counts).merge(silent)
    product = float(row[name("dxy")]) - float(row[name("dx")]) * float(row[name("dy")]) / n if n else 0.0
    return ArmMoments(of("y"), of("x"), finite(product), largest, counts).merge(silent)


def _silent(metric: Metric, bounds: tuple[Clipping, Clipping], n: int, not_mature: int) -> ArmMoments:
    """Return the moments of identities without an event: each is 0 within its bounds, or has no value (rule M6)."""
    columns = MetricColumns(metric)
    own = [counted.measure for _, counted in columns.own]
    lacks = any(columns.counts_as_lacking(measure) for measure in own)
    measured = 0 if any(measure.may_lack_value for measure in own) else n
    (y_bounds, x_bounds), has_x = bounds, columns.is_pair
    y, x = (_bounded_zero(each) if measured else 0.0 for each in bounds)
    counts = Counts(
        identities=n,
        not_mature=not_mature,
        nonzero=measured if y else 0,
        nonzero_x=measured if x and has_x else 0,
        with_value=0 if lacks else n,
        capped=measured if y_bounds.cap is not None and y_bounds.cap < 0 else 0,
        floored=measured if y_bounds.floor is not None and y_bounds.floor > 0 else 0,
        capped_x=measured if has_x and x_bounds.cap is not None and x_bounds.cap < 0 else 0,
        floored_x=measured if has_x and x_bounds.floor is not None and x_bounds.floor > 0 else 0,
    )
    largest = y if measured else None
    if not has_x:
        return ArmMoments(Moments(measured, y, 0.0), largest=largest, counts=counts)
    return ArmMoments(Moments(measured, y, 0.0), Moments(measured, x, 0.0), 0.0, largest, counts)


def _bounded_zero(bounds: Clipping) -> float:
    at_least = max(0.0, bounds.floor) if bounds.floor is not None else 0.0
    return at_least if bounds.cap is None else min(at_least, bounds.cap)
