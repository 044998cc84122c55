"""`experiment-pipeline import`."""

import json
import sys
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from pathlib import Path
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
from experiment_pipeline.cli.repair import ingest_landed, open_lake, progress_bar
from experiment_pipeline.domain.fields import validated
from experiment_pipeline.domain.mapping_texts import GivenMapping, are_exposures, guessed_fields, mapping_of
from experiment_pipeline.domain.row_mapping import PROPERTIES
from experiment_pipeline.domain.sources import OldestDay
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.storage.places import places_of
from experiment_pipeline.times import parse_time_zone

if TYPE_CHECKING:
    from datetime import date

    from experiment_pipeline.registry.registry import Registry
    from experiment_pipeline.sources.file_rows import FileRows
    from experiment_pipeline.sources.one_file import FileImport


@click.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--exposures/--events", "exposures", default=None, help="What a row is; guessed when left out.")
@options.environment
@click.option(
    "--as", "fields", multiple=True, metavar="FIELD=COLUMN", help="The column that a field is in, or its value."
)
@click.option(
    "--map", "maps", multiple=True, metavar="FIELD:TEXT=TEXT", help="Another text for one of a column's values."
)
@click.option("--unit", type=click.Choice(["s", "ms", "us", "ns"]), help="Of timestamps that are whole numbers.")
@click.option("--timezone", metavar="ZONE", help="Of timestamps without one, such as UTC or Europe/Berlin.")
@click.option("--oldest", metavar="DATE", help="The first day of data from before 2020, such as 2015-01-01.")
@click.option("--dry-run", is_flag=True, help="Show what the rows would become, and change nothing.")
@options.yes
@options.as_json
@click.pass_obj
def import_file(
    context: Context,
    file: Path,
    *,
    exposures: bool | None,
    environment: str | None,
    fields: tuple[str, ...],
    maps: tuple[str, ...],
    unit: str | None,
    timezone: str | None,
    oldest: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Import a FILE of rows (Parquet, CSV, JSON lines) as events, and ingest them. The same file counts once.

    Fields: event, feature, variant, identifier, timestamp, value, event_id; traits and metadata take several columns
    with commas between them. What is not given is guessed from the names of the columns, shown, and asked about.
    A text that names no column is the value itself, for event, feature and a timestamp such as 2026-01-05T00:00:00Z.

    \b
    Examples:
      experiment-pipeline import assignments.csv --exposures --as feature=button --as identifier=user_id \\
        --as variant=group --as timestamp=assigned_at --map variant:0=control --map variant:1=larger
      experiment-pipeline import orders.parquet --events --as event=purchased --as value=amount --timezone UTC --dry-run
    """
    from experiment_pipeline.sources.file_rows import FileRows
    from experiment_pipeline.sources.one_file import FileImport

    if timezone is not None:
        _check_time_zone(timezone)
    first_day: date | None = None if oldest is None else validated(OldestDay, oldest, "--oldest")
    with closing(FileRows([file])) as opened:
        columns = list(opened.schema)
    kind = are_exposures(columns) if exposures is None else exposures
    given = GivenMapping(_pairs("--as", fields), _maps(maps), {} if unit is None else {"timestamp": unit})
    guessed = guessed_fields(given.fields, columns, exposures=kind)
    complete = GivenMapping({**guessed, **given.fields}, given.maps, given.units)
    with context.registry() as registry:
        key = context.environment(registry, environment)
        zone = timezone or context.settings.landing_timezone
        request = FileImport(file, mapping_of(complete, columns), key, zone, first_day)
        with closing(request.open()) as rows:
            if not as_json:
                _print_mapping(context, request, rows, guessed)
            if dry_run:
                _print_dry_run(request, rows, as_json=as_json)
                return
            if guessed and not yes:
                _confirm(rows.rows, guessed)
            _import(context, registry, request, rows, as_json=as_json)


def _check_time_zone(name: str) -> None:
    try:
        parse_time_zone(name)
    except ValueError as unknown:
        raise ConfigurationError.of("--timezone", f"{unknown}.") from None


def _pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    """Return `FIELD=COLUMN` by field; of traits and metadata, what is given twice goes together."""
    found: dict[str, str] = {}
    for pair in given:
        name, equals, text = pair.partition("=")
        if not (equals and name and text):
            raise ConfigurationError.of(option, f"Must be FIELD=COLUMN, such as identifier=user_id, got {pair!r}.")
        if name in found and name not in PROPERTIES:
            raise ConfigurationError.of(option, f"'{name}' is given twice.")
        found[name] = f"{found[name]},{text}" if name in found else text
    return found


def _maps(given: Iterable[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for each in given:
        name, colon, pair = each.partition(":")
        text, equals, meaning = pair.partition("=")
        if not (colon and equals and name):
            raise ConfigurationError.of("--map", f"Must be FIELD:TEXT=TEXT, such as variant:0=control, got {each!r}.")
        found.setdefault(name, {})[text] = meaning
    return found


def _print_mapping(context: Context, request: "FileImport", rows: "FileRows", guessed: Collection[str]) -> None:
    """Show where each field comes from, the columns that are not read, and the first records."""
    mapping = request.mapping
    kind = "exposures" if mapping.is_exposure else "events"
    click.echo(f"{rows.rows:,} rows of {printable(request.file.name)} as {kind} of {request.environment_key}:")
    print_mapping(context, mapping, guessed)
    read = {column for _, column in mapping.columns()}
    if unread := [printable(column) for column in rows.schema if column not in read]:
        click.echo(f"Not read: {', '.join(unread)}. Add a column with --as traits=COLUMN or --as metadata=COLUMN.")


def _print_dry_run(request: "FileImport", rows: "FileRows", *, as_json: bool) -> None:
    judged = request.judge_first(rows, JUDGED)
    if as_json:
        document = {"dry_run": True, "rows": rows.rows, **judged_as_json(judged)}
        click.echo(json.dumps(document, indent=2))
        return
    print_judged(judged)
    click.echo("This was a dry run: nothing has landed.")


def _confirm(rows: int, guessed: Mapping[str, str]) -> None:
    """Ask in a terminal whether what was guessed is right."""
    if not sys.stdin.isatty():
        fields = " ".join(f"--as {name}={column}" for name, column in guessed.items())
        message = f"Must be given where fields are guessed and there is no terminal to ask in, or these: {fields}."
        raise ConfigurationError.of("--yes", f"{message} Nothing has landed.")
    if not click.confirm(f"Import {rows:,} rows like this?", err=True):
        click.echo("Nothing has landed.", err=True)
        raise click.exceptions.Exit(2)


def _import(context: Context, registry: "Registry", request: "FileImport", rows: "FileRows", *, as_json: bool) -> None:
    settings, lake = context.settings, open_lake(context)
    context.require_sound_lake(registry)
    with progress_bar(context, "rows") as progress:
        bar = progress.add_task("Reading", total=rows.rows)
        landed = request.land(rows, places_of(settings).landing, lambda number: progress.advance(bar, number))
    report = ingest_landed(context, registry, lake)
    late = count_late(context, registry, lake)
    if as_json:
        counts: dict[str, Any] = {
            "rows": rows.rows,
            "landed": landed.records if landed else 0,
            "landed_before": landed is None,
            "not_numbers": landed.not_numbers.count if landed else None,
        }
        click.echo(json.dumps(counts | landing_report.report_as_json(report) | late_as_json(late), indent=2))
        return
    if landed is None:
        click.echo("This file has landed with this mapping before: its events are in the lake.")
    landing_report.print_report(report)
    if landed is not None:
        print_not_numbers(landed.not_numbers)
    print_late(late)
