"""Rows of a SQLite file, opened read-only (rule D1).

SQLite has types of values, not of columns. A column whose values are all whole numbers is of whole numbers, one of
numbers is of numbers, and every other one is of text. SQLite has no times: they are text or whole numbers.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
from typing_extensions import override

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.source_cursors import CursorValue
from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.errors import ConfigurationError, ExperimentPipelineError
from experiment_pipeline.sources.source_rows import (
    BATCH_ROWS,
    ONE_SELECT,
    QUERY,
    CursorRange,
    Database,
    QueryRows,
    cursor_value,
    in_double_quotes,
    refuse_cursor_type,
    refuse_null,
    refuse_twins,
    require_column,
    subquery,
)

LOCK_TIMEOUT = 60.0  # seconds
READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
NUMBERED = re.compile(r"(.+):[0-9]+", re.DOTALL)
KINDS = ("integer", "real", "text", "blob")
NOT_READING = ("syntax error", "one statement", "not authorized", "readonly")


class SqliteDatabase(Database):
    """A SQLite file."""

    def __init__(self, url: ConnectionUrl) -> None:
        """Find the file.

        Args:
            url: `sqlite://` and a path.

        Raises:
            ConfigurationError: there is no such file.
        """
        self._url = url
        self._file = Path(unquote(url.parts.netloc + url.parts.path)).absolute()
        if not self._file.is_file():
            raise url.refused(f"There is no file {quoted(str(self._file))}.")

    @override
    def rows(self, query: str, within: CursorRange | None = None) -> "SqliteRows":
        return SqliteRows(self._url, self._file, query, within)


class SqliteRows(QueryRows):
    """The rows of one query, in one transaction."""

    def __init__(self, url: ConnectionUrl, file: Path, query: str, within: CursorRange | None = None) -> None:
        """Open the rows.

        Args:
            url: for messages.
            file: SQLite's.
            query: one SELECT statement.
            within: the range of its rows; None for all.

        Raises:
            ConfigurationError: the file is not SQLite's, or the query is none that only reads.
            SourceUnreachable: another process has locked the file for too long.
        """
        self._url = url
        self._rows = subquery(query)
        self._values: tuple[CursorValue, ...] = ()
        with self._failing():
            self._connection = sqlite3.connect(
                f"{file.as_uri()}?mode=ro",
                uri=True,
                timeout=LOCK_TIMEOUT,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            self._open(within)
        except BaseException:
            self.close()
            raise

    @cached_property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The columns and their types, for which all rows of the query are looked at once, whatever the range."""
        return {name: _type(kinds) for name, kinds in self._kinds.items()}

    @override
    def batches(self) -> Iterator[pl.DataFrame]:
        with self._failing(), closing(self._connection.execute(self._select, self._values)) as cursor:
            while rows := cursor.fetchmany(BATCH_ROWS):
                yield self._frame(rows)

    @override
    def first(self, rows: int) -> pl.DataFrame:
        with self._failing():
            found = self._connection.execute(f"{self._select} limit {rows}", self._values).fetchall()
        return self._frame(found)

    @override
    def close(self) -> None:
        self._connection.close()

    @override
    def newest(self, column: str) -> CursorValue | None:
        name = self._cursor(column)
        with self._failing():
            if self._connection.execute(f"select 1 from {self._rows} where {name} is null limit 1").fetchone():
                raise refuse_null(column)
            ends = (f"(select typeof({end}({name})) from {self._rows})" for end in ("min", "max"))  # an index has both
            _require_order(column, set(self._connection.execute(f"select {', '.join(ends)}").fetchone()) - {"null"})
            newest = f"select max({name}) from {self._rows}{self._where}"
            value = self._connection.execute(newest, self._values).fetchone()[0]
        return cursor_value(column, pl.Series([value]))

    def _open(self, within: CursorRange | None) -> None:
        with self._failing():
            self._connection.execute("begin")
            self._connection.set_authorizer(_only_reads)
            described = self._connection.execute(f"select * from {self._rows} limit 0").description
        self._columns = [column[0] for column in described]
        refuse_twins(_as_written(self._columns))
        self._within = within
        self._where = self._where_of(within)

    @cached_property
    def _kinds(self) -> dict[str, set[str]]:
        """The types of the values in each column."""
        tests = (f"max(typeof({in_double_quotes(column)}) = '{kind}')" for column in self._columns for kind in KINDS)
        with self._failing():
            found = iter(self._connection.execute(f"select {', '.join(tests)} from {self._rows}").fetchone())
        kinds = {column: {kind for kind in KINDS if next(found)} for column in self._columns}
        if self._within is not None:
            _require_order(self._within.column, kinds[self._within.column])
        return kinds

    @cached_property
    def _select(self) -> str:
        columns = (
            f"{_cast(in_double_quotes(column), kinds)} as {in_double_quotes(column)}"
            for column, kinds in self._kinds.items()
        )
        return f"select {', '.join(columns)} from {self._rows}{self._where}"

    def _where_of(self, within: CursorRange | None) -> str:
        if within is None:
            return ""
        cursor = self._cursor(within.column)
        self._values = tuple(value for _, value in within.bounds)
        limits = " and ".join(f"{cursor} {sign} ?" for sign, _ in within.bounds)
        return f" where {limits}" if limits else ""

    def _cursor(self, column: str) -> str:
        require_column(column, dict.fromkeys(self._columns))
        return f"{in_double_quotes(column)} collate binary"

    def _frame(self, rows: list[tuple[Any, ...]]) -> pl.DataFrame:
        mixed = [place for place, kinds in enumerate(self._kinds.values()) if len(kinds) > 1 and "text" in kinds]
        if mixed and (some := [list(row) for row in rows]):
            for row in some:
                for place in mixed:
                    if isinstance(row[place], int | float):
                        row[place] = str(row[place])  # every digit: SQLite's own texts have 15
            return pl.DataFrame(some, schema=self.schema, orient="row")
        return pl.DataFrame(rows, schema=self.schema, orient="row")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _failure(self._url, error) from None


