"""`experiment-pipeline demo`."""

import json
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.look_tables import write_published
from experiment_pipeline.cli.repair import open_lake
from experiment_pipeline.cli.results_report import legend, report
from experiment_pipeline.cli.sources import pull
from experiment_pipeline.cli.truth import truth_lines
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.storage.files import local_folder
from experiment_pipeline.storage.places import places_of

if TYPE_CHECKING:  # SciPy takes its time: other commands do without
    from experiment_pipeline.demo.comparison import Compared
    from experiment_pipeline.demo.landing import Deliveries
    from experiment_pipeline.demo.warehouse import DemoWarehouse
    from experiment_pipeline.resources.dagster_instance import LocalDagster

INTRODUCTION = (
    "The truth behind the simulated experiments: lifts as they follow from the simulation's parameters,\n"
    "worked out without any event, beside those that were found in the events. `missed`: the interval\n"
    "does not hold the true lift, as one of twenty does not.\n"
)


STEPS = 6  # beside one of each look: generating, declaring, the source, loading Dagster, ingesting twice
LOADS = 2  # into a warehouse, after each ingestion


class Steps:
    """The demo's steps as they begin: a progress bar on a terminal, lines on standard error without one."""

    def __init__(self, console: Console, total: int) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._has_terminal = console.is_terminal
        self._begun = 0
        self._progress = Progress(*columns, console=console, transient=True, disable=not self._has_terminal)
        self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def expect(self, total: int) -> None:
        """Set how many steps there are in all."""
        self._progress.update(self._task, total=total)

    def begin(self, description: str) -> None:
        """Show that a step begins, and that the one before it is done."""
        self._progress.update(self._task, completed=self._begun, description=description)
        self._begun += 1
        if not self._has_terminal:
            click.echo(f"{description} ...", err=True)


@click.command()
@click.option(
    "--warehouse",
    "engine",
    type=click.Choice(["clickhouse", "spark"]),
    help="Analyse in this engine, in this process: the events are loaded into a table of its own.",
)
@options.as_json
@click.pass_obj
def demo(context: Context, *, engine: str | None, as_json: bool) -> None:
    """Generate events, ingest them, compute five experiments through Dagster, and print their results.

    Four experiments are simulated: their true effects are printed beside what was found. The fifth is real (Thornton
    2008): a source reads it from a CSV file. The events come in two deliveries, and experiments that still run are
    looked at after each. A second run finds nothing new to ingest.

    \b
    Examples:
      experiment-pipeline --data-dir demo-data demo
      experiment-pipeline --data-dir demo-data-clickhouse demo --warehouse clickhouse
    """
    from experiment_pipeline.demo.landing import DECLARATIONS, FIRST_DELIVERY_UNTIL, generate
    from experiment_pipeline.schemas.manifests import parse_manifest

    context.require_data_directory()
    warehouse = _warehouse(context, engine)
    console = context.wide_console
    with Steps(console, total=STEPS) as steps, context.registry(create=True) as registry:
        context.require_sound_lake(registry)
        steps.begin("Generating events")
        deliveries = generate()
        deliveries.write(local_folder(places_of(context.settings).landing), landed_before=FIRST_DELIVERY_UNTIL)
        steps.begin("Declaring experiments")
        manifest = parse_manifest(DECLARATIONS.read_text("utf-8"), folder=DECLARATIONS.parent)
        registry.manifests.apply(manifest, actor=context.actor, now=context.now)
        pulled = _pull(context, registry, manifest.sources, steps)
        steps.begin("Loading Dagster")
        experiments = [
            registry.experiments.find(declared.environment, key) for key, declared in manifest.experiments.items()
        ]
        unfinished = [experiment for experiment in experiments if not _is_final(registry, experiment)]
        ingested = _materialise(context, unfinished, deliveries, steps, warehouse)
    generated = deliveries.generated
    delivered = {"records": generated.delivered, "objects": generated.objects}
    with context.registry() as registry:
        reports, truth = _reports(registry, experiments)
    write_published(context)
    if as_json:
        keys = [experiment.key for experiment in experiments]
        found = {"experiments": keys, "truth": [each.to_json() for each in truth]}
        click.echo(json.dumps({"delivered": delivered, "pulled": pulled, "ingested": ingested} | found, indent=2))
        return
    rows = ", ".join(f"{rows:,} new rows of the source {source}" for source, rows in pulled.items())
    console.print(f"{generated.delivered:,} records in {generated.objects:,} landing objects, {rows};")
    loaded = "" if warehouse is None else f" Results were computed in {warehouse.name}, from a table of its own."
    console.print(f"{_counted(ingested)}.{loaded}\n")
    console.print(*reports, sep="\n")
    console.print(legend())
    console.print(Group(INTRODUCTION, *truth_lines(truth), ""))
    console.print(f"Everything is in {context.settings.data_dir}.")


