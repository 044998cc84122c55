"""`experiment-pipeline lake repair`, and what the commands on the lake share."""

import json
import re
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from typing_extensions import override

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.storage.places import places_of

if TYPE_CHECKING:
    from experiment_pipeline.lake.ingestion import IngestionReport
    from experiment_pipeline.lake.lake import Lake
    from experiment_pipeline.lake.repair import Loss, RepairReport
    from experiment_pipeline.registry.registry import Registry
    from experiment_pipeline.warehouse.base import LakeWarehouse

RETIMED = (
    " If the landing zone was restored without the times of its files, go on with `lake repair --ignore-times`: then "
    "an object of the same size counts as the one that was ingested."
)
LOSSES_SHOWN = 20  # objects that are named; the rest is a count


class BatchRange(click.ParamType[range]):
    """A batch, or several in a row: `12` or `12-40`."""

    name = "BATCH"

    @override
    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> range:
        if isinstance(value, range):
            return value
        found = re.fullmatch(r"([1-9][0-9]{0,8})(?:-([1-9][0-9]{0,8}))?", str(value))
        if found is None or (found[2] and int(found[2]) < int(found[1])):
            self.fail(f"{value!r} must be the number of a batch, or of the first and the last one, e.g. 12 or 12-40")
        return range(int(found[1]), int(found[2] or found[1]) + 1)


@click.command()
@click.option(
    "--accept-loss",
    type=BatchRange(),
    multiple=True,
    help="Go on without what is gone of this batch, or of several (12-40). May be repeated; it is audited.",
)
@click.option(
    "--ignore-times",
    is_flag=True,
    help="Take a landing object of the same size for the one that was ingested, whatever its file's time is: for a "
    "landing zone that was restored without them.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and what is lost; change nothing.")
@options.as_json
@click.pass_obj
def repair(context: Context, accept_loss: tuple[range, ...], ignore_times: bool, dry_run: bool, as_json: bool) -> None:
    """Make lake and registry fit again: what the lake lacks is read from the landing zone, under its old batch number.

    A lake that holds more than the registry knows gives the registry its batches. Objects that are gone are listed; a
    batch that has lost some stops the repair until its loss is accepted.

    \b
    Examples:
      experiment-pipeline lake repair --dry-run
      experiment-pipeline lake repair --accept-loss 12 --accept-loss 20-25
    """
    from experiment_pipeline.lake.repair import Repair

    with context.registry() as registry, progress_bar(context, "batches") as progress:
        bar = progress.add_task("Repairing", total=None)
        work = Repair(
            open_lake(context),
            registry.batches,
            registry.repairs,
            places_of(context.settings).landing,
            now=context.now,
            actor=context.actor,
            accepted=frozenset(number for numbers in accept_loss for number in numbers),
            ignores_times=ignore_times,
            on_batch=lambda done, total: progress.update(bar, completed=done, total=total),
        )
        report = work.plan() if dry_run else work.run()
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, **asdict(report)}, indent=2, default=datetime.isoformat))
    else:
        _print(report, "would be " if dry_run else "")
    if report.stopped is not None and not dry_run:
        raise click.ClickException(
            f"Stopped before batch {report.stopped}: objects of it are gone or have changed. Put them back into the "
            f"landing zone, or accept the loss with `lake repair --accept-loss {report.stopped}`."
            + (RETIMED if any(loss.retimed for loss in report.losses) else "")
        )


def open_lake(context: Context) -> "Lake":
    """Return the lake that the settings name."""
    from experiment_pipeline.lake.lake import Lake

    settings = context.settings
    return Lake(
        places_of(settings).lake,
        memory_limit=settings.duckdb_memory_limit,
        threads=settings.duckdb_threads,
        spill_dir=settings.spill_dir,
    )


def open_warehouse(context: Context, artifacts_dir: Path | None = None) -> "LakeWarehouse":
    """Return the engine over the lake that the settings name, with its artifacts in their folder or another one."""
    from experiment_pipeline.warehouse.artifacts import ArtifactStore
    from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse

    lake = open_lake(context)
    return DuckDBWarehouse(
        lake.connect, lake.event_files, ArtifactStore(artifacts_dir or places_of(context.settings).artifacts)
    )


def ingest_landed(context: Context, registry: "Registry", lake: "Lake") -> "IngestionReport":
    """Ingest all that has landed, with a progress bar."""
    from experiment_pipeline.lake.ingestion import ingest
    from experiment_pipeline.lake.staging import Progress as BytesRead

    with progress_bar(context, "bytes") as progress:
        bar = progress.add_task("Ingesting", total=None)

        def show(read: BytesRead) -> None:
            progress.update(bar, description=f"Batch {read.batch}", completed=read.done, total=read.total)

        settings = context.settings
        return ingest(
            lake,
            registry.batches,
            places_of(settings).landing,
            context.now,
            show,
            object_age=settings.landing_object_age,
            timezone=settings.landing_timezone,
        )


def progress_bar(context: Context, unit: str) -> AbstractContextManager[Progress]:
    """Return a progress bar of so many units; none without a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=context.console, transient=True, disable=not context.console.is_terminal)


def _print(report: "RepairReport", would: str) -> None:
    from experiment_pipeline.lake.soundness import named

    for loss in report.losses:
        _print_loss(loss)
    if report.adopted:
        click.echo(f"{named(report.adopted).capitalize()}: {would}adopted from the lake.")
    if report.unknown:
        click.echo(
            f"The objects of {named(report.unknown)} are not known any more: those that still lie in the landing zone "
            "are read once more, and their events count once."
        )
    if report.restored:
        click.echo(f"{named(report.restored).capitalize()}: {would}read from the landing zone again.")
    for batch, had, has in report.differing:
        click.echo(
            f"Batch {batch}: {has:,} events, and it had {had:,}: an object of it is damaged, or read otherwise by this "
            "version. See `lake rejected`; restore the object, and land it under another name."
        )
    if not (report.adopted or report.restored or report.losses):
        click.echo("Lake and registry fit: there is nothing to repair.")


def _print_loss(loss: "Loss") -> None:
    accepted = ", which is accepted" if loss.is_accepted else ""
    if not loss.is_known:
        click.echo(f"Batch {loss.batch}: nobody knows any more which objects it had{accepted}.")
        return
    named = [("not there any more", each) for each in loss.gone]
    named += [("of another size than was ingested", each) for each in loss.changed]
    named += [("of another time than was ingested", each) for each in loss.retimed]
    click.echo(f"Batch {loss.batch}: {len(named):,} objects cannot be read again{accepted}:")
    for why, landed in named[:LOSSES_SHOWN]:
        click.echo(f"  {why}: {printable(landed.name)}")
    if len(named) > LOSSES_SHOWN:
        click.echo(f"  and {len(named) - LOSSES_SHOWN:,} more.")