def _require_order(column: str, kinds: set[str]) -> None:
    """Refuse a cursor whose values are not all whole numbers, or all text."""
    if kinds - {"integer"} and kinds - {"text"}:
        raise refuse_cursor_type(column, f"of {' and '.join(sorted(kinds))} values")


def _only_reads(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in READS else sqlite3.SQLITE_DENY


def _as_written(columns: list[str]) -> list[str]:
    """Return the names that columns have in the query: SQLite adds a number where one comes again, in any case."""
    lower = [column.lower() for column in columns]
    found = [NUMBERED.fullmatch(column) for column in lower]
    return [each[1] if each and each[1] in lower else column for each, column in zip(found, lower, strict=True)]


def _type(kinds: set[str]) -> pl.DataType:
    if kinds == {"integer"}:
        return pl.Int64()
    if kinds and kinds <= {"integer", "real"}:
        return pl.Float64()
    return pl.Binary() if "blob" in kinds else pl.String()


def _cast(name: str, kinds: set[str]) -> str:
    if kinds == {"integer", "real"}:
        return f"cast({name} as real)"
    return f"cast({name} as blob)" if len(kinds) > 1 and "blob" in kinds else name


def _failure(url: ConnectionUrl, error: sqlite3.Error) -> ExperimentPipelineError:
    text = str(error)
    if "locked" in text:
        return url.unreachable("Another process has locked the file. Try again.")
    if "not a database" in text or "unable to open" in text:
        return url.refused(f"The file cannot be read: {url.told(text)}")
    if any(sign in text for sign in NOT_READING):
        return ConfigurationError.of(QUERY, f"{ONE_SELECT} SQLite says: {url.told(text)}")
    return ConfigurationError.of(QUERY, f"SQLite says: {url.told(text)}")
