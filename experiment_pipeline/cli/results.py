"""`experiment-pipeline results`."""

import json

import click

from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.report import LEGEND, newer_line, report


@click.command()
@click.argument("key")
@click.option(
    "-e",
    "--environment",
    metavar="KEY",
    help="The experiment's environment, when several have an experiment of this key.",
)
@click.option("--json", "as_json", is_flag=True, help="Print both payloads and the health findings.")
@click.pass_obj
def results(context: Context, key: str, environment: str | None, as_json: bool) -> None:
    """Show the exposures and results of the experiment KEY as they were last computed together.

    \b
    Examples:
      experiment-pipeline --data-dir demo-data results one_page_checkout
      experiment-pipeline --data-dir demo-data results hiv_result_incentive --environment field-study --json
    """
    with context.registry() as registry:
        experiment = context.find(registry, key, environment)
        computed = registry.computations.get_together(experiment.id)
        health = registry.health.get(experiment.id)
    if as_json:
        envelopes = {
            "exposures": computed.exposures.envelope(),
            "results": computed.results.envelope(),
            "health": None if health is None else health.to_json(),
        }
        click.echo(json.dumps(envelopes, indent=2))
        if computed.newer is not None:
            click.echo(newer_line(computed.newer), err=True)
    else:
        context.wide_console.print(report(experiment, computed, health), LEGEND)
