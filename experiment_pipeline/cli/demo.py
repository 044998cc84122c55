"""`experiment-pipeline demo`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.report import LEGEND, report
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.registry.repository import Registry


@click.command()
@click.pass_obj
def demo(context: Context) -> None:
    """Generate events, ingest them, compute five experiments through Dagster, and print their results.

    Four experiments are simulated, the fifth is real (Thornton 2008). A second run finds nothing new to ingest.

    \b
    Example:
      experiment-pipeline --data-dir demo-data demo
    """
    from experiment_pipeline.demo.landing import DECLARATIONS, generate
    from experiment_pipeline.schemas.manifests import parse_manifest

    console = context.wide_console
    with _progress(console) as progress, context.registry(create=True) as registry:
        step = progress.add_task("Generating events", total=4)
        written = generate(context.settings.landing_dir)
        progress.update(step, advance=1, description="Declaring experiments")
        manifest = parse_manifest(DECLARATIONS.read_text("utf-8"))
        registry.apply(manifest, actor=context.actor, now=context.now)
        progress.update(step, advance=1, description="Loading Dagster")
        experiments = [
            registry.find_experiment(declared.environment, key) for key, declared in manifest.experiments.items()
        ]
        open_ones = [experiment for experiment in experiments if not _is_final(registry, experiment)]
        ingested = _materialise(context, open_ones, progress, step)
    console.print(f"{written.delivered:,} records lie in {written.objects:,} landing objects; {ingested}.\n")
    with context.registry() as registry:
        for experiment in experiments:
            console.print(_report(registry, experiment))
    console.print(LEGEND)
    console.print(f"Everything is in {context.settings.data_dir}.")


def _materialise(context: Context, experiments: list[Experiment], progress: Progress, step: TaskID) -> str:
    """Run the jobs against the demo's own Dagster instance; what the ingestion came to, in words."""
    from experiment_pipeline.assets.partitions import EXPERIMENTS
    from experiment_pipeline.definitions import build
    from experiment_pipeline.resources.dagster_instance import add_partitions, open_instance, run_here

    definitions = build(context.settings)
    with open_instance(context.settings.dagster_home) as instance:
        progress.update(step, advance=1, description="Ingesting events", total=4 + len(experiments))
        ingestion = run_here(definitions, "ingest_events", instance)
        add_partitions(instance, EXPERIMENTS, [experiment.partition_key for experiment in experiments])
        for experiment in experiments:
            progress.update(step, advance=1, description=f"Computing {experiment.key}")
            run_here(definitions, "refresh_experiment", instance, experiment.partition_key)
        progress.update(step, advance=1, description="Done")
    (materialisation,) = ingestion.asset_materializations_for_node("events")
    counts: dict[str, Any] = {name: entry.value for name, entry in materialisation.metadata.items()}
    rejected = sum(counts["rejected"].values())
    return (
        f"{counts['accepted']:,} new events ingested, {counts['duplicates']:,} duplicates dropped, "
        f"{rejected:,} bad records set aside"
    )


def _is_final(registry: Registry, experiment: Experiment) -> bool:
    """Final results never change (rule R6): there is nothing left to compute."""
    return all(registry.computation(experiment.id, computation).is_final for computation in Computation)


def _report(registry: Registry, experiment: Experiment) -> RenderableType:
    return report(
        registry.experiment(experiment.id),
        registry.computation(experiment.id, Computation.EXPOSURES),
        registry.computation(experiment.id, Computation.RESULTS),
    )


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield progress
