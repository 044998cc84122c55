"""PostgreSQL as the engine: one read-only connection with a time limit (rules N5, N7)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import dict_row

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.warehouse.ibis.engine import Answer, Dialect, Engine
from experiment_pipeline.warehouse.ibis.properties import PropertySql
from experiment_pipeline.warehouse.limits import WarehouseLimits

TEXT = """case when jsonb_typeof({at}) in ('string', 'number', 'boolean') then ({at} #>> '{{}}') collate "C" end"""
PROPERTIES = PropertySql(
    name=" -> {name}",  # of a list it is null, unlike `#>`, which takes a text of digits for a place
    kind="jsonb_typeof({at})",
    text=TEXT,
    # a number of JSON matches rule E5; what is too large is infinite, as the embedded engine has it
    number=(
        f"case when jsonb_typeof({{at}}) = 'number' then case"
        f" when pg_input_is_valid({TEXT}, 'double precision') then cast({TEXT} as double precision)"
        f" when abs(cast({TEXT} as numeric)) < 1 then 0.0"
        f" when cast({TEXT} as numeric) > 0 then cast('infinity' as double precision)"
        " else cast('-infinity' as double precision) end end"
    ),
)
POSTGRES = Dialect("postgres", properties=PROPERTIES)
CONNECT_TIMEOUT = 10  # seconds
NOTICED_AFTER = 2_000  # milliseconds after which the server ends the statement of a client that was killed
REMEDIES: list[tuple[type[psycopg.Error], str]] = [
    (errors.UndefinedTable, "There is no table of events: create it with the SQL of `warehouse init`."),
    (errors.UndefinedColumn, "The table of events lacks a column: compare it with `warehouse init`."),
    (errors.InsufficientPrivilege, "The account may not read: `warehouse init --grants` prints the rights it needs."),
    (
        errors.QueryCanceled,
        "The statement took too long: raise EXPERIMENT_PIPELINE_WAREHOUSE_TIMEOUT, or --timeout.",
    ),
    (errors.NumericValueOutOfRange, "A sum of values is too large for a double, which PostgreSQL refuses."),
]


def open_postgres(url: ConnectionUrl, limits: WarehouseLimits) -> Engine:
    """Connect to PostgreSQL.

    Args:
        url: `postgresql://USER:PASSWORD@HOST/DATABASE`.
        limits: of its statements.

    Raises:
        SourceUnreachable: the server does not answer.
        ConfigurationError: it refuses the account.
    """
    options = f"-c statement_timeout={int(limits.timeout.total_seconds() * 1000)} -c TimeZone=UTC"
    options += f" -c default_transaction_read_only={'off' if limits.writes else 'on'}"
    options += f" -c client_connection_check_interval={NOTICED_AFTER}"
    with _failing(url):
        connection = psycopg.connect(
            url.text,
            autocommit=True,
            options=options,
            connect_timeout=CONNECT_TIMEOUT,
            application_name="experiment-pipeline",
        )

    def run(sql: str) -> Answer:
        with _failing(url), connection.cursor(row_factory=dict_row) as cursor, _cancelling(connection):
            cursor.execute(sql.encode())
            return Answer([] if cursor.description is None else cursor.fetchall())

    def plan(sql: str) -> str:
        found: list[dict[str, Any]] = run(f"explain {sql}").rows
        return "\n".join(str(row["QUERY PLAN"]) for row in found)

    def estimate(sql: str) -> int | None:
        (found,) = run(f"explain (format json) {sql}").rows
        return sum(_scanned_bytes(each["Plan"]) for each in found["QUERY PLAN"])

    return Engine(POSTGRES, run, plan, connection.close, estimate, lambda: not connection.closed)


def _scanned_bytes(plan: Mapping[str, Any]) -> int:
    """Return the bytes of the rows that the scans of a plan give, by the planner's statistics."""
    below = sum(_scanned_bytes(each) for each in plan.get("Plans", ()))
    return below + (int(plan["Plan Rows"]) * int(plan["Plan Width"]) if "Relation Name" in plan else 0)


@contextmanager
def _cancelling(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Cancel the statement on the server when the run is cancelled that waits for it (rule N5)."""
    try:
        yield
    except psycopg.Error:
        raise
    except BaseException:  # an interrupt, which is no Exception
        connection.cancel_safe(timeout=CONNECT_TIMEOUT)
        raise


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
