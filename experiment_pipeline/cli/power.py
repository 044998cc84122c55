"""`experiment-pipeline power`."""

import json
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.metric_preview import MOST_DAYS, ONE_WINDOW, Measured, declared_metric, measure
from experiment_pipeline.cli.metric_preview_report import a_day
from experiment_pipeline.cli.tables import plain
from experiment_pipeline.domain.metrics import Mean, Metric
from experiment_pipeline.domain.power_request import MOST_VARIANTS, PowerRequest
from experiment_pipeline.errors import Conflict, NotFound
from experiment_pipeline.results.reasons import in_words
from experiment_pipeline.results.sample_plan import PlanPayload, ReadingPayload, SamplePayload, sample_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from experiment_pipeline.registry.registry import Registry

SHOWN_VARIANTS = (2, 3, 4, 5)  # where none are asked for


@click.command()
@click.argument("metric")
@click.option("--mde", type=float, help="Relative lift to detect, as a share: 0.05 is 5 %.")
@click.option("--traffic", type=float, metavar="N", help="New identities a day; by default those that were measured.")
@click.option("--variants", type=click.IntRange(2, MOST_VARIANTS), help="With control.  [default: 2, 3, 4 and 5]")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="The chance of a false verdict.")
@click.option("--power", type=float, default=0.8, show_default=True, help="The chance to find the mde.")
@click.option("--covariate/--no-covariate", default=None, help="Adjusted for the pre-period, or not; both by default.")
@click.option("--cap/--no-cap", default=None, help="With the metric's cap and floor, or without; both by default.")
@click.option("--experiment", "key", metavar="KEY", help="Measure anew, over the identities of this experiment.")
@click.option("--days", type=click.IntRange(1, MOST_DAYS), help="Measure anew, over the last so many days.")
@options.environment
@options.as_json
@click.pass_obj
def power(
    context: Context,
    metric: str,
    *,
    mde: float | None,
    traffic: float | None,
    variants: int | None,
    alpha: float,
    power: float,
    covariate: bool | None,
    cap: bool | None,
    key: str | None,
    days: int | None,
    environment: str | None,
    as_json: bool,
) -> None:
    """Show how many identities and days an experiment on METRIC needs, and what it detects in some weeks.

    It is planned from what refreshes and `metrics preview` measured of the metric last. Where that is nothing, or with
    --experiment or --days, it is measured first, as `metrics preview` does, and stored.

    "once" is a test that is looked at once, at the end; "every look" is the verdict, which may be looked at after every
    refresh. All variants have the same share of the traffic.

    \b
    Examples:
      experiment-pipeline power revenue --mde 0.05
      experiment-pipeline power revenue --mde 0.05 --variants 3 --traffic 20000 --json
      experiment-pipeline power revenue --days 28
    """
    if key is not None and days is not None:
        raise click.UsageError(ONE_WINDOW)
    chosen = SHOWN_VARIANTS if variants is None else (variants,)
    requests = [
        PowerRequest(metric, mde, traffic, alpha, power, variants=each, covariate=covariate, cap=cap) for each in chosen
    ]
    requests[0].check()
    with context.registry() as registry:
        if key is not None or days is not None:
            measured = measure(context, registry, metric, key=key, days=days, file=None, environment=environment)
            found = _planned_from(measured)
        else:
            found = declared_metric(context, registry, metric, environment)
        measurements = registry.measurements.list(found)
        if not measurements:
            of = found.environment_key
            _planned_from(measure(context, registry, metric, key=None, days=None, file=None, environment=of))
            measurements = registry.measurements.list(found)
        plans = [sample_plan(found, measurements, request) for request in requests]
        who = _who(registry, plans[0]["measured"]["experiment_id"])
    if as_json:
        click.echo(json.dumps(plans, indent=2))
        return
    context.wide_console.print(*_lines(plans, who, found), sep="\n")


def _planned_from(measured: Measured) -> Metric:
    """Return the metric that was measured; refuse a measurement that nothing can be planned from."""
    if measured.not_stored is not None:
        raise Conflict(f"Nothing can be planned from '{measured.metric.name}': {measured.not_stored}.")
    return measured.metric


def _who(registry: "Registry", experiment_id: int | None) -> str:
    """Return whose identities were measured; a deleted experiment has no key any more."""
    if experiment_id is None:
        return "everybody"
    try:
        return f"experiment {registry.experiments.get(experiment_id).key}"
    except NotFound:
        return f"a deleted experiment, {experiment_id}"


def _lines(plans: "Sequence[PlanPayload]", who: str, metric: Metric) -> "Iterator[Text | Table]":
    first = plans[0]
    measured = first["measured"]
    source = f"{measured['source']} over {who}, {measured['started_at']} to {measured['as_of']}"
    yield plain(first["metric"], style="bold").append_text(plain(f", measured by a {source}"))
    traffic = "unknown" if first["traffic"] is None else f"{a_day(first['traffic'])} new identities a day"
    yield Text(f"alpha {first['alpha']:g}, power {first['power']:g}, traffic: {traffic}")
    for position, reading in enumerate(first["readings"]):
        yield Text()
        yield Text(_title(reading, metric), style="bold")
        yield _table(plans, position)
    if reason := next((reason for plan in plans for reason in _reasons(plan) if reason), None):
        yield Text(f"Withheld: {in_words(reason)}.", style="dim")


def _title(reading: ReadingPayload, metric: Metric) -> str:
    words = []
    if reading["adjusted"] or (isinstance(metric.statistic, Mean) and metric.statistic.covariate_before is not None):
        words.append("adjusted for the pre-period" if reading["adjusted"] else "not adjusted")
    if any(each.cap is not None or each.floor is not None for each in metric.measures):
        words.append("with cap and floor" if reading["capped"] else "without cap and floor")
    title = ", ".join(words) or "as it is declared"
    return f"{title}: {reading['level']:,.6g}, standard deviation {reading['standard_deviation']:,.6g}"


def _table(plans: "Sequence[PlanPayload]", position: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    weeks = [each["days"] for each in plans[0]["readings"][position]["detectable"]]
    has_mde = plans[0]["mde"] is not None
    headings = [f"for {100 * plans[0]['mde']:g} %: identities", "days"] if plans[0]["mde"] is not None else []
    for name in ("variants", "looked at", *headings, *(f"detects in {days} days" for days in weeks)):
        table.add_column(name, justify="right", no_wrap=True)
    for plan in plans:
        reading = plan["readings"][position]
        for words, name in (("once", "once"), ("every look", "every_look")):
            sample = reading["once"] if name == "once" else reading["every_look"]
            lifts = [each["once"] if name == "once" else each["every_look"] for each in reading["detectable"]]
            cells = _sample_cells(sample) if has_mde else []
            table.add_row(str(plan["variants"]), words, *cells, *map(_percent, lifts))
    return table


def _sample_cells(sample: SamplePayload | None) -> list[str]:
    if sample is None or sample["identities"] is None:
        return ["–", "–"]
    days = sample["days"]
    return [f"{sample['identities']:,}", "–" if days is None else f"{days:,.1f}"]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.3g} %"


def _reasons(plan: PlanPayload) -> "Iterator[str | None]":
    for reading in plan["readings"]:
        yield from (each["reason"] for each in (reading["once"], reading["every_look"]) if each is not None)
        yield from (each["reason"] for each in reading["detectable"])
