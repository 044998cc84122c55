"""What a pull of a source would do, as text and as JSON: no row is read for it."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from experiment_pipeline.domain.source_ranges import RangeContent, SourceProgress
from experiment_pipeline.domain.sources import Source
from experiment_pipeline.domain.texts import printable

if TYPE_CHECKING:
    from experiment_pipeline.sources.pull import PlannedPull

NAMED = 10  # files


def print_plan(source: Source, plan: "PlannedPull", progress: SourceProgress | None) -> None:
    """Print what would be read, and what would be removed."""
    for line in _lines(source, plan, progress):
        click.echo(f"Source {source.key}: {line}")
    for file in islice((file for content in plan.contents for file in content.files), NAMED):
        click.echo(f"  {printable(file.path)}, {file.bytes:,} bytes")
    more = sum(len(content.files) for content in plan.contents) - NAMED
    if more > 0:
        click.echo(f"  and {more:,} more")
    click.echo("This was a dry run: no row was read, nothing has landed.")


def plan_as_json(source: Source, plan: "PlannedPull", progress: SourceProgress | None) -> dict[str, Any]:
    """Return the same for JSON."""
    brought = 0 if progress is None else progress.records
    return {
        "source": source.key,
        "environment": source.environment_key,
        "version": source.version,
        "dry_run": True,
        "finishes_range": None if plan.finished is None else plan.finished.number,
        "removes_records": brought if plan.replaces else 0,
        "ranges": [_as_json(content) for content in plan.contents],
    }


def _lines(source: Source, plan: "PlannedPull", progress: SourceProgress | None) -> Iterator[str]:
    if plan.finished is not None:
        yield f"would finish range {plan.finished.number}, which a pull that was interrupted has left."
    if plan.replaces:
        brought = "nothing yet" if progress is None else f"{progress.records:,} records of {progress.ranges:,} ranges"
        yield f"would remove what it has brought ({brought}), and put what it reads now in its place."
    if not plan.contents:
        yield "nothing is new."
    elif files := [file for content in plan.contents for file in content.files]:
        size = sum(file.bytes for file in files)
        yield f"would read {len(files):,} files of {size:,} bytes, in {len(plan.contents):,} ranges."
    else:
        yield from (f"would read {_bounds(source, content)}." for content in plan.contents)


def _bounds(source: Source, content: RangeContent) -> str:
    if source.cursor is None or content.until is None:
        return "all rows"
    column, until = printable(source.cursor.column), printable(content.until)
    after = "" if content.after is None else f"after {printable(content.after)} and "
    return f"the rows whose {column} is {after}up to {until}"


def _as_json(content: RangeContent) -> dict[str, Any]:
    return {"files": [file.path for file in content.files], "after": content.after, "until": content.until}
