"""Rows of a source, whatever its kind: what files and databases give to a pull (rules D1-D3).

A database is asked for its newest cursor first, and then for the rows of a range, in batches of bounded size. A query
that a team wrote becomes a subquery, so that it is read and nothing else.
"""

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import polars as pl
from arro3.core import RecordBatchReader
from typing_extensions import override

from experiment_pipeline.domain.row_mapping import advice
from experiment_pipeline.domain.source_cursors import CursorValue
from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.errors import ConfigurationError

BATCH_ROWS = 65_536
BATCH_BYTES = 16 << 20  # of readers that count bytes
QUERY, CURSOR = "query", "cursor.column"  # the fields of a source that messages name
ONE_SELECT = "Must be one SELECT statement: a source is read, never written."
COMMENTS = ("--", "/*")
_QUOTED_TOKENS = r"""{0}|"(?:""|[^"])*"|`(?:``|[^`])*`|\$(\w*)\$.*?\$\1\$"""
TOKENS = tuple(  # of SQL, as far as a semicolon or a comment may be in them: with and without escapes
    re.compile(rf"{quoted}|--[^\n]*|/\*.*?\*/|\s+|.", re.DOTALL)
    for quoted in (_QUOTED_TOKENS.format(text) for text in (r"'(?:''|[^'])*'", r"'(?:\\.|''|[^'\\])*'"))
)
COMMENTED_END = "\n"  # before a bracket that closes a query, whose last line may be a comment


class SourceRows(Protocol):
    """The rows of a source, or of a range of them.

    Attributes:
        schema: the columns and their types.
    """

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The columns and their types, as `batches` has them."""
        ...

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows, some at a time; memory does not grow with their number."""
        ...

    def first(self, rows: int) -> pl.DataFrame:
        """Return the first rows, of no particular order."""
        ...

    def close(self) -> None:
        """Close what they are read from."""
        ...


@dataclass(frozen=True, slots=True)
class CursorRange:
    """The rows whose cursor is within these bounds; None for no bound.

    Attributes:
        column: the cursor.
        after: exclusive.
        until: inclusive.
    """

    column: str
    after: CursorValue | None = None
    until: CursorValue | None = None

    @property
    def bounds(self) -> list[tuple[str, CursorValue]]:
        """The bounds that there are, each with the operator of SQL that keeps to it."""
        return [(sign, value) for sign, value in ((">", self.after), ("<=", self.until)) if value is not None]


class QueryRows(SourceRows, Protocol):
    """The rows of a query to a database."""

    def newest(self, column: str) -> CursorValue | None:
        """Return the largest cursor of the range; see `Database.newest`."""
        ...


class StreamedRows(QueryRows):
    """The rows of a query whose driver streams them as Arrow batches.

    Attributes:
        _select: the statement of the rows.
        _schema: the columns and their types.
    """

    _select: str
    _schema: Mapping[str, pl.DataType]

    @property
    @override
    def schema(self) -> Mapping[str, pl.DataType]:
        return self._schema

    @override
    def batches(self) -> Iterator[pl.DataFrame]:
        with self._failing(), self._reader(self._select) as reader:
            for batch in reader:
                yield pl.DataFrame(batch)

    @override
    def first(self, rows: int) -> pl.DataFrame:
        return self._frame(f"{self._select} limit {rows}")

    def _frame(self, statement: str) -> pl.DataFrame:
        with self._failing(), self._reader(statement) as reader:
            return pl.DataFrame(reader.read_all())

    @abstractmethod
    def _reader(self, statement: str) -> AbstractContextManager[RecordBatchReader]:
        """Give the batches of a statement."""

    @abstractmethod
    def _failing(self) -> AbstractContextManager[None]:
        """Raise what the driver and its streams raise as an error that names the field, without a secret."""


