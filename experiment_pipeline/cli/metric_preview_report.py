"""The report of a metric's preview: for people in a terminal, and as JSON."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from experiment_pipeline.cli.tables import plain
from experiment_pipeline.domain.aggregates import Bounds, Part
from experiment_pipeline.domain.definitions import definition_of
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.measures import Events
from experiment_pipeline.domain.metric_measurement import MeasuredStatistic
from experiment_pipeline.domain.metric_preview import POOLED, QUANTILES, Distribution, MetricPreview
from experiment_pipeline.domain.metrics import Funnel, Mean, Metric, Quantile, Ratio
from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.pages.quantities import a_day
from experiment_pipeline.results.measurement import measured_statistic
from experiment_pipeline.results.reasons import in_words
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.times import iso_utc

BAR_WIDTH = 30  # characters
SECOND_WORDS = {"denominator": "denominator", "pre_period": "pre-period"}
FREQUENT = 0.005  # the share of a value from which on it is shown beside a histogram
Near = Mapping[str, Sequence[str]]  # events that do not occur, with the names that were probably meant


def as_json_document(
    metric: Metric, experiment: Experiment | None, preview: MetricPreview, near: Near, *, not_stored: str | None
) -> dict[str, Any]:
    """Return what `metrics preview --json` prints."""
    aggregates = preview.aggregates
    values, invalid = aggregates.values.get(POOLED, 0), aggregates.invalid_values.get(POOLED, 0)
    return {
        "metric": metric.name,
        "environment": metric.environment_key,
        "definition": definition_of(metric),
        "unit": metric.unit,
        "experiment": experiment and experiment.key,
        "window": {"started_at": iso_utc(preview.window.started_at), "as_of": iso_utc(preview.window.as_of)},
        "data_version": preview.data_version,
        "identities": preview.identities,
        "identities_per_day": preview.identities / preview.window.days if preview.window.days else None,
        "identities_not_mature": preview.identities - preview.mature,
        "identities_with_value": aggregates.of_identities[POOLED].with_value,
        "n": preview.n,
        "estimate": _statistic_json(metric, measured_statistic(metric, aggregates, POOLED)),
        "estimate_without_bounds": preview.uncapped
        and _statistic_json(metric, measured_statistic(metric, preview.uncapped, POOLED)),
        "largest_share": aggregates.of_identities[POOLED].largest_share,
        "values_read": values,
        "invalid_values": invalid,
        "bounds": _bounds_json(aggregates.bounds),
        "distribution": _distribution_json(preview.values),
        **_second_json(metric, preview),
        "steps": [{"step": number, "reached": count} for number, count in steps(preview)],
        "warnings": [*preview.warnings(metric), *near_lines(near)],
        "stored": not_stored is None,
        "not_stored_because": not_stored,
    }


def second_name(metric: Metric) -> str | None:
    """Return what the second values of a metric are; None where it has none."""
    match metric.statistic:
        case Ratio():
            return "denominator"
        case Mean(_, before) if before is not None:
            return "pre_period"
        case _:
            return None


def steps(preview: MetricPreview) -> list[tuple[int, int]]:
    """Return the steps of a funnel, each with the identities that reached it."""
    found = []
    for group, reached in preview.aggregates.groups.items():
        aggregate = reached.by_variant[POOLED]
        if group.part is Part.STEP and aggregate is not None:
            found.append((int(group.name), round(aggregate.sum)))
    return sorted(found)


def near_lines(near: Near) -> Iterator[str]:
    """Yield a sentence for each event of the metric that does not occur."""
    for name, meant in near.items():
        question = f" Did you mean {' or '.join(map(quoted, meant))}?" if meant else ""
        yield f"There is no event {quoted(name)} around this time.{question}"


def report(
    metric: Metric, experiment: Experiment | None, preview: MetricPreview, near: Near, *, not_stored: str | None
) -> Lines:
    """Return the report of a preview for a terminal."""
    lines: list[Text | Table] = [_heading(metric, experiment, preview), Text(), _facts(metric, preview)]
    for title, found in _distributions(metric, preview):
        lines += [Text(), Text(title, style="bold"), *_distribution_lines(found)]
    warnings = [*preview.warnings(metric), *near_lines(near)]
    lines += [Text(), *(plain(f"! {warning}", style="yellow") for warning in warnings)] if warnings else []
    note = "What was measured is stored." if not_stored is None else f"Nothing is stored: {not_stored}."
    return Lines(*lines, Text(), Text(note, style="dim"))


def _heading(metric: Metric, experiment: Experiment | None, preview: MetricPreview) -> Text:
    who = "everybody with an event" if experiment is None else f"identities of {experiment.key}"
    window = f"{iso_utc(preview.window.started_at)} to {iso_utc(preview.window.as_of)}"
    heading = plain(metric.name, style="bold")
    return heading.append_text(plain(f" in {metric.environment_key}, over {who}, {window}"))


def _facts(metric: Metric, preview: MetricPreview) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for name, value, note in _fact_rows(metric, preview):
        table.add_row(name, plain(value), plain(note))
    return table


def _fact_rows(metric: Metric, preview: MetricPreview) -> Iterator[tuple[str, str, str]]:
    aggregates, days = preview.aggregates, preview.window.days
    yield "identities", f"{preview.identities:,}", f"{a_day(preview.identities / days)} a day" if days else ""
    if preview.mature < preview.identities:
        yield "  not mature", f"{preview.identities - preview.mature:,}", "their window has not ended"
    with_value = aggregates.of_identities[POOLED].with_value
    if with_value < preview.mature:
        yield "  with a value", f"{with_value:,}", _share(with_value, preview.mature)
    if (values := preview.values) is not None:
        if isinstance(metric.statistic, Quantile) and isinstance(metric.statistic.of, Events):
            yield "events", f"{values.n:,}", ""
        yield "  not 0", f"{values.n - values.zeros:,}", _share(values.n - values.zeros, values.n)
    for number, reached in steps(preview):
        yield f"  reach step {number}", f"{reached:,}", _share(reached, preview.n)
    yield from _statistic_rows(metric, preview)
    if (read := aggregates.values.get(POOLED, 0)) and (invalid := aggregates.invalid_values.get(POOLED, 0)):
        yield "values not numbers", f"{invalid:,}", f"{_share(invalid, read)} of {read:,}"
    of_second = f" of {SECOND_WORDS.get(second_name(metric) or '')}"
    for part, bounds in (("", aggregates.bounds), (of_second, aggregates.joint_bounds)):
        for name, bound, touched in _bound_rows(bounds):
            yield f"{name}{part}", _number(bound), f"touches {touched:,} identities, {_share(touched, preview.n)}"
    if (share := aggregates.of_identities[POOLED].largest_share) is not None and not metric.is_proportion:
        yield "largest value", _percent(share), "of the total"


def _statistic_rows(metric: Metric, preview: MetricPreview) -> Iterator[tuple[str, str, str]]:
    found = measured_statistic(metric, preview.aggregates, POOLED)
    if isinstance(found, NotComputable):
        yield _level_word(metric), "-", in_words(found.reason)
        return
    deviation, level = found.standard_deviation, found.aggregate.mean
    in_levels = f"{deviation / abs(level):.3g} times that" if level else ""
    if isinstance(metric.statistic, Ratio | Quantile):
        in_levels += f"; of {_deviation_of(metric)}"
    yield _level_word(metric), _number(level), metric.unit
    yield "standard deviation", _number(deviation), in_levels
    uncapped = preview.uncapped and measured_statistic(metric, preview.uncapped, POOLED)
    if isinstance(uncapped, MeasuredStatistic):
        yield "  without bounds", _number(uncapped.standard_deviation), f"at {_number(uncapped.aggregate.mean)}"
    if found.correlation is not None and found.variance_reduction is not None:
        explained = f"with the pre-period, which explains {_percent(found.variance_reduction)} of the variance"
        yield "correlation", f"{found.correlation:.3f}", explained


def _level_word(metric: Metric) -> str:
    match metric.statistic:
        case Ratio():
            return "ratio"
        case Quantile(q):
            return f"{q:g} quantile"
        case _:
            return "share" if metric.is_proportion else "mean"


def _bound_rows(bounds: Bounds | None) -> Iterator[tuple[str, float, int]]:
    if bounds is not None and bounds.cap is not None:
        yield "cap", bounds.cap, bounds.capped[POOLED]
    if bounds is not None and bounds.floor is not None:
        yield "floor", bounds.floor, bounds.floored[POOLED]


def _distributions(metric: Metric, preview: MetricPreview) -> Iterator[tuple[str, Distribution]]:
    if metric.is_proportion or isinstance(metric.statistic, Funnel):
        return  # zeros and ones: the share says it all
    first = "values of the numerator" if isinstance(metric.statistic, Ratio) else "values"
    second = f"values of the {SECOND_WORDS.get(second_name(metric) or '')}"
    bounds = (preview.aggregates.bounds, preview.aggregates.joint_bounds)
    for name, found, bound in zip((first, second), (preview.values, preview.second_values), bounds, strict=True):
        if found is not None:
            yield name + (", before cap and floor" if bound else ""), found


def _distribution_lines(found: Distribution) -> Iterator[Table | Text]:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    cells = {"smallest": found.smallest}
    cells |= {f"{100 * share:g} %": value for share, value in zip(QUANTILES, found.quantiles, strict=True)}
    cells["largest"] = found.largest
    for name in cells:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(*map(_number, cells.values()))
    yield table
    least = FREQUENT * found.n if found.bins else 0
    top = [(_number(each.value), each.count) for each in found.top if each.count >= least]
    yield from _bars("most frequent", top, found.n)
    bars = [
        (
            f"{_number(each.low)} to {_number(each.high)}" if each.high is not None else f"from {_number(each.low)}",
            each.count,
        )
        for each in found.bins
    ]
    yield from _bars("not 0", bars, found.n)
    if found.too_large:
        yield Text(f"{found.too_large:,} values are too large for a float and left out.", style="yellow")


def _bars(title: str, rows: Sequence[tuple[str, int]], n: int) -> Iterator[Table]:
    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    longest = max(count for _, count in rows) or 1
    for name, count in rows:
        table.add_row(name, f"{count:,}", _share(count, n), "▇" * round(BAR_WIDTH * count / longest))
    yield table


def _second_json(metric: Metric, preview: MetricPreview) -> dict[str, Any]:
    """Return the denominator of a ratio, or the pre-period, by its name; nothing of other metrics."""
    name, bounds = second_name(metric), _bounds_json(preview.aggregates.joint_bounds)
    if name is None:
        return {}
    return {name: {"distribution": _distribution_json(preview.second_values), "bounds": bounds}}


def _statistic_json(metric: Metric, found: MeasuredStatistic | NotComputable) -> dict[str, Any]:
    if isinstance(found, NotComputable):
        return {"reason": found.reason}
    return {
        "n": found.aggregate.n,
        "value": found.aggregate.mean,
        "standard_deviation": found.standard_deviation,
        "standard_deviation_of": _deviation_of(metric),
        "standard_error": found.standard_deviation / math.sqrt(found.aggregate.n),
        "correlation": found.correlation,
        "variance_reduction": found.variance_reduction,
    }


def _deviation_of(metric: Metric) -> str:
    """Return what the standard deviation is of: a ratio and a quantile have none of single values."""
    if isinstance(metric.statistic, Ratio | Quantile):
        return "one identity's part in the estimate: its standard error times the square root of n"
    return "the values of identities"


def _bounds_json(bounds: Bounds | None) -> dict[str, Any] | None:
    if bounds is None:
        return None
    return {name: {"at": bound, "identities": touched} for name, bound, touched in _bound_rows(bounds)}


def _distribution_json(found: Distribution | None) -> dict[str, Any] | None:
    if found is None:
        return None
    quantiles = [{"share": share, "value": value} for share, value in zip(QUANTILES, found.quantiles, strict=True)]
    return {**asdict(found), "share_of_zeros": found.zeros / found.n, "quantiles": quantiles}


def _number(value: float) -> str:
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.6g}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _share(count: int, n: int) -> str:
    return _percent(count / n) if n else ""
