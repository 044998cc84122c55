"""`experiment-pipeline power`."""

import json
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.metric_preview import MOST_DAYS, ONE_WINDOW, Measured, declared_metric, measure
from experiment_pipeline.cli.tables import plain
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.domain.power_request import MOST_VARIANTS, SHOWN_VARIANTS, PowerRequest
from experiment_pipeline.errors import Conflict
from experiment_pipeline.pages.plans import PlanReadingView, PlanView, plan_view
from experiment_pipeline.results.sample_plan import sample_plan

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        measured_in = plans[0]["measured"]["experiment_id"]
        measured_key = None if measured_in is None else registry.experiments.find_key(measured_in)
    if as_json:
        click.echo(json.dumps(plans, indent=2))
        return
    context.wide_console.print(*_lines(plan_view(plans, found, measured_key)), sep="\n")


def _planned_from(measured: Measured) -> Metric:
    """Return the metric that was measured; refuse a measurement that nothing can be planned from."""
    if measured.not_stored is not None:
        raise Conflict(f"Nothing can be planned from '{measured.metric.name}': {measured.not_stored}.")
    return measured.metric


def _lines(plan: PlanView) -> "Iterator[Text | Table]":
    yield plain(plan.metric, style="bold").append_text(plain(f", {plan.measured}"))
    yield Text(plan.settings)
    for reading in plan.readings:
        yield Text()
        yield Text(reading.title, style="bold")
        yield _table(plan, reading)
    if plan.withheld:
        yield Text(f"Withheld: {plan.withheld}.", style="dim")


def _table(plan: PlanView, reading: PlanReadingView) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    headings = [f"for {plan.mde}: identities", "days"] if plan.mde else []
    for name in ("variants", "looked at", *headings, *(f"detects in {days} days" for days in plan.days)):
        table.add_column(name, justify="right", no_wrap=True)
    for row in reading.rows:
        table.add_row(row.variants, row.looked_at, *row.sample, *row.detects)
    return table
