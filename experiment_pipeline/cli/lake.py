"""`experiment-pipeline lake`."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.answers import answer
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.repair import open_lake, progress_bar, repair
from experiment_pipeline.cli.tables import add_row, listing
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.landing.ignored import IgnoredFiles

if TYPE_CHECKING:
    from experiment_pipeline.lake.compaction import Merge
    from experiment_pipeline.lake.ingestion import LandingState
    from experiment_pipeline.lake.inspection import Partition
    from experiment_pipeline.lake.lake import Lake
    from experiment_pipeline.lake.soundness import Finding

RECORD_WIDTH = 80  # characters of a record in a table
dry_run = click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")


@click.group()
def lake() -> None:
    """Show the events lake and what it rejected, ingest into it, compact, vacuum and repair it."""


lake.add_command(repair)


@lake.command()
@options.as_json
@click.pass_obj
def status(context: Context, as_json: bool) -> None:
    """Show what the lake holds, whether it lacks anything, and whether there are landing objects to ingest."""
    from experiment_pipeline.lake.ingestion import landing_state
    from experiment_pipeline.lake.inspection import partitions
    from experiment_pipeline.lake.soundness import find_flaw
    from experiment_pipeline.landing.segments import strays

    settings = context.settings
    with context.registry() as registry:
        version = registry.batches.lake_version().data_version
        finding = find_flaw(settings.lake_dir, registry.batches)
        state = landing_state(registry.batches, settings.landing_dir)
    parts = partitions(_open(context), context.now)
    left = [printable(str(path)) for path in strays(settings.landing_dir)]
    if as_json:
        click.echo(json.dumps(_as_json(version, finding, state, parts, left), indent=2))
        return
    _print_partitions(context, parts)
    click.echo(f"Data version {version}.", nl=False)
    ingested = "Every landing object is ingested."
    if state.unreadable.count:
        ingested = "Every readable landing object is ingested."
    click.echo(" There are landing objects to ingest." if state.waits else f" {ingested}")
    if finding is not None:
        click.echo(finding.message)
    for name in left:
        click.echo(f"Not a segment, left alone in the landing zone: {name}")
    _print_left_out(state.unreadable, state.ignored)


@lake.command()
@options.as_json
@click.pass_obj
def ingest(context: Context, as_json: bool) -> None:
    """Ingest every landing object that is not in the lake yet, as the `events` asset does."""
    from experiment_pipeline.lake import ingestion
    from experiment_pipeline.lake.staging import Progress as BytesRead

    with context.registry() as registry, progress_bar(context, "bytes") as progress:
        bar = progress.add_task("Ingesting", total=None)

        def show(read: BytesRead) -> None:
            progress.update(bar, description=f"Batch {read.batch}", completed=read.done, total=read.total)

        settings = context.settings
        report = ingestion.ingest(
            _open(context),
            registry.batches,
            settings.landing_dir,
            context.now,
            show,
            object_age=settings.landing_object_age,
        )
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
        return
    if report.batch is None:
        click.echo("Nothing new has landed.")
        _print_left_out(report.unreadable, report.ignored)
        return
    rejected = sum(report.rejected.values())
    click.echo(f"Batch {report.batch}: {report.objects:,} objects, {report.accepted:,} new events,", nl=False)
    click.echo(f" {report.duplicates:,} duplicates, {rejected:,} rejected.")
    for reason, records in sorted(report.rejected.items()):
        click.echo(f"  rejected, {reason}: {records:,}")
    for name, problem in report.problems.items():
        click.echo(f"  {problem}: {printable(name)}")
    _print_left_out(report.unreadable, report.ignored)


@lake.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="How many, newest first.")
@options.as_json
@click.pass_obj
def rejected(context: Context, limit: int, as_json: bool) -> None:
    """Show the latest rejected records, with the reason and the landing object of each.

    \b
    Example:
      experiment-pipeline lake rejected --limit 5 --json
    """
    from experiment_pipeline.lake.inspection import latest_rejected

    found = latest_rejected(_open(context), limit)
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2, default=datetime.isoformat))
        return
    if not found:
        click.echo("Nothing was ever rejected.")
        return
    table = listing("landed", "environment", "reason", "line", "record")
    for each in found:
        landed = f"{each.landed_at.astimezone(UTC):%Y-%m-%d %H:%M}"
        line = f"{each.line}" if each.position is None else f"{each.line}, record {each.position}"
        add_row(table, landed, each.environment_key, each.reason, line, each.record[:RECORD_WIDTH])
    context.wide_console.print(table)
    click.echo("--json shows whole records and their landing objects.")


@lake.command()
@click.option("--whole", is_flag=True, help="Merge every month into one file, full tiers or not.")
@dry_run
@options.as_json
@click.pass_obj
def compact(context: Context, whole: bool, dry_run: bool, as_json: bool) -> None:
    """Merge small files into few large ones, sorted for analysis. Safe beside readers and ingestion.

    \b
    Example:
      experiment-pipeline lake compact --dry-run
    """
    from experiment_pipeline.lake import compaction

    opened = _open_sound(context)
    planned = compaction.planned(opened, context.now, whole=whole)
    if dry_run and as_json:
        click.echo(json.dumps({"dry_run": True, "merges": [_merge_as_json(merge) for merge in planned]}, indent=2))
        return
    if dry_run:
        for merge in planned:
            click.echo(f"{merge.environment_key} {merge.month}: {len(merge.files)} files, {merge.rows:,} events")
        click.echo(f"{len(planned)} merges would be made.")
        return
    with progress_bar(context, "merges") as progress:
        bar = progress.add_task("Merging", total=len(planned))
        done = compaction.compact(opened, context.now, whole=whole, on_merged=lambda _: progress.advance(bar))
    files, rows = sum(len(merge.files) for merge in done), sum(merge.rows for merge in done)
    answer(
        f"Merged {files:,} files with {rows:,} events into {len(done):,}.",
        {"dry_run": False, "merges": [_merge_as_json(merge) for merge in done]},
        as_json=as_json,
    )


@lake.command()
@click.option(
    "--retention-hours",
    type=click.IntRange(min=0),
    default=24,
    show_default=True,
    help="Keep replaced and unused files this long; must be longer than any refresh runs.",
)
@dry_run
@options.as_json
@click.pass_obj
def vacuum(context: Context, retention_hours: int, dry_run: bool, as_json: bool) -> None:
    """Delete files that compaction replaced or that a killed ingestion left behind."""
    removed = _open_sound(context).vacuum(timedelta(hours=retention_hours), dry_run=dry_run)
    text = f"{len(removed):,} files {'would be ' if dry_run else ''}deleted."
    answer(text, {"dry_run": dry_run, "files": len(removed)}, as_json=as_json)


def _merge_as_json(merge: "Merge") -> dict[str, object]:
    """Return one merge of a month's files into one."""
    return {
        "environment": merge.environment_key,
        "month": merge.month,
        "files": len(merge.files),
        "events": merge.rows,
    }