class Database(Protocol):
    """A database that queries are read from. It holds no connection: each call opens its own."""

    def newest(self, query: str, column: str, until: CursorValue | None = None) -> CursorValue | None:
        """Return the largest cursor of the rows of a query; None where there are no rows.

        Args:
            query: one SELECT statement.
            column: the cursor.
            until: leave out rows whose cursor is larger.

        Raises:
            ConfigurationError: the column is missing, null in a row, or of a type without an order that can be kept.
            SourceUnreachable: the connection is lost.
        """
        within = None if until is None else CursorRange(column, until=until)
        with closing(self.rows(query, within)) as rows:
            return rows.newest(column)

    def rows(self, query: str, within: CursorRange | None = None) -> QueryRows:
        """Return the rows of a query, or of a range of them.

        Raises:
            ConfigurationError: the query is none that only reads, or the server refuses it.
            SourceUnreachable: the connection is lost.
        """
        ...


def subquery(query: str) -> str:
    """Return a query in brackets."""
    return f"(\n{without_semicolon(query)}{COMMENTED_END})"


def without_semicolon(query: str) -> str:
    """Return a query without a semicolon at its end, and without the comments behind that.

    A semicolon is one of the statement only if it is so with and without backslashes as escapes: databases differ.
    """
    ends = {_end(query, tokens) for tokens in TOKENS}
    return query[: ends.pop()] if len(ends) == 1 else query


def _end(query: str, tokens: re.Pattern[str]) -> int:
    """Return where the statement of a query ends: after it are semicolons, spaces and comments alone."""
    end, semicolon = 0, None
    for token in tokens.finditer(query):
        if token[0] == ";":
            semicolon = token.start() if semicolon is None else semicolon
        elif not (token[0].isspace() or token[0].startswith(COMMENTS)):
            end, semicolon = token.end(), None
    return len(query) if semicolon is None else end


def in_double_quotes(name: str) -> str:
    """Return the name of a column as standard SQL quotes it."""
    return '"' + name.replace('"', '""') + '"'


def in_single_quotes(text: str) -> str:
    """Return a text as standard SQL quotes it; DuckDB knows no other escapes in it."""
    return "'" + text.replace("'", "''") + "'"


def in_backticks(name: str) -> str:
    """Return the name of a column as ClickHouse and BigQuery quote it."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def require_column(column: str, schema: Mapping[str, object]) -> None:
    """Refuse a cursor that the rows do not have."""
    if column not in schema:
        message = f"There is no column {quoted(column)}.{advice(column, schema)}"
        raise ConfigurationError.of(CURSOR, message)


def refuse_twins(names: Sequence[str]) -> None:
    """Refuse columns of one name, of which a mapping could not tell which is meant."""
    twin = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twin is not None:
        message = f"Two columns have the name {quoted(twin)}: give each one of its own."
        raise ConfigurationError.of(QUERY, message)


def refuse_null(column: str) -> ConfigurationError:
    """Return the error of a cursor that is null in a row, which no range would ever have."""
    message = f"Column {quoted(column)} is null in some rows, which would never be read. Leave them out in the query."
    return ConfigurationError.of(CURSOR, message)


def refuse_cursor_type(column: str, kind: str) -> ConfigurationError:
    """Return the error of a cursor of a type without an order that a registry can keep exactly."""
    allowed = "a time of microseconds or coarser, a date, whole numbers or text"
    message = f"Column {quoted(column)} is {kind}: must be {allowed}. Cast it in the query."
    return ConfigurationError.of(CURSOR, message)


def cursor_value(column: str, values: pl.Series) -> CursorValue | None:
    """Return the only value of a series as a cursor.

    Raises:
        ConfigurationError: it is a time outside the years 1 to 9999, such as infinity.
    """
    if isinstance(values.dtype, pl.Date | pl.Datetime):
        naive = pl.Datetime(values.dtype.time_unit) if isinstance(values.dtype, pl.Datetime) else values.dtype
        first, last = pl.Series([datetime.min, datetime.max]).cast(naive).cast(pl.Int64)  # noqa: DTZ901 - bounds of both
        if not values.cast(pl.Int64).is_between(first, last).fill_null(value=True).item():
            message = f"The largest value of column {quoted(column)} is no time between the years 1 and 9999."
            raise ConfigurationError.of(CURSOR, f"{message} Leave such rows out in the query.")
    value: CursorValue | None = values.item()
    return value
