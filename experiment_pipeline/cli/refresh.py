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
        # One run computes both and serves every claim (rule R2); final results may have exposures that are not (R8).
        results = registry.computations.get(experiment.id, Computation.RESULTS)
        exposures = registry.computations.get(experiment.id, Computation.EXPOSURES)
        asked = exposures if results.is_final and not exposures.is_final else results
        registry.claims.create(
            experiment.id, asked.computation, ClaimSource.CLI, context.now, context.settings.refresh_min_interval
        )
    if no_wait:
        click.echo(f"Asked for a refresh of {experiment.key}.")
        return
    _run(context, experiment)
    with context.registry() as registry:
        computed = registry.computations.get_together(experiment.id)
    context.wide_console.print(report(experiment, computed))


def _run(context: Context, experiment: Experiment) -> None:
    """Materialise the experiment's partition in this process, recorded in the installation's Dagster instance."""
    from experiment_pipeline.resources.dagster_instance import local_dagster

    with context.wide_console.status(f"Computing {experiment.key}"), local_dagster(context.settings) as dagster:
        try:
            dagster.run("refresh_experiment", experiment.partition_key)
        except RefreshRefused:  # e.g. a run of the daemon owns the lease
            raise
        except Exception as failed:
            raise click.ClickException(f"The refresh failed: {failed}") from failed
