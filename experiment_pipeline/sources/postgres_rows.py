"""Rows of PostgreSQL, read over ADBC in one read-only transaction (rule D1).

NUMERIC is exact, so it comes as text and stays text; so do types that Polars has none for, such as `uuid` and `inet`,
and `json`. Times without a zone stay so; times with one are read in UTC; infinity and years outside 1 to 9999 are null.
"""

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from arro3.core import Field
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import Identifier, Literal

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.source_cursors import CursorValue
from experiment_pipeline.errors import ConfigurationError, ExperimentPipelineError
from experiment_pipeline.sources.adbc_rows import AdbcDatabase, Dialect
from experiment_pipeline.sources.source_rows import BATCH_BYTES, ONE_SELECT, QUERY

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection

STATEMENT_TIMEOUT = timedelta(hours=2)  # of one range: the time to write its rows counts, too
LOCK_TIMEOUT = timedelta(minutes=1)
NETWORK = {  # of libpq, where the URL does not say otherwise: a host that is gone is noticed
    "connect_timeout": "10",
    "keepalives_idle": "60",
    "keepalives_interval": "15",
    "keepalives_count": "4",
    "application_name": "experiment-pipeline",
}
READABLE = {"int2", "int4", "int8", "float4", "float8", "bool", "text", "varchar", "name", "char", "bytea"}
READ_AS = {
    "timestamptz": "case when {0} between '0001-01-01 UTC' and '9999-12-31 UTC' then {0} end",
    "timestamp": "case when {0} between '0001-01-01' and '9999-12-31' then {0} end",
    "date": "case when {0} between '0001-01-01' and '9999-12-31' then {0} end",
    "money": "{0}::numeric::text",
    "oid": "{0}::bigint",
}
TEXTS = {"text", "varchar", "bpchar"}
ORDERED = {"timestamptz", "timestamp", "date", "int2", "int4", "int8"}
TYPE = "POSTGRESQL:type"
SYNTAX, READ_ONLY, NOT_AT_TOP = "42601", "25006", "0A000"
MISSING_RIGHTS = "42501"
REFUSED_PASSWORD = re.compile(
    r"password|authentication|no pg_hba|role .* does not exist|permission denied", re.IGNORECASE
)
REFUSED_DATABASE = re.compile(r"FATAL: +(database .* does not exist)", re.IGNORECASE)
NO_ANSWER = re.compile(
    r"refused|timeout expired|timed out|could not translate host name|No such file or directory|unreachable|"
    r"starting up|shutting down|too many (clients|connections)|remaining connection slots|closed the connection",
    re.IGNORECASE,
)
TIMED_OUT = re.compile(r"statement timeout|lock timeout", re.IGNORECASE)
SERVER_SAYS = re.compile(r"(?:ERROR|FATAL): +(.*?)(?:\n|$)", re.DOTALL)


def open_postgres(url: ConnectionUrl) -> AdbcDatabase:
    """Return a PostgreSQL database; nothing is connected yet.

    Raises:
        ConfigurationError: the driver is not installed, or the URL is none.
    """
    try:
        import adbc_driver_postgresql as driver
        from adbc_driver_postgresql import dbapi
    except ImportError:
        message = "postgresql:// needs the extra 'postgres': pip install 'experiment-pipeline[postgres]'."
        raise url.refused(message) from None
    target = conninfo(url)
    return AdbcDatabase(
        Dialect(
            connect=lambda: dbapi.connect(target, autocommit=True),
            begin=(
                "begin transaction isolation level repeatable read read only",
                f"set local statement_timeout = {_milliseconds(STATEMENT_TIMEOUT)}",
                f"set local lock_timeout = {_milliseconds(LOCK_TIMEOUT)}",
                "set local time zone 'UTC'",
                "set local datestyle = 'ISO, YMD'",
                "set local standard_conforming_strings = on",
            ),
            statement_options={driver.StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(BATCH_BYTES)},
            name=_name,
            literal=_literal,
            column=_column,
            cursor=_cursor,
            shown_type=_type,
            failure=lambda error, connection: _failure(url, error, connection),
        )
    )


def conninfo(url: ConnectionUrl) -> str:
    """Return the URL as libpq reads it, with defaults for what it does not say."""
    try:
        given = conninfo_to_dict(url.text)
        return make_conninfo(url.text, **{name: value for name, value in NETWORK.items() if name not in given})
    except ProgrammingError:  # its text holds parts of the URL
        form = "postgresql://USER:PASSWORD@HOST:5432/DATABASE, with %-escapes in a password"
        raise url.refused(f"Its URL cannot be read: must be {form}.") from None


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def _name(column: str) -> str:
    return Identifier(column).as_string(None)


def _literal(value: CursorValue) -> str:
    return Literal(value).as_string(None)


def _type(field: Field) -> str:
    return field.metadata_str.get(TYPE, str(field.type))


def _column(field: Field) -> str:
    name, kind = _name(field.name), _type(field)
    if kind in READ_AS:
        return READ_AS[kind].format(name)
    return name if kind in READABLE else f"{name}::text"


def _cursor(field: Field) -> str | None:
    """Return the expression of a cursor; texts compare by their bytes, as they do outside the server."""
    name, kind = _name(field.name), _type(field)
    if kind in TEXTS:
        return f'{name} collate "C"'
    return name if kind in ORDERED else None


def _failure(url: ConnectionUrl, error: Exception, connection: "Connection | None") -> ExperimentPipelineError:
    text = str(error)
    if connection is None:
        return _refused_connection(url, text)
    if TIMED_OUT.search(text):
        return url.unreachable(f"The server ended the query: {_said(url, text)} Try again, or make the query faster.")
    state: str | None = getattr(error, "sqlstate", None)
    if state is None and not _is_alive(connection):
        return url.unreachable("The connection to the server is lost. Nothing of the range has landed; try again.")
    if state in {SYNTAX, READ_ONLY} or (state == NOT_AT_TOP and "data-modifying" in text) or "read-only" in text:
        return ConfigurationError.of(QUERY, f"{ONE_SELECT} The server says: {_said(url, text)}")
    remedy = " Grant its role SELECT on it." if state == MISSING_RIGHTS else ""
    return ConfigurationError.of(QUERY, f"The server says: {_said(url, text)}{remedy}")


def _refused_connection(url: ConnectionUrl, text: str) -> ExperimentPipelineError:
    if NO_ANSWER.search(text):
        return url.unreachable(
            f"The server cannot be reached: {_reason(text)}. Check that it runs, its host and its port."
        )
    if found := REFUSED_DATABASE.search(text):
        return url.refused(f"The server says: {url.told(found.group(1))}")
    if REFUSED_PASSWORD.search(text):
        return url.refused("The server refuses the user or the password. Check both in the URL, and the user's rights.")
    return url.refused(
        "The server cannot be connected to: check the URL. Its message is not shown: it may hold a secret."
    )


def _reason(text: str) -> str:
    found = NO_ANSWER.search(text)
    return found.group().lower() if found else "no answer"


def _said(url: ConnectionUrl, text: str) -> str:
    found = SERVER_SAYS.search(text)
    return url.told(found.group(1) if found else text.partition("Query was:")[0])


def _is_alive(connection: "Connection") -> bool:
    """Whether the server still answers on a connection, be it that its transaction is aborted."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
    except Exception as error:  # noqa: BLE001 - whatever it is: only a server's answer has a state
        return getattr(error, "sqlstate", None) is not None
    return True
