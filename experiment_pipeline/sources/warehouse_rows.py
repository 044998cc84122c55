"""Rows of Snowflake and BigQuery, read over ADBC (rule D1). No server of either runs in the tests of this project.

Neither has a transaction that only reads: a query becomes a subquery, where only SELECT is allowed.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from arro3.core import DataType

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.source_cursors import CursorValue
from experiment_pipeline.errors import ConfigurationError, ExperimentPipelineError
from experiment_pipeline.sources.adbc_rows import AdbcDatabase, Dialect
from experiment_pipeline.sources.source_rows import QUERY, in_backticks, in_double_quotes

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection

SNOWFLAKE, BIGQUERY = "snowflake", "bigquery"
SNOWFLAKE_FORM = "snowflake://USER:PASSWORD@ACCOUNT/DATABASE/SCHEMA?warehouse=W&role=R"
BIGQUERY_FORM = "bigquery://PROJECT/DATASET?credentials=/path/to/key.json"
SNOWFLAKE_OPTION = "adbc.snowflake.sql."
BIGQUERY_OPTION = "adbc.bigquery.sql."
SNOWFLAKE_TYPES = {  # whole numbers are no decimals, and times have the microseconds of the other databases
    "client_option.use_high_precision": "false",
    "client_option.max_timestamp_precision": "microseconds",
}
TIMEOUT_SECONDS = 7_200
LOST = ("connection", "timeout", "timed out", "no such host", "unavailable")


def open_snowflake(url: ConnectionUrl) -> AdbcDatabase:
    """Return a Snowflake database; nothing is connected yet.

    Raises:
        ConfigurationError: the driver is not installed, or the URL lacks a part.
    """
    dbapi = _driver(url, SNOWFLAKE)
    options = snowflake_options(url)
    begin = (f"alter session set statement_timeout_in_seconds = {TIMEOUT_SECONDS}, timezone = 'UTC'",)
    connect: Callable[[], Connection] = lambda: dbapi.connect(db_kwargs=options, autocommit=True)  # noqa: E731
    return AdbcDatabase(_dialect(url, connect, begin, snowflake_literal, in_double_quotes))


def open_bigquery(url: ConnectionUrl) -> AdbcDatabase:
    """Return a BigQuery dataset; nothing is connected yet.

    Raises:
        ConfigurationError: the driver is not installed, or the URL lacks a part.
    """
    dbapi = _driver(url, BIGQUERY)
    options = bigquery_options(url)
    connect: Callable[[], Connection] = lambda: dbapi.connect(db_kwargs=options, autocommit=True)  # noqa: E731
    return AdbcDatabase(_dialect(url, connect, (), bigquery_literal, in_backticks))


def snowflake_options(url: ConnectionUrl) -> dict[str, str]:
    """Return the driver's options of a URL."""
    database, _, schema = unquote(url.parts.path).strip("/").partition("/")
    if not (url.user and url.password and url.parts.hostname and database):
        raise url.refused(f"Its URL must be {SNOWFLAKE_FORM}.")
    named = {"account": url.parts.hostname, "db": database, "schema": schema}
    named |= {name: url.options.get(name, "") for name in ("warehouse", "role")}
    named |= SNOWFLAKE_TYPES
    return {"username": url.user, "password": url.password} | _options(SNOWFLAKE_OPTION, named)


def bigquery_options(url: ConnectionUrl) -> dict[str, str]:
    """Return the driver's options of a URL."""
    dataset = unquote(url.parts.path).strip("/")
    if not (url.parts.hostname and dataset):
        raise url.refused(f"Its URL must be {BIGQUERY_FORM}.")
    named = {"project_id": url.parts.netloc, "dataset_id": dataset, "location": url.options.get("location", "")}
    if credentials := url.options.get("credentials"):
        kind = f"{BIGQUERY_OPTION}auth_type.json_credential_file"
        named |= {"auth_type": kind, "auth_credentials": credentials}
    return _options(BIGQUERY_OPTION, named)


def snowflake_literal(value: CursorValue) -> str:
    """Return a value of a cursor as Snowflake writes it."""
    if isinstance(value, datetime):
        kind = "timestamp_ntz" if value.tzinfo is None else "timestamp_tz"
        return f"'{value.isoformat(' ')}'::{kind}"
    return f"'{value.isoformat()}'::date" if isinstance(value, date) else _text_or_number(value)


def bigquery_literal(value: CursorValue) -> str:
    """Return a value of a cursor as BigQuery writes it."""
    if isinstance(value, datetime):
        return f"{'datetime' if value.tzinfo is None else 'timestamp'} '{value.isoformat(' ')}'"
    return f"date '{value.isoformat()}'" if isinstance(value, date) else _text_or_number(value)


def _text_or_number(value: int | str) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def _options(prefix: str, named: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}{name}": value for name, value in named.items() if value}


def _driver(url: ConnectionUrl, name: str) -> Any:
    try:
        return import_module(f"adbc_driver_{name}.dbapi")
    except ImportError:
        message = f"{name}:// needs the extra '{name}': pip install 'experiment-pipeline[{name}]'."
        raise url.refused(message) from None


def _dialect(
    url: ConnectionUrl,
    connect: "Callable[[], Connection]",
    begin: tuple[str, ...],
    literal: Callable[[CursorValue], str],
    name: Callable[[str], str],
) -> Dialect:
    return Dialect(
        connect=connect,
        begin=begin,
        statement_options={},
        name=name,
        literal=literal,
        column=lambda field: name(field.name),
        cursor=lambda field: name(field.name) if _is_ordered(field.type) else None,
        shown_type=lambda field: str(field.type),
        failure=lambda error, connection: _failure(url, error, connection),
    )


def _is_ordered(kind: DataType) -> bool:
    kinds = (DataType.is_timestamp, DataType.is_date, DataType.is_integer, DataType.is_string)
    return any(is_kind(kind) for is_kind in kinds) and kind.time_unit != "ns"


def _failure(url: ConnectionUrl, error: Exception, connection: "Connection | None") -> ExperimentPipelineError:
    text = str(error)
    if any(sign in text.lower() for sign in LOST):
        return url.unreachable("The connection to the server is lost. Nothing of the range has landed; try again.")
    if connection is None:
        return url.refused("The server refuses the connection. Check the URL, the user and its rights.")
    return ConfigurationError.of(QUERY, f"The server says: {url.told(text)}")
