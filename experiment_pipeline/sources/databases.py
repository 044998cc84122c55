"""Databases by the scheme of their URL (rule D1)."""

from collections.abc import Callable

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.texts import suggestion
from experiment_pipeline.sources.clickhouse_rows import ClickHouseDatabase
from experiment_pipeline.sources.postgres_rows import open_postgres
from experiment_pipeline.sources.source_rows import Database
from experiment_pipeline.sources.sqlite_rows import SqliteDatabase
from experiment_pipeline.sources.warehouse_rows import open_bigquery, open_snowflake

OPENERS: dict[str, Callable[[ConnectionUrl], Database]] = {
    "postgresql": open_postgres,
    "postgres": open_postgres,
    "clickhouse": ClickHouseDatabase,
    "chdb": ClickHouseDatabase,
    "sqlite": SqliteDatabase,
    "snowflake": open_snowflake,
    "bigquery": open_bigquery,
}


def open_database(url: str, key: str) -> Database:
    """Return the database of a URL; nothing is connected before it is read.

    Args:
        url: with its secrets, which no message holds.
        key: of the connection, for messages.

    Raises:
        ConfigurationError: the URL is none of a database that can be read, or a driver is not installed.
    """
    parsed = ConnectionUrl(url, key)
    if parsed.scheme not in OPENERS:
        allowed = f"must begin with {', '.join(f'{scheme}://' for scheme in OPENERS)}"
        raise parsed.refused(f"Its URL {allowed}.{suggestion(parsed.scheme, OPENERS)}")
    return OPENERS[parsed.scheme](parsed)
