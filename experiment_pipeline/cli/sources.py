"""`experiment-pipeline sources`."""

import json
import os
from contextlib import closing, suppress
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from experiment_pipeline.cli import landing_report, options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.late_events import count_late, late_as_json, print_late
from experiment_pipeline.cli.mapping_report import (
    JUDGED,
    judged_as_json,
    print_judged,
    print_mapping,
    print_not_numbers,
)
from experiment_pipeline.cli.pull_plan import plan_as_json, print_plan
from experiment_pipeline.cli.repair import ingest_landed, open_lake, progress_bar
from experiment_pipeline.cli.tables import add_row, listing, plain
from experiment_pipeline.domain.fields import Moment, validated
from experiment_pipeline.domain.sources import Source
from experiment_pipeline.domain.texts import printable, shortened
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.storage.places import places_of
from experiment_pipeline.times import format_duration, iso_utc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from rich.progress import Progress, TaskID

    from experiment_pipeline.domain.source_ranges import SourceFailure, SourceProgress, SourceRange
    from experiment_pipeline.registry.registry import Registry
    from experiment_pipeline.sources.not_numbers import NotNumbers
    from experiment_pipeline.sources.pull import OnBatch, Pull, Ranges
    from experiment_pipeline.sources.row_records import OnValues

CELL = 40  # characters of a value that `preview` shows


@click.group()
def sources() -> None:
    """List, check and read the sources that a manifest declares."""


@sources.command("list")
@options.any_environment
@options.as_json
@click.pass_obj
def list_sources(context: Context, environment: str | None, as_json: bool) -> None:
    """List every source, how far it has been read, what of its files is unread, and why its last pull failed.

    No database is asked; `sources check` does.

    \b
    Example:
      experiment-pipeline sources list --environment prod
    """
    with context.registry() as registry:
        known, progress = registry.sources.list(environment), registry.source_ranges.progress()
        failures = registry.source_ranges.failures()
        positions = {each.key: _position(registry, each) for each in known}
    if as_json:
        listed = [_as_json(each, progress.get(each.key)) | positions[each.key] for each in known]
        failed = [_failure_as_json(failures.get(each.key)) for each in known]
        click.echo(json.dumps([each | {"failure": why} for each, why in zip(listed, failed, strict=True)], indent=2))
        return
    names = ("SOURCE", "ENVIRONMENT", "READS", "VERSION", "EVERY", "LAST READ", "ROWS", "RECORDS")
    table = listing(*names, "READ UNTIL", "UNREAD FILES")
    for each in known:
        read = progress.get(each.key)
        counts = ("never", "", "") if read is None else (iso_utc(read.landed_at), f"{read.rows:,}", f"{read.records:,}")
        every = "" if each.every is None else format_duration(each.every)
        position = ("" if value is None else str(value) for value in positions[each.key].values())
        add_row(table, each.key, each.environment_key, _reads(each), str(each.version), every, *counts, *position)
    context.wide_console.print(table)
    for each in known:
        if (failure := failures.get(each.key)) is not None:
            told = f"The last pull of {each.key} failed at {iso_utc(failure.at)}: {failure.message}"
            context.wide_console.print(plain(told, style="red"), soft_wrap=True)


@sources.command("check")
@click.argument("name")
@options.as_json
@click.pass_obj
def check_source(context: Context, name: str, as_json: bool) -> None:
    """Read the first rows of the source NAME, and show the events that they become; nothing lands.

    A column that is missing or of a wrong type, or a time without a zone, is refused with exit code 2.

    \b
    Example:
      experiment-pipeline sources check orders
    """
    from experiment_pipeline.sources.column_types import in_words
    from experiment_pipeline.sources.pull import naming, row_records

    with context.registry() as registry:
        source = registry.sources.find(name)
        ranges = _ranges(registry, source)
        read = registry.source_ranges.read_so_far(name)
    with naming(name):
        state = ranges.state(read)
        with closing(ranges.sample()) as rows:
            records = row_records(source)
            records.check(rows.schema)
            judged = records.judge(rows.first(JUDGED))
    if as_json:
        columns = {column: in_words(dtype) for column, dtype in rows.schema.items()}
        click.echo(json.dumps(_named(source) | {**state, "columns": columns} | judged_as_json(judged), indent=2))
        return
    click.echo(f"Source {name} of {source.environment_key}, version {source.version}: {printable(_reads(source))}")
    click.echo(_state_line(state))
    for mapping in source.mappings:
        print_mapping(context, mapping)
    print_judged(judged)


