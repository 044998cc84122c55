"""Run to write the columns into docs/tables.md: `python -m tests.docs.tables_page`."""

import re

from experiment_pipeline.results.published_tables import PUBLISHED_TABLES, PublishedTable
from experiment_pipeline.results.results_table import ColumnType
from tests.docs.pages import ROOT

PAGE = ROOT / "docs/tables.md"
TYPES = {
    ColumnType.TEXT: "text",
    ColumnType.WHOLE: "whole number",
    ColumnType.NUMBER: "number",
    ColumnType.TRUTH: "true or false",
    ColumnType.TIME: "time",
}
SECTION = re.compile(r"(?<=<!-- columns -->\n).*(?=<!-- end of columns -->)", re.DOTALL)


def sections() -> str:
    """Return the section of every table."""
    return "\n".join(map(_section, PUBLISHED_TABLES))


def _section(table: PublishedTable) -> str:
    rows = (f"| `{column.name}` | {TYPES[column.type]} | {column.description} |" for column in table.columns)
    key = ", ".join(f"`{name}`" for name in table.key)
    lines = (f"### {table.name}", "", table.description, f"No two rows have the same {key}.", "")
    return "\n".join((*lines, "| column | type | |", "| --- | --- | --- |", *rows, ""))


if __name__ == "__main__":
    text = PAGE.read_text("utf-8")
    PAGE.write_text(SECTION.sub(lambda _: sections(), text), "utf-8")
