"""`experiment-pipeline refresh`."""

import json
from typing import TYPE_CHECKING

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.answers import answer
from experiment_pipeline.cli.context import Context, in_phase
from experiment_pipeline.cli.look_tables import write_published
from experiment_pipeline.cli.results import as_json_document
from experiment_pipeline.cli.results_report import report
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import (
    Claim,
    ClaimSource,
    Computation,
    ComputationState,
    computation_to_request,
)
from experiment_pipeline.errors import Leased, RefreshRefused, RegistryUnavailable
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.machine_errors import explained
from experiment_pipeline.times import iso_utc

if TYPE_CHECKING:
    from experiment_pipeline.registry.registry import Registry


@click.command()
@click.argument("key")
@options.environment
@options.phase
@click.option("--no-wait", is_flag=True, help="Only request it: a running daemon computes.")
@click.option("--force", is_flag=True, help="Do not wait for the minimum interval to pass; the audit log says who.")
@options.as_json
@click.pass_obj
def refresh(
    context: Context,
    key: str,
    environment: str | None,
    *,
    phase: int | None,
    no_wait: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Compute the experiment KEY again on the events in the lake, publish, and show the results.

    Refused before the start, once final, and within the minimum interval of the last request unless --force is given.

    \b
    Examples:
      experiment-pipeline refresh checkout
      experiment-pipeline refresh checkout --no-wait
      experiment-pipeline refresh checkout --phase 1
    """
    with context.registry() as registry:
        experiment = in_phase(context.find(registry, key, environment), phase)
        context.require_sound_lake(registry)
        results = registry.computations.get(experiment.id, Computation.RESULTS, experiment.phase)
        exposures = registry.computations.get(experiment.id, Computation.EXPOSURES, experiment.phase)
        asked = computation_to_request(exposures, results)
        claim = _claim(context, registry, experiment, asked.computation, force=force)
    if no_wait:
        request = {"requested": experiment.key, "requested_at": iso_utc(claim.requested_at)}
        answer(f"Asked for a refresh of {experiment.key}.", request, as_json=as_json)
        return
    try:
        _run(context, experiment)
    except KeyboardInterrupt:
        with context.registry() as registry:  # the same command again is not refused
            registry.claims.withdraw(claim, asked.refresh_requested_at, context.now)
        raise
    with context.registry() as registry:
        experiment = _computed(registry, experiment, asked, is_any_phase=phase is None)
        computed = registry.computations.get_together(experiment.id, experiment.phase)
        health = registry.health.live(experiment, context.now, Thresholds.of(context.settings))
    write_published(context)
    if as_json:
        click.echo(json.dumps(as_json_document(experiment, computed, health), indent=2))
        return
    context.wide_console.print(report(experiment, computed, health, floors=context.floors))


def _computed(
    registry: "Registry", experiment: Experiment, asked: ComputationState, *, is_any_phase: bool
) -> Experiment:
    """Return the experiment in the phase that was computed: the next one, where a restart came in between (rule X9).

    Raises:
        Leased: nothing was computed, since another run has the experiment.
    """
    if registry.computations.get(experiment.id, asked.computation, experiment.phase).computed_at != asked.computed_at:
        return experiment
    now = registry.experiments.get(experiment.id)
    newest = registry.computations.get(experiment.id, asked.computation, now.phase)
    if not is_any_phase or now.phase == experiment.phase or newest.computed_at is None:
        raise Leased(f"Another run holds experiment '{experiment.key}': the request waits for it to end.")
    command = f"experiment-pipeline refresh {experiment.key} --phase {experiment.phase}"
    message = f"'{experiment.key}' was restarted meanwhile: this is phase {now.phase}. Of phase {experiment.phase}:"
    click.echo(f"{message} {command}", err=True)
    return now


def _claim(
    context: Context, registry: "Registry", experiment: Experiment, computation: Computation, *, force: bool
) -> Claim:
    if force:
        return registry.claims.force(
            experiment.id, computation, context.now, actor=context.actor, phase=experiment.phase
        )
    interval, phase = context.settings.refresh_min_interval, experiment.phase
    return registry.claims.create(experiment.id, computation, ClaimSource.CLI, context.now, interval, phase=phase)


def _run(context: Context, experiment: Experiment) -> None:
    """Materialise the experiment's partition in this process, recorded in the installation's Dagster instance.

    A phase that a restart has ended is no materialisation of the partition: the job over several experiments takes it.
    """
    from experiment_pipeline.resources.dagster_instance import config_of, local_dagster

    with context.wide_console.status(f"Computing {experiment.key}"), local_dagster(context.settings) as dagster:
        try:
            if experiment.is_in_newest_phase:
                dagster.run("refresh_experiment", experiment.partition_key)
            else:
                phases = {experiment.partition_key: experiment.phase}
                dagster.run("refresh_experiments", config=config_of(phases))
        except (RefreshRefused, RegistryUnavailable):  # e.g. a run of the daemon owns the lease
            raise
        except Exception as failed:
            raise click.ClickException(f"The refresh failed: {explained(failed) or failed}") from failed
