"""`experiment-pipeline tables`."""

import json
from typing import TYPE_CHECKING, Any

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.answers import answer
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.repair import progress_bar
from experiment_pipeline.cli.tables import add_row, listing
from experiment_pipeline.domain.table_batches import WRITE_INTERVAL, OutboxState
from experiment_pipeline.errors import ExperimentPipelineError
from experiment_pipeline.storage.places import places_of

if TYPE_CHECKING:
    from experiment_pipeline.registry.registry import Registry
    from experiment_pipeline.tables.writer import LookTables, TableWrite

dry_run = click.option("--dry-run", is_flag=True, help="Show what would be written, and change nothing.")


@click.group()
def tables() -> None:
    """Show and write the Delta tables of all looks: results, looks, exposures_timeseries, health.

    They lie in the folder `tables` of the data directory, for Polars, DuckDB, Spark and others; docs/tables.md has
    their columns. A running daemon writes them once a minute at most, where something was published.
    """


@tables.command()
@options.as_json
@click.pass_obj
def status(context: Context, as_json: bool) -> None:
    """Show what the tables hold, and how many publications wait to be written.

    \b
    Example:
      experiment-pipeline tables status
    """
    from experiment_pipeline.results.published_tables import PUBLISHED_TABLES

    with context.registry() as registry:
        opened = look_tables(context, registry)
        state, rows, held = opened.outbox.state(), opened.row_counts(), opened.held_batches()
        fits = state.fits(held)
    if as_json:
        found = {name: {"batch": held[name], "rows": rows[name]} for name in held}
        click.echo(json.dumps({"folder": str(opened.folder), "tables": found, **_as_json(state, fits=fits)}, indent=2))
        return
    table = listing("table")
    for heading in ("batch", "rows"):
        table.add_column(heading, justify="right")
    for each in PUBLISHED_TABLES:
        add_row(table, each.name, f"{held[each.name]:,}", f"{rows[each.name]:,}")
    context.wide_console.print(table)
    click.echo(_waits(state, fits=fits))


@tables.command()
@dry_run
@options.as_json
@click.pass_obj
def write(context: Context, *, dry_run: bool, as_json: bool) -> None:
    """Write what was published and is not in the tables yet, at most once a minute.

    Tables that are new, or that lost something, are written anew as a whole.

    \b
    Examples:
      experiment-pipeline tables write --dry-run
      experiment-pipeline tables write
    """
    with context.registry() as registry:
        opened = look_tables(context, registry)
        state = opened.outbox.state()
        if dry_run:
            fits = state.fits(opened.held_batches())
            answer(_waits(state, fits=fits), {"dry_run": True, **_as_json(state, fits=fits)}, as_json=as_json)
            return
        with progress_bar(context, "looks") as progress:
            bar = progress.add_task("Writing", total=None)
            done = opened.write(context.now, on_looks=lambda at, of: progress.update(bar, completed=at, total=of))
    _print_written(done, as_json=as_json)


@tables.command()
@dry_run
@options.as_json
@click.pass_obj
def rebuild(context: Context, *, dry_run: bool, as_json: bool) -> None:
    """Write every look that was ever published anew, in the place of what the tables hold.

    Readers see the former rows of a table until all of the new ones are there. For looks of before an upgrade that
    added columns, and for tables that somebody has changed.

    \b
    Examples:
      experiment-pipeline tables rebuild --dry-run
      experiment-pipeline tables rebuild
    """
    with context.registry() as registry:
        opened = look_tables(context, registry)
        if dry_run:
            looks, rows = opened.outbox.count_looks(), opened.row_counts()
            text = f"{looks:,} looks would be written, in the place of {sum(rows.values()):,} rows."
            answer(text, {"dry_run": True, "looks": looks, "rows": rows}, as_json=as_json)
            return
        with progress_bar(context, "looks") as progress:
            bar = progress.add_task("Rebuilding", total=None)
            done = opened.rebuild(context.now, on_looks=lambda at, of: progress.update(bar, completed=at, total=of))
    _print_written(done, as_json=as_json)


def write_published(context: Context) -> None:
    """Write what was just published, where the last write is a minute ago; an error of the tables is only told.

    A refresh that has published succeeds: what is not written waits for the next write.
    """
    try:
        with context.registry() as registry:
            look_tables(context, registry).write(context.now)
    except (ExperimentPipelineError, OSError) as error:
        click.echo(f"The tables of all looks are not written yet: {error}", err=True)


def look_tables(context: Context, registry: "Registry") -> "LookTables":
    """Return the tables of the installation."""
    from experiment_pipeline.tables.writer import LookTables

    return LookTables(places_of(context.settings).tables, registry.table_outbox)


def _waits(state: OutboxState, *, fits: bool) -> str:
    if state.newest is None and not state.has_published:
        return "Nothing was published yet."
    if state.is_interrupted:
        return "A write was interrupted: the next one finishes it."
    if not fits:
        return "The tables lack what was written before, or are new: the next write writes every look anew."
    return f"{state.waiting:,} publications wait." if state.waiting else "Everything that was published is in them."


def _as_json(state: OutboxState, *, fits: bool) -> dict[str, Any]:
    return {"waiting": state.waiting, "interrupted": state.is_interrupted, "complete": fits and not state.waiting}


def _print_written(done: "TableWrite", *, as_json: bool) -> None:
    if done.batch is None:
        seconds = WRITE_INTERVAL.total_seconds()
        text = "Everything that was published is in the tables."
        if done.waiting:
            text = f"{done.waiting:,} publications wait: the tables are written once in {seconds:.0f} s at most."
    else:
        rows = ", ".join(f"{count:,} of {name}" for name, count in done.rows.items())
        text = f"{done.looks:,} looks written: rows: {rows}." if rows else f"{done.looks:,} looks written."
    answer(text, {"looks": done.looks, "rows": done.rows, "waiting": done.waiting}, as_json=as_json)
