"""What rows become, as text and as JSON: where each field comes from, the first records, what would be rejected."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import click

from experiment_pipeline.cli import landing_report
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.tables import add_row, listing
from experiment_pipeline.domain.row_mapping import PROPERTIES, RowMapping
from experiment_pipeline.domain.texts import printable, quoted, shortened

if TYPE_CHECKING:
    from experiment_pipeline.sources.not_numbers import NotNumbers
    from experiment_pipeline.sources.row_records import Judged

EXAMPLE_SHOWN = 40  # characters of a value that is no number
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
    print_not_numbers(judged.not_numbers)


def print_not_numbers(found: "NotNumbers") -> None:
    """Say how many values are no numbers, where there are any, and what that means for metrics."""
    if found.example is not None:
        such = quoted(shortened(found.example, EXAMPLE_SHOWN))
        click.echo(
            f"{found.count:,} of {found.values:,} values are no numbers, such as {such}: sums, means and quantiles "
            "leave them out, and above 1 % there is no verdict (rule E5)."
        )


def judged_as_json(judged: "Judged") -> dict[str, Any]:
    """Return the same for JSON."""
    first = list(judged.first[:SHOWN])
    rejected, unreadable = judged.rejected, judged.not_numbers.count
    return {"judged": judged.records, "rejected": rejected, "not_numbers": unreadable, "first": first}
