"""Rows of a DuckDB database file, opened read-only (rule D1).

DuckDB locks a file that another process writes: then the rows cannot be read now, and the same call may work later.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl
from arro3.core import RecordBatchReader
from typing_extensions import override

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.source_cursors import CursorValue
from experiment_pipeline.domain.sources import DUCKDB
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import ConfigurationError, ExperimentPipelineError
from experiment_pipeline.sources.source_rows import (
    ONE_SELECT,
    QUERY,
    CursorRange,
    Database,
    StreamedRows,
    cursor_value,
    in_double_quotes,
    in_single_quotes,
    refuse_cursor_type,
    refuse_null,
    require_column,
    subquery,
)

SIGNATURE, SIGNATURE_AT = b"DUCK", 8  # of every database file, behind a checksum of eight bytes
SUFFIXES = (".duckdb", ".ddb", ".db")
OTHER_SETTINGS = "different configuration"  # in DuckDB's words, of a file that this process has open already
WHOLE = {pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32}
NANOSECONDS = "ns"


def is_database(path: str) -> bool:
    """Whether a path is a DuckDB database: by what the file begins with, or by its name where there is no file."""
    file = Path(path)
    if not file.is_file():
        return file.suffix.lower() in SUFFIXES
    with file.open("rb") as opened:
        return opened.read(SIGNATURE_AT + len(SIGNATURE))[SIGNATURE_AT:] == SIGNATURE


class DuckDBDatabase(Database):
    """A DuckDB database file."""

    def __init__(self, file: str, key: str) -> None:
        """Find the file.

        Args:
            file: its path.
            key: of the connection, for messages.

        Raises:
            ConfigurationError: there is no such file.
        """
        self._url = url = ConnectionUrl(DUCKDB, key)
        self._file = Path(file).absolute()
        if not self._file.is_file():
            raise url.refused(f"There is no database {printable(str(self._file))}.")

    @override
    def rows(self, query: str, within: CursorRange | None = None) -> "DuckDBRows":
        return DuckDBRows(self._url, self._file, query, within)


class DuckDBRows(StreamedRows):
    """The rows of one query, of one connection."""

    def __init__(self, url: ConnectionUrl, file: Path, query: str, within: CursorRange | None = None) -> None:
        """Open the rows.

        Args:
            url: for messages.
            file: DuckDB's.
            query: one SELECT statement.
            within: the range of its rows; None for all.

        Raises:
            ConfigurationError: the query is none that only reads, or names a table or a column that is not there.
            SourceUnreachable: another process writes the file at the moment.
        """
        self._url = url
        with self._failing():
            self._connection = duckdb.connect(str(file), read_only=True)
        try:
            with self._failing():
                self._rows = subquery(_one_select(query))
                self._schema: Mapping[str, pl.DataType] = self._arrow(f"select * from {self._rows} limit 0").schema
            self._select = self._select_of(within)
        except BaseException:
            self.close()
            raise

    @override
    def close(self) -> None:
        self._connection.close()

    @override
    def newest(self, column: str) -> CursorValue | None:
        name = self._cursor(column)
        if len(self._frame(f"select 1 from {self._rows} where {name} is null limit 1")):
            raise refuse_null(column)
        return cursor_value(column, self._frame(f"select max({name}) as newest from {self._rows}")["newest"])

    def _select_of(self, within: CursorRange | None) -> str:
        select = f"select * from {self._rows}"
        if within is None:
            return select
        cursor, kind = self._cursor(within.column), self._kind_of(within.column)
        limits = " and ".join(
            f"{cursor} {sign} cast({in_single_quotes(str(value))} as {kind})" for sign, value in within.bounds
        )
        return f"{select} where {limits}" if limits else select

    def _cursor(self, column: str) -> str:
        require_column(column, self._schema)
        kind = self._schema[column]
        is_time = isinstance(kind, pl.Datetime) and kind.time_unit != NANOSECONDS
        if not (is_time or isinstance(kind, pl.Date | pl.String) or type(kind) in WHOLE):
            raise refuse_cursor_type(column, f"of type {kind}")
        return in_double_quotes(column)

    def _kind_of(self, column: str) -> str:
        with self._failing():
            found = self._connection.execute(
                f"select column_type from (describe select * from {self._rows}) where column_name = $column",
                {"column": column},
            ).fetchall()
        return str(found[0][0])

    def _arrow(self, statement: str) -> pl.DataFrame:
        return pl.DataFrame(RecordBatchReader.from_stream(self._connection.sql(statement)).read_all())

    @override
    @contextmanager
    def _reader(self, statement: str) -> Iterator[RecordBatchReader]:
        yield RecordBatchReader.from_stream(self._connection.sql(statement))

    @override
    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except ExperimentPipelineError:
            raise
        except (duckdb.Error, OSError) as error:
            raise _failure(self._url, error) from None
        except Exception as error:
            if type(error) is not Exception:  # what comes through an Arrow stream has no class of its own
                raise
            raise _failure(self._url, error) from None


def _one_select(query: str) -> str:
    statements = duckdb.extract_statements(query)
    if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
        raise ConfigurationError.of(QUERY, ONE_SELECT)
    return statements[0].query


def _failure(url: ConnectionUrl, error: Exception) -> ExperimentPipelineError:
    text = str(error)
    if isinstance(error, duckdb.IOException) and "lock" in text:
        return url.unreachable("Another process writes the database file at the moment. Try again.")
    if isinstance(error, duckdb.ConnectionException) and OTHER_SETTINGS in text:
        return url.unreachable("This process has the database file open for writing. Try again when it is closed.")
    if isinstance(error, duckdb.IOException):
        return url.refused(f"The file cannot be read: {url.told(text)}")
    return ConfigurationError.of(QUERY, f"DuckDB says: {url.told(text.split('LINE ', 1)[0])}")
