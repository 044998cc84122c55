"""`experiment-pipeline refresh`."""

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.report import report
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import ClaimSource, Computation
from experiment_pipeline.errors import RefreshRefused


@click.command()
@click.argument("key")
@options.environment
@click.option("--no-wait", is_flag=True, help="Only request it: a running daemon computes.")
@click.pass_obj
def refresh(context: Context, key: str, environment: str | None, no_wait: bool) -> None:
    """Compute the experiment KEY again on the events in the lake, publish, and show the results.

    Refused before the start, once final, and within the minimum interval of the last request.

    \b
    Examples:
      experiment-pipeline refresh checkout
      experiment-pipeline refresh checkout --no-wait
    """
    with context.registry() as registry:
        experiment = context.find(registry, key, environment)
        context.require_sound_lake(registry)
        registry.claims.create(  # one run computes both and serves every claim (rule R2)
            experiment.id, Computation.RESULTS, ClaimSource.CLI, context.now, context.settings.refresh_min_interval
        )
    if no_wait:
        click.echo(f"Asked for a refresh of {experiment.key}.")
        return
    _run(context, experiment)
    with context.registry() as registry:
        exposures, results = (registry.computations.get(experiment.id, each) for each in Computation)
    context.wide_console.print(report(experiment, exposures, results))


def _run(context: Context, experiment: Experiment) -> None:
    """Materialise the experiment's partition in this process, recorded in the installation's Dagster instance."""
    from experiment_pipeline.resources.dagster_instance import local_dagster

    with context.wide_console.status(f"Computing {experiment.key}"), local_dagster(context.settings) as dagster:
        try:
            dagster.run("refresh_experiment", experiment.partition_key)
        except Exception as failed:
            if isinstance(failed.__cause__, RefreshRefused):  # e.g. a run of the daemon owns the lease
                raise failed.__cause__ from None
            raise click.ClickException(f"The refresh failed: {failed}") from failed
