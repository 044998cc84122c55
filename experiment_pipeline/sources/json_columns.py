"""Columns of JSON lines and their types, from every line: numbers and true/false are such, every other value is text.

A text stays as it is written, be it like a UUID, a date or a time: an identifier is its text, and one time that is none
is rejected with its row. A column of numbers and texts is of texts. Objects and lists keep their form.
"""

import re
from collections.abc import Iterable, Mapping

import duckdb

from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.sources.source_rows import in_double_quotes, in_single_quotes

TEXT = "VARCHAR"
KEPT = {"boolean", "bigint", "ubigint", "hugeint", "uhugeint", "double"}
NUMBERED = re.compile(r"(.+)_[0-9]+", re.DOTALL)


def json_columns(connection: duckdb.DuckDBPyConnection, files: str, field: str) -> Mapping[str, str]:
    """Return the SQL types of the columns of JSON lines, by name; every line is read.

    Args:
        connection: that may read the files.
        files: as a list of SQL.
        field: what names the files, for messages.

    Raises:
        ConfigurationError: two columns differ by the case of their letters only.
    """
    every_line = "format = 'newline_delimited', union_by_name = true, hive_partitioning = false, sample_size = -1"
    rows = connection.sql(f"from read_json({files}, {every_line})")
    columns = {name: _type(kind) for name, kind in zip(rows.columns, rows.types, strict=True)}
    _refuse_renamed(connection, files, columns, field)
    return columns


def _type(kind: object) -> str:
    """Return the type that a column is read as, where DuckDB would read it as this one."""
    name = kind.id  # type: ignore[attr-defined] # DuckDB's classes of types have no stubs
    if name == "struct":
        members = (f"{in_double_quotes(member)} {_type(inner)}" for member, inner in kind.children)  # type: ignore[attr-defined]
        return f"STRUCT({', '.join(members)})"
    if name in {"list", "map"}:
        inner = [_type(inner) for _, inner in kind.children]  # type: ignore[attr-defined]
        return f"{inner[0]}[]" if name == "list" else f"MAP({', '.join(inner)})"
    return str(kind) if name in KEPT else TEXT


def _refuse_renamed(connection: duckdb.DuckDBPyConnection, files: str, columns: Iterable[str], field: str) -> None:
    """Refuse `A` beside `a`: DuckDB tells no case apart, and calls the second one `A_1`, which no line has."""
    lower = {name.lower() for name in columns}
    for name in columns:
        renamed = NUMBERED.fullmatch(name)
        if renamed is None or renamed[1].lower() not in lower:
            continue
        lines = f"read_json({files}, format = 'newline_delimited', columns = {{{in_single_quotes(name)}: 'JSON'}})"
        if not connection.sql(f"from {lines} where {in_double_quotes(name)} is not null limit 1").fetchall():
            message = f"Two keys of the lines differ by the case of their letters only: {quoted(renamed[1])}."
            raise ConfigurationError.of(field, f"{message} Each must have one way to be written.")
