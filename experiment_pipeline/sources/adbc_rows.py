"""Rows of databases that are read over ADBC, as Arrow batches and without pyarrow (rule D1).

What differs between databases is a `Dialect`. Each call has a connection of its own, whose transaction only reads.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arro3.core import Field, RecordBatchReader
from typing_extensions import override

from experiment_pipeline.domain.source_cursors import CursorValue
from experiment_pipeline.errors import ExperimentPipelineError
from experiment_pipeline.sources.source_rows import (
    CursorRange,
    Database,
    StreamedRows,
    cursor_value,
    refuse_cursor_type,
    refuse_null,
    refuse_twins,
    require_column,
    subquery,
)

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection

Failure = Callable[[Exception, "Connection | None"], ExperimentPipelineError]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of database is connected to and written to.

    Attributes:
        connect: opens a connection.
        begin: statements that begin a transaction which only reads.
        statement_options: of the driver.
        name: quotes the name of a column.
        literal: writes a value of a cursor.
        column: the expression that a column is read as, so that Polars can hold its type.
        cursor: the expression that a cursor is compared as; None where its type has no order that can be kept.
        shown_type: the database's own name of a column's type, for messages.
        failure: the error that tells what the driver raised; with the connection, if it was open.
    """

    connect: Callable[[], "Connection"]
    begin: tuple[str, ...]
    statement_options: Mapping[str, str]
    name: Callable[[str], str]
    literal: Callable[[CursorValue], str]
    column: Callable[[Field], str]
    cursor: Callable[[Field], str | None]
    shown_type: Callable[[Field], str]
    failure: Failure


class AdbcDatabase(Database):
    """A database that is read over ADBC."""

    def __init__(self, dialect: Dialect) -> None:
        """Read it by its dialect; nothing is connected yet."""
        self._dialect = dialect

    @override
    def rows(self, query: str, within: CursorRange | None = None) -> "AdbcRows":
        return AdbcRows(self._dialect, query, within)


class AdbcRows(StreamedRows):
    """The rows of one query, in one transaction on one connection."""

    def __init__(self, dialect: Dialect, query: str, within: CursorRange | None = None) -> None:
        """Open the rows.

        Args:
            dialect: of the database.
            query: one SELECT statement.
            within: the range of its rows; None for all.

        Raises:
            ConfigurationError: the server refuses the connection or the query, or a column cannot be read.
            SourceUnreachable: the server cannot be reached.
        """
        self._dialect = dialect
        self._rows = f"{subquery(query)} source_rows"
        self._connection: Connection | None = None
        try:
            with self._failing():
                self._connection = dialect.connect()
                for statement in dialect.begin:
                    self._run(statement)
                with self._reader(f"select * from {self._rows} limit 0") as reader:
                    fields = [reader.schema.field(number) for number in range(len(reader.schema))]
            refuse_twins([field.name for field in fields])
            self._fields = {field.name: field for field in fields}
            self._where = self._where_of(within)
            self._select = self._select_all() + self._where
            self._schema = dict(self._frame(f"{self._select} limit 0").schema)
        except BaseException:
            self.close()
            raise

    @override
    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @override
    def newest(self, column: str) -> CursorValue | None:
        cursor, name = self._cursor(column), self._dialect.name(column)
        if self._frame(f"select 1 as one from {self._rows} where {name} is null limit 1").height:
            raise refuse_null(column)
        newest = self._frame(f"select max({cursor}) as newest from {self._rows}{self._where}")
        return cursor_value(column, newest.get_column("newest"))

    def _select_all(self) -> str:
        columns = (f"{self._dialect.column(each)} as {self._dialect.name(each.name)}" for each in self._fields.values())
        return f"select {', '.join(columns)} from {self._rows}"

    def _where_of(self, within: CursorRange | None) -> str:
        if within is None:
            return ""
        cursor = self._cursor(within.column)
        limits = [f"{cursor} {sign} {self._dialect.literal(value)}" for sign, value in within.bounds]
        return f" where {' and '.join(limits)}" if limits else ""

    def _cursor(self, column: str) -> str:
        require_column(column, self._fields)
        field = self._fields[column]
        cursor = self._dialect.cursor(field)
        if cursor is None:
            raise refuse_cursor_type(column, self._dialect.shown_type(field))
        return cursor

    def _run(self, statement: str) -> None:
        assert self._connection is not None  # noqa: S101 - a fact for the type checker
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    @override
    @contextmanager
    def _reader(self, statement: str) -> Iterator[RecordBatchReader]:
        """Give the batches of a statement, which are read before its cursor closes."""
        assert self._connection is not None  # noqa: S101 - a fact for the type checker
        with self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**self._dialect.statement_options)
            yield RecordBatchReader.from_stream(cursor.execute(statement).fetch_arrow())

    @override
    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except ExperimentPipelineError:
            raise
        except Exception as error:
            if not _is_of_driver(error):
                raise
            raise self._dialect.failure(error, self._connection) from None


def _is_of_driver(error: Exception) -> bool:
    """Whether a driver raised the error; what comes through an Arrow stream has no class of its own."""
    return type(error) is Exception or type(error).__module__.startswith("adbc_driver_manager")