def _pull(context: Context, registry: Registry, sources: Iterable[str], steps: Steps) -> dict[str, int]:
    """Land what is new of the sources, and return the rows that were read of each."""
    read = {}
    for key in sources:
        steps.begin(f"Reading the source {key}")
        landed = pull(context, registry, registry.sources.find(key))
        read[key] = sum(each.rows or 0 for each in landed)
    return read


def _warehouse(context: Context, engine: str | None) -> "DemoWarehouse | None":
    if engine is None:
        return None
    from experiment_pipeline.demo.warehouse import DemoWarehouse, Engine

    return DemoWarehouse.of(Engine(engine), context.settings)


def _materialise(
    context: Context,
    experiments: list[Experiment],
    deliveries: "Deliveries",
    steps: Steps,
    warehouse: "DemoWarehouse | None",
) -> dict[str, int]:
    """Run the jobs against the demo's own Dagster instance, and return the counts of both ingestions.

    What runs is looked at after the first delivery, too; a second demo finds nothing in it, and looks once.
    """
    from experiment_pipeline.resources.dagster_instance import local_dagster

    running = [experiment for experiment in experiments if experiment.status is ExperimentStatus.RUNNING]
    settings = context.settings if warehouse is None else warehouse.settings(context.settings)

    def load() -> None:
        if warehouse is not None:
            steps.begin(f"Loading events into {warehouse.name}")
            warehouse.load(open_lake(context), sorted({each.environment_key for each in experiments}))

    with local_dagster(settings) as dagster:
        steps.expect(STEPS + len(running) + len(experiments) + (LOADS if warehouse is not None else 0))
        steps.begin("Ingesting the first delivery")
        first = _ingest(dagster)
        load()
        for experiment in running if first["accepted"] else ():
            steps.begin(f"Computing {experiment.key}, a first look")
            dagster.run("refresh_experiment", experiment.partition_key)
        deliveries.write(local_folder(places_of(context.settings).landing))
        steps.begin("Ingesting the second delivery")
        second = _ingest(dagster)
        load()
        for experiment in experiments:
            steps.begin(f"Computing {experiment.key}")
            dagster.run("refresh_experiment", experiment.partition_key)
    return {name: first[name] + second[name] for name in first}


def _ingest(dagster: "LocalDagster") -> dict[str, int]:
    """Ingest what has landed, and return how many events came in, came again, and were rejected."""
    (materialisation,) = dagster.run("ingest_events").asset_materializations_for_node("events")
    counts: dict[str, Any] = {name: entry.value for name, entry in materialisation.metadata.items()}
    return {
        "accepted": counts["accepted"],
        "duplicates": counts["duplicates"],
        "rejected": sum(counts["rejected"].values()),
    }


def _counted(ingested: dict[str, int]) -> str:
    return (
        f"{ingested['accepted']:,} new events ingested, {ingested['duplicates']:,} duplicates dropped, "
        f"{ingested['rejected']:,} bad records rejected"
    )


def _is_final(registry: Registry, experiment: Experiment) -> bool:
    """Return whether nothing is left to compute: final results never change (rule R6)."""
    return all(registry.computations.get(experiment.id, computation).is_final for computation in Computation)


def _reports(registry: Registry, experiments: Sequence[Experiment]) -> tuple[list[RenderableType], "list[Compared]"]:
    """Return the results of every experiment, and the true lifts beside what was found, everybody's first."""
    from experiment_pipeline.demo.comparison import compared

    reports: list[RenderableType] = []
    truth: list[Compared] = []
    for each in experiments:
        computed = registry.computations.get_together(each.id)
        experiment = registry.experiments.get(each.id)
        reports.append(report(experiment, computed, registry.health.get(each.id), with_parts=False))
        if computed.results.payload is not None:
            truth += compared(experiment, computed.results.payload)
    return reports, sorted(truth, key=lambda each: each.part is not None)
