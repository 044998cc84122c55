"""Databases that results are written to: DuckDB, PostgreSQL and ClickHouse, a look's rows all or none (P9).

The table has the columns of `results_table.COLUMNS`. It is made where it is not there; one that is needs the rights to
insert and to delete alone.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import duckdb
import psycopg
from dagster_duckdb import DuckDBResource
from typing_extensions import override

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.sources import DUCKDB
from experiment_pipeline.errors import ConfigurationError, ExperimentPipelineError
from experiment_pipeline.results.results_table import COLUMNS, LOOK_KEY, ROW_KEY, ColumnType
from experiment_pipeline.sources.clickhouse_rows import connecting
from experiment_pipeline.sources.postgres_rows import conninfo

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

FIELD = "results.table"
IN_MEMORY, SERVICE = ":memory:", "md:"
CLICKHOUSE_TYPES = {
    ColumnType.TEXT: "String",
    ColumnType.WHOLE: "Int64",
    ColumnType.NUMBER: "Float64",
    ColumnType.TRUTH: "Bool",
    ColumnType.TIME: "DateTime64(6, 'UTC')",
}
NAMES = ", ".join(column.name for column in COLUMNS)
Row = Mapping[str, object]


class ResultsDatabase(Protocol):
    """A database that has a table of results."""

    def write(self, table: str, rows: Sequence[Row]) -> None:
        """Write the rows of one look, in the place of those that the table has of it.

        Args:
            table: its name, as SQL has it.
            rows: of one look, with every column.

        Raises:
            ConfigurationError: the table is none that can be written; nothing was.
            SourceUnreachable: the server does not answer.
        """

    def holds(self, table: str, row: Row) -> bool:
        """Whether the table has rows of the look that a row is of."""


@dataclass(frozen=True, slots=True)
class DuckDBResults(ResultsDatabase):
    """A DuckDB database that is a resource of the project, or a connection to a file.

    Attributes:
        key: of the resource, for messages.
        resource: of the project.
    """

    key: str
    resource: object

    @property
    def url(self) -> str:
        """The URL that its tables are read by.

        Raises:
            ConfigurationError: the resource is none of DuckDB, or its database is not in a file.
        """
        path = self._resource.database
        if path.startswith((IN_MEMORY, SERVICE)) or not path:
            message = f"Its database is {path or IN_MEMORY}: must be a file, which can be read while others use it."
            raise ConfigurationError.of(f"warehouse ({self.key})", message)
        return f"{DUCKDB}{path}"

    @override
    def write(self, table: str, rows: Sequence[Row]) -> None:
        try:
            with self._resource.get_connection() as connection, connection:
                connection.execute("begin")
                connection.execute(_create(table))
                connection.execute(f"delete from {table} {_of_look('?')}", _look(rows[0]))
                connection.executemany(_insert(table, "?"), [_values(row) for row in rows])
                connection.execute("commit")
        except duckdb.Error as error:
            raise _unwritable(table, " ".join(str(error).split())[:300]) from error

    @override
    def holds(self, table: str, row: Row) -> bool:
        try:
            with self._resource.get_connection() as connection, connection:
                look = f"select 1 from {table} {_of_look('?')} limit 1"
                return bool(connection.execute(look, _look(row)).fetchall())
        except duckdb.CatalogException:
            return False

    @property
    def _resource(self) -> DuckDBResource:
        if not isinstance(self.resource, DuckDBResource):
            message = (
                f"Is a {type(self.resource).__name__}: only a DuckDBResource can be read. Name the database in "
                "`connections` by a url_env, and that connection in `warehouse`."
            )
            raise ConfigurationError.of(f"warehouse ({self.key})", message)
        return self.resource


@dataclass(frozen=True, slots=True)
class PostgresResults(ResultsDatabase):
    """A PostgreSQL database, by its URL; a look is written in one transaction."""

    url: ConnectionUrl

    @override
    def write(self, table: str, rows: Sequence[Row]) -> None:
        with self._connected(table) as connection, connection.cursor() as cursor:
            if not self._is_there(cursor, table):  # creating needs rights that writing does not
                cursor.execute(_create(table).encode())
            cursor.execute(f"delete from {_literally(table)} {_of_look('%s')}".encode(), _look(rows[0]))
            cursor.executemany(_insert(_literally(table), "%s").encode(), [_values(row) for row in rows])

    @override
    def holds(self, table: str, row: Row) -> bool:
        with self._connected(table) as connection, connection.cursor() as cursor:
            if not self._is_there(cursor, table):
                return False
            cursor.execute(f"select 1 from {_literally(table)} {_of_look('%s')} limit 1".encode(), _look(row))
            return cursor.fetchone() is not None

    @staticmethod
    def _is_there(cursor: "psycopg.Cursor[tuple[object, ...]]", table: str) -> bool:
        return cursor.execute(b"select to_regclass(%s)", [table]).fetchone() != (None,)

    @contextmanager
    def _connected(self, table: str) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
        """Give a connection with a transaction that ends with the block."""
        try:
            connection = psycopg.connect(conninfo(self.url))
        except psycopg.OperationalError as error:
            raise self.url.unreachable(self.url.told(str(error))) from None
        try:
            with connection:
                yield connection
        except psycopg.Error as error:
            raise _unwritable(table, self.url.told(str(error))) from None


@dataclass(frozen=True, slots=True)
class ClickHouseResults(ResultsDatabase):
    """A ClickHouse database, by its URL; the rows of a look are one insert, which is there whole or not at all.

    ClickHouse has no transactions: where a look is written once more, nobody sees its rows for a moment.
    """

    url: ConnectionUrl

    @override
    def write(self, table: str, rows: Sequence[Row]) -> None:
        columns = [f"{column.name} {_clickhouse_type(column.name, column.type)}" for column in COLUMNS]
        lines = "\n".join(json.dumps({name: _json(value) for name, value in row.items()}) for row in rows)
        with self._connected(table) as client:
            if client.command(f"exists table {table}") != 1:
                order = f"engine = MergeTree order by ({', '.join(ROW_KEY)})"
                client.command(f"create table if not exists {table} ({', '.join(columns)}) {order}")
            if self._has(client, table, rows[0]):
                client.command(f"delete from {table} {_of_look_in_clickhouse()}", parameters=_parameters(rows[0]))
            options = {"date_time_input_format": "best_effort", "async_insert": 0}
            client.raw_insert(table, [column.name for column in COLUMNS], lines, options, "JSONEachRow")

    @override
    def holds(self, table: str, row: Row) -> bool:
        with self._connected(table) as client:
            return client.command(f"exists table {table}") == 1 and self._has(client, table, row)

    @staticmethod
    def _has(client: "Client", table: str, row: Row) -> bool:
        found = client.command(f"select count() from {table} {_of_look_in_clickhouse()}", parameters=_parameters(row))
        return found != 0

    @contextmanager
    def _connected(self, table: str) -> "Iterator[Client]":
        connect = connecting(self.url)
        from clickhouse_connect.driver.exceptions import Error, OperationalError

        try:
            with closing(connect()) as client:
                yield client
        except ExperimentPipelineError:
            raise
        except OperationalError as error:
            raise self.url.unreachable(self.url.told(str(error))) from None
        except Error as error:
            raise _unwritable(table, self.url.told(str(error))) from None


def results_database(url: ConnectionUrl) -> ResultsDatabase:
    """Return the database of a connection.

    Raises:
        ConfigurationError: results are not written to databases of its kind.
    """
    match url.scheme:
        case "duckdb":
            return DuckDBResults(url.key, DuckDBResource(database=url.text.removeprefix(DUCKDB)))
        case "postgresql" | "postgres":
            return PostgresResults(url)
        case "clickhouse" | "chdb":
            return ClickHouseResults(url)
    message = f"Must be left out: results are written to DuckDB, PostgreSQL and ClickHouse, not to {url.scheme}://."
    raise ConfigurationError.of(FIELD, message)


def _unwritable(table: str, said: str) -> ConfigurationError:
    return ConfigurationError.of(FIELD, f"Cannot be written to {table}: {said}")


def _create(table: str) -> str:
    return f"create table if not exists {table} ({', '.join(f'{each.name} {each.type}' for each in COLUMNS)})"


def _insert(table: str, place: str) -> str:
    return f"insert into {table} ({NAMES}) values ({', '.join(place for _ in COLUMNS)})"


def _of_look(place: str) -> str:
    return "where " + " and ".join(f"{name} = {place}" for name in LOOK_KEY)


def _look(row: Row) -> list[object]:
    return [row[name] for name in LOOK_KEY]


def _values(row: Row) -> list[object]:
    """Return the cells as drivers take them: a text of a type of its own as text."""
    return [str(value) if isinstance(value := row[column.name], str) else value for column in COLUMNS]


def _literally(table: str) -> str:
    """Return a name for a statement in which psycopg replaces what begins with %."""
    return table.replace("%", "%%")


def _clickhouse_type(name: str, kind: ColumnType) -> str:
    return CLICKHOUSE_TYPES[kind] if name in ROW_KEY else f"Nullable({CLICKHOUSE_TYPES[kind]})"


def _of_look_in_clickhouse() -> str:
    kinds = {column.name: CLICKHOUSE_TYPES[column.type] for column in COLUMNS}
    return "where " + " and ".join(f"{name} = {{{name}:{kinds[name]}}}" for name in LOOK_KEY)


def _parameters(row: Row) -> dict[str, object]:
    return {name: row[name] for name in LOOK_KEY}


def _json(value: object) -> object:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
