"""PostgreSQL as the engine: one read-only connection with a time limit (rules N5, N7)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import dict_row

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.warehouse.ibis.engine import Answer, Dialect, Engine

POSTGRES = Dialect("postgres")
CONNECT_TIMEOUT = 10  # seconds
REMEDIES: list[tuple[type[psycopg.Error], str]] = [
    (errors.UndefinedTable, "There is no table of events: create it with the SQL of `warehouse init`."),
    (errors.UndefinedColumn, "The table of events lacks a column: compare it with `warehouse init`."),
    (errors.InsufficientPrivilege, "The account may not read: `warehouse init --grants` prints the rights it needs."),
    (errors.QueryCanceled, "The statement took longer than the limit: raise --timeout."),
    (errors.NumericValueOutOfRange, "A sum of values is too large for a double, which PostgreSQL refuses."),
]


def open_postgres(url: ConnectionUrl, timeout: timedelta) -> Engine:
    """Connect to PostgreSQL.

    Args:
        url: `postgresql://USER:PASSWORD@HOST/DATABASE`.
        timeout: of one statement.

    Raises:
        SourceUnreachable: the server does not answer.
        ConfigurationError: it refuses the account.
    """
    options = f"-c statement_timeout={int(timeout.total_seconds() * 1000)} -c default_transaction_read_only=on"
    options += " -c TimeZone=UTC"
    with _failing(url):
        connection = psycopg.connect(
            url.text,
            autocommit=True,
            options=options,
            connect_timeout=CONNECT_TIMEOUT,
            application_name="experiment-pipeline",
        )

    def run(sql: str) -> Answer:
        with _failing(url), connection.cursor(row_factory=dict_row) as cursor:
            return Answer(cursor.execute(sql.encode()).fetchall())

    def plan(sql: str) -> str:
        found: list[dict[str, Any]] = run(f"explain {sql}").rows
        return "\n".join(str(row["QUERY PLAN"]) for row in found)

    return Engine(POSTGRES, run, plan, connection.close)


@contextmanager
def _failing(url: ConnectionUrl) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        said = url.told(str(error))
        for kind, remedy in REMEDIES:
            if isinstance(error, kind):
                raise url.refused(f"{said} {remedy}") from None
        if (
            isinstance(error, psycopg.OperationalError)
            and "authentication" not in said
            and "does not exist" not in said
        ):
            raise url.unreachable(f"{said} Is the server up, and reachable from here?") from None
        raise url.refused(said) from None
