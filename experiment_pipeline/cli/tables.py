"""Tables in a terminal. What other people wrote stands there as it is: neither as markup nor as an escape sequence."""

from rich.table import Table
from rich.text import Text

from experiment_pipeline.domain.texts import printable


def listing(*headings: str) -> Table:
    """Return an empty table with these headings."""
    return Table(*headings, box=None, pad_edge=False, header_style="dim")


def plain(text: str, style: str = "") -> Text:
    """Return a text of somebody else for a table or a line."""
    return Text(printable(text), style=style)


def add_row(table: Table, *texts: str) -> None:
    """Add a row of texts, whoever wrote them."""
    table.add_row(*map(plain, texts))