@sources.command("preview")
@click.argument("name")
@click.option("--rows", "number", default=10, show_default=True, type=click.IntRange(1, 1_000), help="Rows to show.")
@options.as_json
@click.pass_obj
def preview_source(context: Context, name: str, number: int, as_json: bool) -> None:
    """Show the first rows of the source NAME as they are, with the types of their columns; nothing lands.

    \b
    Example:
      experiment-pipeline sources preview orders --rows 3
    """
    from experiment_pipeline.sources.column_types import in_words
    from experiment_pipeline.sources.pull import naming

    with context.registry() as registry:
        ranges = _ranges(registry, registry.sources.find(name))
    with naming(name), closing(ranges.sample()) as rows:
        first, schema = rows.first(number), rows.schema
    if as_json:
        columns = {column: in_words(dtype) for column, dtype in schema.items()}
        click.echo(json.dumps({"source": name, "columns": columns, "rows": first.to_dicts()}, indent=2, default=str))
        return
    table = listing(*(printable(f"{column} ({in_words(dtype)})") for column, dtype in schema.items()))
    for row in first.iter_rows():
        add_row(table, *("" if value is None else shortened(str(value), CELL) for value in row))
    context.wide_console.print(table)


@sources.command("pull")
@click.argument("name")
@click.option("--since", metavar="TIME", help="Leave what is older, such as 2026-11-01T00:00:00Z.")
@click.option("--again", is_flag=True, help="Read everything anew, in the place of what the source has brought.")
@click.option("--dry-run", is_flag=True, help="Say what would be read and removed; read no row.")
@options.as_json
@click.pass_obj
def pull_source(context: Context, name: str, *, since: str | None, again: bool, dry_run: bool, as_json: bool) -> None:
    """Land what is new of the source NAME, and ingest it. Every row counts once, however often this is run or killed.

    \b
    Examples:
      experiment-pipeline sources pull orders
      experiment-pipeline sources pull orders --since 2026-11-01T00:00:00Z
      experiment-pipeline sources pull orders --again --dry-run
    """
    if again and since is not None:
        raise ConfigurationError.of("--since", "Cannot be combined with --again, which replaces everything.")
    start: datetime | None = None if since is None else validated(Moment, since, "--since")
    if dry_run:
        with context.registry() as registry:
            source = registry.sources.find(name)
            plan = _pull_of(context, registry, source).plan(start, again=again)
            progress_of = registry.source_ranges.progress().get(name)
        if as_json:
            click.echo(json.dumps(plan_as_json(source, plan, progress_of), indent=2))
        else:
            print_plan(source, plan, progress_of)
        return
    lake = open_lake(context)
    with context.registry() as registry:
        context.require_sound_lake(registry)
        source = registry.sources.find(name)
        with progress_bar(context, "rows") as progress:
            bar = progress.add_task("Reading", total=None)
            show, values = partial(_show, progress, bar), Values()
            landed = pull(context, registry, source, on_batch=show, on_values=values.add, since=start, again=again)
        report = ingest_landed(context, registry, lake)
        late = count_late(context, registry, lake)
    if as_json:
        counts = _named(source) | {"ranges": [_range_as_json(each) for each in landed]}
        counts |= {"not_numbers": values.not_numbers}
        click.echo(json.dumps(counts | landing_report.report_as_json(report) | late_as_json(late), indent=2))
        return
    _print_landed(source, landed)
    landing_report.print_report(report)
    values.print()
    print_late(late)


