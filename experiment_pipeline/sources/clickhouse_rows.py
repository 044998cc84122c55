"""Rows of ClickHouse, read by clickhouse-connect as streamed Arrow blocks, with `readonly = 1` (rule D1).

`chdb:///PATH` is the same engine in this process, over a folder; it holds the rows of a range in memory.
Times are read in UTC. Types that Polars has none for, such as `UUID` and `Enum8`, are read as text.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from importlib.util import find_spec
from io import BufferedReader
from typing import TYPE_CHECKING, Any, cast

from arro3.core import RecordBatchReader
from typing_extensions import override

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.source_cursors import CursorValue
from experiment_pipeline.errors import ConfigurationError, ExperimentPipelineError
from experiment_pipeline.sources.source_rows import (
    ONE_SELECT,
    QUERY,
    CursorRange,
    Database,
    StreamedRows,
    cursor_value,
    in_backticks,
    refuse_cursor_type,
    refuse_null,
    refuse_twins,
    require_column,
    subquery,
)

if TYPE_CHECKING:
    from io import RawIOBase

    from clickhouse_connect.driver.client import Client

CHDB = "chdb"
STATEMENT_TIMEOUT = timedelta(hours=2)
CONNECT_TIMEOUT = 10  # seconds
READ_BYTES = 1 << 20
READS_ONLY = {"1", "2"}  # values of `readonly` with which nothing is written
BARE_TYPE = re.compile(r"^(?:LowCardinality\()?(?:Nullable\()?([A-Za-z0-9]+)(?:\((\d+))?")
READ_AS = {
    "String": "toValidUTF8({0})",
    "FixedString": "toStringCutToZero({0})",
    "DateTime": "toDateTime64({0}, 0, 'UTC')",
    "DateTime64": "toTimeZone({0}, 'UTC')",
    "Date": "{0}",
    "Date32": "{0}",
    "Bool": "{0}",
    "Float32": "{0}",
    "Float64": "{0}",
} | {f"{sign}Int{bits}": "{0}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
MOST_DIGITS = 38  # of decimals in Polars
ORDERED = {"String", "DateTime", "DateTime64", "Date", "Date32"}
MICROSECONDS = 6
REFUSED_USER = {192, 193, 194, 516}  # codes of errors
UNKNOWN_DATABASE, READ_ONLY, NO_ACCESS, SYNTAX, TIMEOUT = 81, 164, 497, 62, 159
RECEIVED, USER = r"(?:Received ClickHouse exception, code: \d+, server response: )?", r"(?:[\w.@-]+: )?"
OPENING = re.compile(rf"^{RECEIVED}(?:Code: \d+\. DB::Exception: )*{USER}")
LITERAL_OR_NAME = re.compile(r"'(?:\\.|[^'\\])*'|`((?:\\.|[^`\\])*)`", re.DOTALL)
READS_FILES = re.compile(
    r"\b(file|python)\(|\bAPPLY \(?(file)\b", re.IGNORECASE
)  # of a query that ClickHouse has formatted
TRAILER = re.compile(r"\s*(?:\([A-Z_]+\))?\s*(?:\(for url [^)]*\))?\s*$")


class ClickHouseDatabase(Database):
    """A database of a ClickHouse server, or of chdb."""

    def __init__(self, url: ConnectionUrl) -> None:
        """Take `clickhouse://USER:PASSWORD@HOST:8123/DATABASE?secure=true` or `chdb:///PATH`; nothing is connected yet.

        Raises:
            ConfigurationError: the driver is not installed.
        """
        self._url = url
        self._connect = connecting(url)

    @override
    def rows(self, query: str, within: CursorRange | None = None) -> "ClickHouseRows":
        return ClickHouseRows(self._url, self._connect, query, within)


class ClickHouseRows(StreamedRows):
    """The rows of one query."""

    def __init__(
        self, url: ConnectionUrl, connect: Callable[[], "Client"], query: str, within: CursorRange | None = None
    ) -> None:
        """Open the rows.

        Args:
            url: for messages.
            connect: opens a connection.
            query: one SELECT statement.
            within: the range of its rows; None for all.

        Raises:
            ConfigurationError: the server refuses the connection or the query, or a column cannot be read.
            SourceUnreachable: the server cannot be reached.
        """
        self._url = url
        self._rows = f"{subquery(query)} as source_rows"
        self._client: Client | None = None
        self._values: dict[str, str] = {}
        try:
            with self._failing():
                self._client = connect()
                _read_only(self._client)
                if url.scheme == CHDB:
                    self._refuse_files(query)
            described = self._frame(f"describe {subquery(query)}")
            refuse_twins(described.get_column("name").to_list())
            self._types: dict[str, str] = dict(described.select("name", "type").iter_rows())
            self._where = self._where_of(within)
            self._select = self._select_all() + self._where
            self._schema = dict(self._frame(f"{self._select} limit 0").schema)
        except BaseException:
            self.close()
            raise

    @override
    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    @override
    def newest(self, column: str) -> CursorValue | None:
        name = self._cursor(column)
        if self._frame(f"select 1 as one from {self._rows} where {name} is null limit 1").height:
            raise refuse_null(column)
        newest = (
            f"select {_read_as(f'maxOrNull({name})', self._types[column])} as newest from {self._rows}{self._where}"
        )
        return cursor_value(column, self._frame(newest).to_series())

    def _select_all(self) -> str:
        columns = (
            f"{_read_as(f'source_rows.{in_backticks(name)}', kind)} as {in_backticks(name)}"
            for name, kind in self._types.items()
        )
        return f"select {', '.join(columns)} from {self._rows}"

    def _where_of(self, within: CursorRange | None) -> str:
        if within is None:
            return ""
        cursor = self._cursor(within.column)
        limits = []
        for sign, name, value in ((">", "after", within.after), ("<=", "until", within.until)):
            if value is not None:
                kind, self._values[name] = _parameter(value)
                limits.append(f"{cursor} {sign} {{{name}:{kind}}}")
        return f" where {' and '.join(limits)}" if limits else ""

    def _refuse_files(self, query: str) -> None:
        """Refuse a query that reads this machine's files or this process's objects, which `readonly = 1` allows chdb.

        ClickHouse itself parses the query, so that comments, quotes and escapes hide nothing.
        """
        assert self._client is not None  # noqa: S101 - a fact for the type checker
        said = self._client.query("select formatQuerySingleLine({query:String})", parameters={"query": query})
        bare = LITERAL_OR_NAME.sub(lambda found: found[1] or "''", said.result_rows[0][0])
        if found := READS_FILES.search(bare):
            name = found[1] or found[2]
            message = f"Must not use {name}(): a query reads the tables of its database alone."
            raise ConfigurationError.of(QUERY, message)

    def _cursor(self, column: str) -> str:
        require_column(column, self._types)
        kind, digits = _bare(self._types[column])
        if not (kind in ORDERED or re.fullmatch(r"U?Int(8|16|32|64)", kind)) or (
            kind == "DateTime64" and digits > MICROSECONDS
        ):
            raise refuse_cursor_type(column, self._types[column])
        return f"source_rows.{in_backticks(column)}"

    @override
    @contextmanager
    def _reader(self, statement: str) -> Iterator[RecordBatchReader]:
        """Give the blocks of a statement as they arrive."""
        from nanoarrow import ArrayStream

        assert self._client is not None  # noqa: S101 - a fact for the type checker
        stream = self._client.raw_stream(statement, parameters=self._values, fmt="ArrowStream")
        with BufferedReader(
            cast("RawIOBase", stream), READ_BYTES
        ) as readable:  # a response over HTTP cannot read into nanoarrow's memory
            yield RecordBatchReader.from_stream(ArrayStream.from_readable(readable))

    @override
    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except ExperimentPipelineError:
            raise
        except Exception as error:
            module = type(error).__module__.partition(".")[0]
            if type(error) is not Exception and module not in {"clickhouse_connect", "urllib3", "http", "nanoarrow"}:
                raise
            raise _failure(self._url, error, is_open=self._client is not None) from None


def connecting(url: ConnectionUrl) -> "Callable[[], Client]":
    """Return what opens a connection; nothing is connected yet.

    Raises:
        ConfigurationError: the driver is not installed.
    """
    needed = {"clickhouse_connect", "nanoarrow", *([CHDB] if url.scheme == CHDB else [])}
    if not all(find_spec(module) for module in needed):
        chdb = " chdb" if url.scheme == CHDB else ""
        raise url.refused(f"{url.scheme}:// needs: pip install 'experiment-pipeline[clickhouse]'{chdb}.")
    from clickhouse_connect import get_client

    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # what it warns of is raised as well
    if url.scheme == CHDB:
        return lambda: get_client(dsn=url.text)
    secure = url.options.get("secure", "").lower() in {"true", "1", "yes"} or url.port in {443, 8443}
    return lambda: get_client(
        host=url.parts.hostname or "localhost",
        port=url.port or (8443 if secure else 8123),
        secure=secure,
        username=url.user,
        password=url.password or "",
        database=url.parts.path.strip("/") or None,
        connect_timeout=CONNECT_TIMEOUT,
        compress=False,  # the blocks are compressed by themselves
        autogenerate_session_id=False,
        show_clickhouse_errors=True,
    )


def _read_only(client: "Client") -> None:
    """Let the connection read alone; a user whose profile does not write is left as it is."""
    if client.server_settings["readonly"].value not in READS_ONLY:
        client.set_client_setting("max_execution_time", int(STATEMENT_TIMEOUT.total_seconds()))
        client.set_client_setting("readonly", 1)


def _bare(kind: str) -> tuple[str, int]:
    """Return a type without what is around it, and its first argument: `Nullable(DateTime64(3))` is `DateTime64`, 3."""
    found = BARE_TYPE.match(kind)
    return (found[1], int(found[2] or 0)) if found else (kind, 0)


def _read_as(expression: str, kind: str) -> str:
    bare, digits = _bare(kind)
    if bare == "Decimal" and digits <= MOST_DIGITS:
        return expression
    return READ_AS.get(bare, "toString({0})").format(expression)


def _parameter(value: CursorValue) -> tuple[str, str]:
    """Return the type and the text of a value that is bound."""
    if isinstance(value, datetime):
        return "DateTime64(6, 'UTC')", value.strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, date):
        return "Date32", value.isoformat()
    if isinstance(value, int):
        return ("UInt64" if value >= 0 else "Int64"), str(value)
    return "String", value


def _failure(url: ConnectionUrl, error: Any, *, is_open: bool) -> ExperimentPipelineError:
    is_answer = type(error).__module__.startswith("clickhouse_connect")  # nanoarrow's errors have a code, too
    code: int | None = error.code if is_answer else None
    if code in REFUSED_USER:
        return url.refused("The server refuses the user or the password. Check both in the URL.")
    if code == TIMEOUT:
        return url.unreachable(f"The server ended the query: {_said(url, error)} Try again, or make the query faster.")
    if code is None and url.scheme != CHDB:
        broken = (
            "The rows broke off: the connection is lost, or the server ended the query. Nothing of them has landed."
        )
        return url.unreachable(
            broken if is_open else "The server cannot be reached. Check that it runs, its host and its port."
        )
    if not is_open or code == UNKNOWN_DATABASE:
        return url.refused(f"It cannot be opened: {_said(url, error)}")
    if code in {READ_ONLY, SYNTAX}:
        return ConfigurationError.of(QUERY, f"{ONE_SELECT} The server says: {_said(url, error)}")
    remedy = " Grant its user SELECT on it." if code == NO_ACCESS else ""
    return ConfigurationError.of(QUERY, f"The server says: {_said(url, error)}{remedy}")


def _said(url: ConnectionUrl, error: Exception) -> str:
    return url.told(
        TRAILER.sub("", OPENING.sub("", str(error))).partition(" In scope ")[0].partition(" Expected one of")[0]
    )
