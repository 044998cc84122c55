"""`experiment-pipeline lake`."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from experiment_pipeline.cli import landing_report, options
from experiment_pipeline.cli.answers import answer
from experiment_pipeline.cli.compaction import compaction_as_json, print_compaction, print_removed, removed_as_json
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.expiry import expiry_as_json, expiry_line
from experiment_pipeline.cli.late_events import count_late, late_as_json, print_late
from experiment_pipeline.cli.look_tables import look_tables
from experiment_pipeline.cli.repair import ingest_landed, open_lake, progress_bar, repair
from experiment_pipeline.cli.tables import add_row, listing
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.storage.places import places_of

if TYPE_CHECKING:
    from experiment_pipeline.domain.removed_rows import RemovedRows
    from experiment_pipeline.lake.inspection import Partition
    from experiment_pipeline.lake.lake import Lake
    from experiment_pipeline.lake.soundness import Finding
    from experiment_pipeline.landing.landing_state import LandingState
    from experiment_pipeline.registry.registry import Registry

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
    """Show what the lake holds, whether it lacks anything, what waits to be ingested, and what is passed over."""
    from experiment_pipeline.lake.ingestion import landing_state
    from experiment_pipeline.lake.inspection import partitions
    from experiment_pipeline.lake.soundness import find_flaw
    from experiment_pipeline.landing.segments import strays

    settings = context.settings
    with context.registry() as registry:
        version = registry.batches.lake_version().data_version
        finding = find_flaw(places_of(settings).lake, registry.batches)
        state = landing_state(registry.batches, places_of(settings).landing)
        removed = _removed_rows(context, registry)
    parts = partitions(_open(context), context.now)
    left = [printable(str(path)) for path in strays(settings.segments_dir)]
    if as_json:
        found = _as_json(version, finding, state, parts, left) | {"removed": removed_as_json(removed)}
        click.echo(json.dumps(found, indent=2))
        return
    _print_partitions(context, parts)
    click.echo(f"Data version {version}. {_waits(state)}")
    print_removed(removed)
    if finding is not None:
        click.echo(finding.message)
    for name in left:
        click.echo(f"Not a segment, left alone in the landing zone: {name}")
    landing_report.print_left_out(state.unreadable, state.ignored)
    landing_report.print_changed(state.changed)


@lake.command()
@click.option(
    "--again", metavar="FILE", help="Read a file that has changed since it was ingested, as a batch of its own."
)
@options.as_json
@click.pass_obj
def ingest(context: Context, again: str | None, as_json: bool) -> None:
    """Ingest every landing object that is not in the lake yet, as the `events` asset does.

    A file that changed after it was ingested is read again on request alone. Records that are in the lake already count
    once; those that were changed in the file, or taken out of it, stay as they were.

    \b
    Example:
      experiment-pipeline lake ingest --again data/landing/events/env_key=production/a.jsonl
    """
    if again is not None:
        _ingest_again(context, again, as_json=as_json)
        return
    with context.registry() as registry:
        opened = _open(context)
        report = ingest_landed(context, registry, opened)
        late = count_late(context, registry, opened)
    if as_json:
        click.echo(json.dumps(landing_report.report_as_json(report) | late_as_json(late), indent=2))
        return
    landing_report.print_report(report)
    print_late(late)


@lake.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="How many, newest first.")
@click.option("--reason", metavar="REASON", help="Of this reason alone, e.g. unknown_environment or bad_type.")
@click.option("--retry", is_flag=True, help="Take in again, as a batch, what is accepted now.")
@dry_run
@options.as_json
@click.pass_obj
def rejected(context: Context, *, limit: int, reason: str | None, retry: bool, dry_run: bool, as_json: bool) -> None:
    """Show the latest rejected records, with the reason and the landing object of each.

    Once the cause is gone (the environment exists, landing_timezone is set), --retry takes in again what would be
    accepted now. It counts once, whatever was taken in before.

    \b
    Examples:
      experiment-pipeline lake rejected --limit 5 --json
      experiment-pipeline lake rejected --retry --reason unknown_environment --dry-run
    """
    from experiment_pipeline.lake.inspection import latest_rejected

    if retry:
        _retry(context, reason, dry_run=dry_run, as_json=as_json)
        return
    if dry_run:
        raise ConfigurationError.of("--dry-run", "goes with --retry.")
    with context.registry() as registry:
        found = latest_rejected(_open(context), registry.batches.retried_records(), limit, reason)
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2, default=datetime.isoformat))
        return
    if not found:
        click.echo("Nothing is rejected." if reason is None else f"Nothing is rejected as {printable(reason)}.")
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
    """Drop removed rows that are over, and merge small files into few large ones, sorted for analysis.

    Removed rows are over when their removal is older than EXPERIMENT_PIPELINE_REMOVED_KEEP and no experiment may still
    read a data version before it. Small files of the tables of looks are merged, too. Safe beside readers and writers.

    \b
    Example:
      experiment-pipeline lake compact --dry-run
    """
    from experiment_pipeline.lake import compaction, dropping

    with context.registry() as registry:
        context.require_sound_lake(registry)
        limit = registry.data_versions.drop_limit(context.now - context.settings.removed_keep).batch
        recent_after = registry.data_versions.drop_limit(context.now - compaction.SEPARABLE_FOR).aged
        tables = look_tables(context, registry)
    opened = open_lake(context)
    drops = dropping.planned_drops(opened, limit)
    rewritten = {each for drop in drops for each in drop.partitions}
    planned = compaction.planned(opened, context.now, whole=whole, recent_after=recent_after)
    merges = [merge for merge in planned if (merge.environment_key, merge.month) not in rewritten]
    if not dry_run:
        with progress_bar(context, "partitions") as progress:
            bar = progress.add_task("Compacting", total=len(drops) + len(merges))
            drops = dropping.drop_removed(opened, limit, on_dropped=lambda _: progress.advance(bar))
            merges = compaction.compact(
                opened,
                context.now,
                whole=whole,
                recent_after=recent_after,
                on_merged=lambda _: progress.advance(bar),
            )
        tables.compact()
    if as_json:
        click.echo(json.dumps(compaction_as_json(drops, merges, dry_run=dry_run), indent=2))
    else:
        print_compaction(drops, merges, dry_run=dry_run)


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
    """Drop what environments keep no longer, and delete files that were replaced or that a killed writer left behind.

    An environment's `keep` is declared in a manifest. Months that an experiment still needs stay. The files of dropped
    months are deleted once they are older than the retention.
    """
    from experiment_pipeline.lake.retention import expire, planned_expiry

    retention, opened = timedelta(hours=retention_hours), open_lake(context)
    with context.registry() as registry:
        context.require_sound_lake(registry)
        tables, keeps = look_tables(context, registry), registry.retentions.list(context.now)
        expired = [(each, (planned_expiry if dry_run else expire)(opened, each)) for each in keeps]
        removed = [*opened.vacuum(retention, dry_run=dry_run), *tables.vacuum(retention, dry_run=dry_run)]
    would = "would be " if dry_run else ""
    lines = [expiry_line(kept, gone, would) for kept, gone in expired]
    found = {"dry_run": dry_run, "files": len(removed), "expired": [expiry_as_json(*each) for each in expired]}
    answer("\n".join([*lines, f"{len(removed):,} files {would}deleted."]), found, as_json=as_json)


def _as_json(
    version: int, finding: "Finding | None", state: "LandingState", parts: "list[Partition]", strays: list[str]
) -> dict[str, Any]:
    batches = [] if finding is None else list(finding.batches)
    return {
        "data_version": version,
        "sound": finding is None,
        "flaw": None if finding is None else {**asdict(finding), "flaw": finding.flaw.value, "batches": batches},
        "landing_objects_wait": state.waits,
        "unreadable": landing_report.left_out_as_json(state.unreadable),
        "ignored": landing_report.left_out_as_json(state.ignored),
        "changed": landing_report.left_out_as_json(state.changed),
        "strays": strays,
        "partitions": [asdict(part) for part in parts],
    }


def _removed_rows(context: Context, registry: "Registry") -> "RemovedRows":
    """Return the removed rows that the lake stores, and when they go."""
    from experiment_pipeline.domain.removed_rows import RemovedRows
    from experiment_pipeline.lake.dropping import rows_by_removing_batch

    rows, keep = rows_by_removing_batch(_open(context)), context.settings.removed_keep
    limit = registry.data_versions.drop_limit(context.now - keep)
    later = [batch for batch in rows if batch > limit.aged]
    committed_at = registry.data_versions.committed_at(min(later)) if later else None
    return RemovedRows.of(rows, limit, committed_at and committed_at + keep)


def _ingest_again(context: Context, name: str, *, as_json: bool) -> None:
    from experiment_pipeline.lake.rereading import read_again

    settings, opened = context.settings, _open(context)
    with context.registry() as registry:
        found = read_again(
            opened,
            registry.batches,
            places_of(settings).landing,
            name,
            context.now,
            timezone=settings.landing_timezone,
        )
        late = count_late(context, registry, opened)
    if as_json:
        click.echo(json.dumps(landing_report.reread_as_json(found) | late_as_json(late), indent=2))
        return
    landing_report.print_reread(found)
    print_late(late)


def _retry(context: Context, reason: str | None, *, dry_run: bool, as_json: bool) -> None:
    from experiment_pipeline.lake.retrying import Retrying

    settings, opened = context.settings, _open(context)
    with context.registry() as registry:
        retrying = Retrying(
            opened,
            registry.batches,
            places_of(settings).landing,
            context.now,
            reason=reason,
            timezone=settings.landing_timezone,
        )
        found = retrying.plan() if dry_run else retrying.run()
        late = {} if dry_run else count_late(context, registry, opened)
    if as_json:
        click.echo(json.dumps(landing_report.retry_as_json(found, dry_run=dry_run) | late_as_json(late), indent=2))
        return
    landing_report.print_retry(found, dry_run=dry_run)
    print_late(late)


def _print_partitions(context: Context, parts: "list[Partition]") -> None:
    table = listing("environment", "month")
    has_removed = any(part.removed for part in parts)
    for heading in ("events", *(["removed"] if has_removed else []), "files", "unmerged", "MB"):
        table.add_column(heading, justify="right")
    for part in parts:
        removed = (f"{part.removed:,}",) if has_removed else ()
        counts = (f"{part.events:,}", *removed, f"{part.files:,}", f"{part.unmerged:,}", f"{part.bytes / 1e6:,.1f}")
        add_row(table, part.environment_key, part.month, *counts)
    if table.row_count:
        context.wide_console.print(table)


def _waits(state: "LandingState") -> str:
    if state.waits:
        return "There are landing objects to ingest."
    if state.unreadable.count:
        return "Every readable landing object is ingested."
    if state.ignored.count:
        return f"Every landing object is ingested, and {state.ignored.count:,} files or folders are passed over."
    return "Every landing object is ingested."


def _open(context: Context) -> "Lake":
    context.require_registry()
    return open_lake(context)