class Values:
    """The values that a pull has landed, of which some may be no numbers."""

    _found: "NotNumbers | None" = None

    def add(self, found: "NotNumbers") -> None:
        """Count those of some records."""
        self._found = found if self._found is None else self._found + found

    @property
    def not_numbers(self) -> int:
        """How many are no numbers."""
        return 0 if self._found is None else self._found.count

    def print(self) -> None:
        """Say how many are no numbers, where there are any."""
        if self._found is not None:
            print_not_numbers(self._found)


def pull(
    context: Context,
    registry: "Registry",
    source: Source,
    *,
    on_batch: "OnBatch" = lambda _planned, _rows: None,
    on_values: "OnValues" = lambda _found: None,
    since: "datetime | None" = None,
    again: bool = False,
) -> "list[SourceRange]":
    """Land what is new of a source, and return the ranges that have landed."""
    one = _pull_of(context, registry, source)
    return replace(one, on_batch=on_batch, on_values=on_values).run(since, again=again)


def _pull_of(context: Context, registry: "Registry", source: Source) -> "Pull":
    from experiment_pipeline.sources.pull import Pull

    ranges = _ranges(registry, source)
    return Pull(source, ranges, registry.source_ranges, places_of(context.settings).landing, lambda: context.now)


def _show(progress: "Progress", bar: "TaskID", planned: "SourceRange", rows: int) -> None:
    progress.update(bar, description=f"Range {planned.number}", advance=rows)


def _ranges(registry: "Registry", source: Source) -> "Ranges":
    from experiment_pipeline.sources.pull import open_ranges

    return open_ranges(source, registry.connections.of(source), os.environ)


def _position(registry: "Registry", source: Source) -> dict[str, Any]:
    """Return up to which value the cursor has been read, and how many files have not; each None where there is none."""
    read = registry.source_ranges.read_so_far(source.key)
    unread = None
    if source.files is not None:
        with suppress(ConfigurationError):  # `sources check` says what is wrong with them
            unread = _ranges(registry, source).state(read)["unread"]
    return {"read_until": None if source.files is not None else read.until, "unread_files": unread}


def _state_line(state: "Mapping[str, int | str | None]") -> str:
    """Return how far a source has been read: its files, or its cursor."""
    if "files" in state:
        return f"{state['files']:,} files, {state['unread']:,} of them new or changed."
    if not state:
        return "It has no cursor: every pull reads all rows, and rows that it has read before count once."
    read = (
        "nothing has been read" if state["read_until"] is None else f"rows up to {state['read_until']} have been read"
    )
    return printable(f"The cursor's largest value is {state['newest'] or 'none: there are no rows'}; {read}.")


def _reads(source: Source) -> str:
    return source.files if source.files is not None else f"connection {source.connection}"


def _named(source: Source) -> dict[str, Any]:
    return {"source": source.key, "environment": source.environment_key, "version": source.version}


def _as_json(source: Source, progress: "SourceProgress | None") -> dict[str, Any]:
    read = None if progress is None else asdict(progress) | {"landed_at": iso_utc(progress.landed_at)}
    every = None if source.every is None else format_duration(source.every)
    return _named(source) | {"files": source.files, "connection": source.connection, "every": every, "read": read}


def _failure_as_json(failure: "SourceFailure | None") -> dict[str, str] | None:
    return None if failure is None else {"at": iso_utc(failure.at), "message": failure.message}


def _range_as_json(landed: "SourceRange") -> dict[str, Any]:
    return {
        "number": landed.number,
        "name": landed.name,
        "files": [file.path for file in landed.files],
        "after": landed.after,
        "until": landed.until,
        "rows": landed.rows,
        "records": landed.records,
    }


def _print_landed(source: Source, landed: "list[SourceRange]") -> None:
    if not landed:
        click.echo(f"Source {source.key}: nothing is new.")
    for each in landed:
        rows = "rows that an earlier pull has landed" if each.rows is None else f"{each.rows:,} rows"
        read = "" if source.cursor is None or each.until is None else f", up to {printable(each.until)}"
        files = f"{len(each.files):,} files, " if each.files else ""
        click.echo(f"Source {source.key}: {files}{rows}, {each.records:,} records{read}.")