def _as_json(
    version: int, finding: "Finding | None", state: "LandingState", parts: "list[Partition]", strays: list[str]
) -> dict[str, Any]:
    batches = [] if finding is None else list(finding.batches)
    return {
        "data_version": version,
        "sound": finding is None,
        "flaw": None if finding is None else {**asdict(finding), "flaw": finding.flaw.value, "batches": batches},
        "landing_objects_wait": state.waits,
        "unreadable": asdict(state.unreadable),
        "ignored": asdict(state.ignored),
        "strays": strays,
        "partitions": [asdict(part) for part in parts],
    }


def _print_partitions(context: Context, parts: "list[Partition]") -> None:
    table = listing("environment", "month")
    for heading in ("events", "files", "unmerged", "MB"):
        table.add_column(heading, justify="right")
    for part in parts:
        counts = (f"{part.events:,}", f"{part.files:,}", f"{part.unmerged:,}", f"{part.bytes / 1e6:,.1f}")
        add_row(table, part.environment_key, part.month, *counts)
    if table.row_count:
        context.wide_console.print(table)


def _print_left_out(*groups: IgnoredFiles) -> None:
    """Name what lies in the landing zone and is not ingested, reason by reason."""
    for files in groups:
        for reason in dict.fromkeys(each.reason for each in files.first):
            click.echo(f"Not ingested, {reason.value} ({reason.explanation}):")
            for each in files.first:
                if each.reason is reason:
                    click.echo(f"  {each.name}")
        if files.unnamed:
            click.echo(f"  and {files.unnamed:,} more that are not ingested.")


def _open(context: Context) -> "Lake":
    context.require_registry()
    return open_lake(context)


def _open_sound(context: Context) -> "Lake":
    """Return the lake, where it fits the registry."""
    with context.registry() as registry:
        context.require_sound_lake(registry)
    return open_lake(context)
