"""`experiment-pipeline results`."""

import json

import click

from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.report import LEGEND, report
from experiment_pipeline.domain.refresh import Computation, ComputationState
from experiment_pipeline.results.payload import ExposuresPayload, ResultsPayload


@click.command()
@click.argument("key")
@click.option(
    "-e",
    "--environment",
    metavar="KEY",
    help="The experiment's environment, when several have an experiment of this key.",
)
@click.option("--json", "as_json", is_flag=True, help="Print both payloads as the API serves them.")
@click.pass_obj
def results(context: Context, key: str, environment: str | None, as_json: bool) -> None:
    """Show the exposures and results of the experiment KEY as they were last computed.

    \b
    Examples:
      experiment-pipeline --data-dir demo-data results one_page_checkout
      experiment-pipeline --data-dir demo-data results hiv_result_incentive --environment field-study --json
    """
    with context.registry() as registry:
        experiment = context.find(registry, key, environment)
        exposures: ComputationState[ExposuresPayload] = registry.computations.get(experiment.id, Computation.EXPOSURES)
        computed: ComputationState[ResultsPayload] = registry.computations.get(experiment.id, Computation.RESULTS)
    if as_json:
        click.echo(json.dumps({"exposures": exposures.envelope(), "results": computed.envelope()}, indent=2))
    else:
        context.wide_console.print(report(experiment, exposures, computed), LEGEND)
