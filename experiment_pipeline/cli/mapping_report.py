"""What rows become, as text and as JSON: where each field comes from, the first records, what would be rejected."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import click

from experiment_pipeline.cli import landing_report
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.tables import add_row, listing
from experiment_pipeline.domain.row_mapping import PROPERTIES, RowMapping
from experiment_pipeline.domain.texts import printable

if TYPE_CHECKING:
    from experiment_pipeline.sources.row_records import Judged

SHOWN, JUDGED = 10, 1_000  # records that are shown, and rows that are judged, before anything lands


def print_mapping(context: Context, mapping: RowMapping, guessed: Collection[str] = ()) -> None:
    """Print where each field of a mapping comes from."""
    table = listing("FIELD", "IS", "")
    for name, field in mapping.fields():
        maps = ", ".join(f"{text} is {meaning}" for text, meaning in (field.map or {}).items())
        source = f"column {field.column}" if field.column is not None else f"always {field.constant}"
        add_row(table, name, source, "; ".join(filter(None, [maps, "guessed" if name in guessed else ""])))
    for name in PROPERTIES:
        if columns := getattr(mapping, name):
            add_row(table, name, f"columns {', '.join(columns)}", "")
    context.console.print(table)


def print_judged(judged: "Judged") -> None:
    """Print the first records, and what ingestion would reject."""
    click.echo("The first records:")
    for text in judged.first[:SHOWN]:
        click.echo(f"  {printable(text)}")
    rejected = sum(judged.rejected.values())
    click.echo(f"Of the first {judged.records:,} records {rejected:,} would be rejected.")
    landing_report.print_reasons(judged.rejected)


def judged_as_json(judged: "Judged") -> dict[str, Any]:
    """Return the same for JSON."""
    return {"judged": judged.records, "rejected": judged.rejected, "first": list(judged.first[:SHOWN])}
