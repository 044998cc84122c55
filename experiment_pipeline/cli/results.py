"""`experiment-pipeline results`."""

import json
import sys

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context, in_phase
from experiment_pipeline.cli.results_csv import write_csv
from experiment_pipeline.cli.results_report import legend, report
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import ComputedTogether, StoredHealth
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.pages.result_words import explanation
from experiment_pipeline.pages.view import newer_line
from experiment_pipeline.results.payload import ExposuresPayload
from experiment_pipeline.times import iso_utc


def _explain(click_context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not click_context.resilient_parsing:
        click.echo(explanation())
        click_context.exit()


@click.command()
@click.argument("key")
@options.environment_of_key
@options.phase
@click.option("--json", "as_json", is_flag=True, help="Print both payloads and the health findings as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print one row of CSV per metric and variant.")
@click.option(
    "--explain", is_flag=True, is_eager=True, expose_value=False, callback=_explain, help="Explain the words, and stop."
)
@click.pass_obj
def results(
    context: Context, key: str, environment: str | None, *, phase: int | None, as_json: bool, as_csv: bool
) -> None:
    """Show the exposures and results of the experiment KEY as they were last computed together.

    \b
    Examples:
      experiment-pipeline --data-dir demo-data results one_page_checkout
      experiment-pipeline --data-dir demo-data results hiv_result_incentive --environment field-study --json
      experiment-pipeline --data-dir demo-data results one_page_checkout --csv > results.csv
      experiment-pipeline results checkout --phase 1
    """
    if as_json and as_csv:
        raise ConfigurationError.of("--csv", "Give --json or --csv, not both.")
    with context.registry() as registry:
        experiment = in_phase(context.find(registry, key, environment), phase)
        computed = registry.computations.get_together(experiment.id, experiment.phase)
        health = registry.health.live(experiment, context.now, Thresholds.of(context.settings))
    if as_json:
        click.echo(json.dumps(as_json_document(experiment, computed, health), indent=2))
    elif as_csv:
        write_csv(experiment, computed.results, sys.stdout)
    else:
        explained = [] if computed.results.payload is None else [legend()]
        context.wide_console.print(report(experiment, computed, health, floors=context.floors), *explained)
        return
    if computed.newer is not None:
        click.echo(newer_line(computed.newer), err=True)


def as_json_document(
    experiment: Experiment, computed: ComputedTogether, health: StoredHealth | None
) -> dict[str, object]:
    """Return what `results --json` prints: whose results they are and of which window, both payloads, the findings."""
    computations = (computed.results, computed.exposures)
    state = next((each for each in computations if each.payload is not None), computed.results)
    exposures: ExposuresPayload | None = computed.exposures.payload
    started_at, as_of = (each and iso_utc(each) for each in (experiment.started_at, state.as_of))
    return {
        "key": experiment.key,
        "name": experiment.name,
        "environment": experiment.environment_key,
        "feature": experiment.feature,
        "status": experiment.status.value,
        "phase": experiment.phase,
        "metrics": {str(each.metric.id): each.metric.name for each in experiment.metrics},
        "window": as_of and {"started_at": started_at, "as_of": as_of},
        "as_of": as_of,
        "data_version": state.data_version,
        "granularity": exposures and exposures["timeseries"]["granularity"],
        "exposures": computed.exposures.envelope(),
        "results": computed.results.envelope(),
        "health": health and health.to_json(),
    }
