"""ClickHouse as the engine, over its HTTP interface; `chdb:///PATH` is the same engine in this process (rules N5, N7).

chdb opens a folder for one process at a time.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sqlglot import exp

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.warehouse.ibis.engine import Answer, Dialect, Engine
from experiment_pipeline.warehouse.ibis.properties import PropertySql
from experiment_pipeline.warehouse.limits import WarehouseLimits

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

KIND = (
    "case JSONType({at}) when 'String' then 'string' when 'Bool' then 'boolean' when 'Object' then 'object'"
    " when 'Array' then 'array' when 'Int64' then 'number' when 'UInt64' then 'number' when 'Double' then 'number' end"
)
# JSONExtractString gives 100 for 1e2, 2.5 for 2.50 and 0 for -0: there the text is read again with every number in
# quotes. This is what stands before a number, strings whole, and the number; a 0 is put at the end and taken away.
EACH_NUMBER = r"""((?:"(?:[^"\\\\]|\\\\.)*"|[^"0-9-])*)(-?[0-9][0-9.eE+-]*)"""
IN_QUOTES = f"""replaceRegexpAll(concat({{column}}, '0'), '{EACH_NUMBER}', '\\\\1"\\\\2"')"""
PROPERTIES = PropertySql(
    name=", {name}",
    kind=KIND,
    text=(
        "case when JSONType({at}) = 'Double' or (JSONType({at}) = 'Int64' and JSONExtractString({at}) = '0')"
        f" then JSONExtractString(substring({IN_QUOTES}, 1, length({IN_QUOTES}) - 3){{names}})"
        " when JSONType({at}) in ('String', 'Bool', 'Int64', 'UInt64') then JSONExtractString({at}) end"
    ),
    number="case when JSONType({at}) in ('Int64', 'UInt64', 'Double') then JSONExtractFloat({at}) end",
)
CLICKHOUSE = Dialect("clickhouse", exact={"uniqIf": "uniqExactIf"}, limits_by=True, properties=PROPERTIES)
CHDB = "chdb"
CONNECT_TIMEOUT = 10  # seconds
READS_ONLY = {"1", "2"}
REMEDIES = {
    "UNKNOWN_TABLE": "There is no table of events: create it with the SQL of `warehouse init`.",
    "UNKNOWN_IDENTIFIER": "The table of events lacks a column: compare it with `warehouse init`.",
    "ACCESS_DENIED": "The account may not read: `warehouse init --grants` prints the rights it needs.",
    "TIMEOUT_EXCEEDED": "The statement took too long: raise EXPERIMENT_PIPELINE_WAREHOUSE_TIMEOUT, or --timeout.",
    "MEMORY_LIMIT_EXCEEDED": "The server's memory limit is too small for this statement.",
    "AUTHENTICATION_FAILED": "Check user and password of the URL.",
}


def open_clickhouse(url: ConnectionUrl, limits: WarehouseLimits) -> Engine:
    """Connect to ClickHouse, to read alone.

    Args:
        url: `clickhouse://USER:PASSWORD@HOST:8123/DATABASE?secure=true`, or `chdb:///PATH`.
        limits: of its statements.

    Raises:
        SourceUnreachable: the server does not answer.
        ConfigurationError: it refuses the account, or the driver is not installed.
    """
    needed = ["clickhouse_connect", *([CHDB] if url.scheme == CHDB else [])]
    if missing := [each for each in needed if not find_spec(each)]:
        raise url.refused(f"{url.scheme}:// needs the Python package {' and '.join(missing)}.")
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # what it warns of is raised as well
    with _failing(url):
        client = _client(url)
        if client.server_settings["readonly"].value not in READS_ONLY:
            client.set_client_setting("max_execution_time", int(limits.timeout.total_seconds()))
            client.set_client_setting("log_comment", "experiment-pipeline")
            client.set_client_setting("cancel_http_readonly_queries_on_client_close", 1)
            client.set_client_setting("readonly", 0 if limits.writes else 1)

    def run(sql: str) -> Answer:
        with _failing(url):
            found = client.query(sql)
        read = {key: int(found.summary[key]) for key in ("read_rows", "read_bytes") if key in (found.summary or {})}
        return Answer(
            [dict(zip(found.column_names, row, strict=True)) for row in found.result_rows],
            **read,
            query_id=found.query_id or None,
        )

    def plan(sql: str) -> str:
        return "\n".join(str(row["explain"]) for row in run(f"explain indexes = 1 {sql}").rows)

    def estimate(sql: str) -> int | None:
        tables = run(f"explain estimate {sql}").rows
        return sum(int(each["rows"]) * _row_bytes(each["database"], each["table"]) for each in tables)

    def _row_bytes(database: str, table: str) -> int:
        """Return the uncompressed bytes of a row of a table, on average, rounded up."""
        of_table = f"active and database = {_text(database)} and table = {_text(table)}"
        sizes = f"select sum(data_uncompressed_bytes) as bytes, sum(rows) as n from system.parts where {of_table}"  # noqa: S608
        (found,) = run(sizes).rows
        return -(-int(found["bytes"] or 0) // max(1, int(found["n"] or 0)))

    return Engine(CLICKHOUSE, run, plan, client.close, estimate)


def _client(url: ConnectionUrl) -> "Client":
    from clickhouse_connect import get_client

    if url.scheme == CHDB:
        return get_client(dsn=url.text)
    secure = url.options.get("secure", "").lower() in {"true", "1", "yes"} or url.port in {443, 8443}
    return get_client(
        host=url.parts.hostname or "localhost",
        port=url.port or (8443 if secure else 8123),
        secure=secure,
        username=url.user,
        password=url.password or "",
        database=url.parts.path.strip("/") or None,
        connect_timeout=CONNECT_TIMEOUT,
        autogenerate_session_id=False,
        show_clickhouse_errors=True,
    )


def _text(value: str) -> str:
    return str(exp.Literal.string(value).sql(dialect=CLICKHOUSE.name))


@contextmanager
def _failing(url: ConnectionUrl) -> Iterator[None]:
    from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

    try:
        yield
    except (ClickHouseError, RuntimeError) as error:  # chdb raises its own as RuntimeError
        said = url.told(str(error))
        remedy = next((told for code, told in REMEDIES.items() if code in str(error)), None)
        if remedy is None and isinstance(error, OperationalError):
            raise url.unreachable(f"{said} Is the server up, and reachable from here?") from None
        raise url.refused(f"{said} {remedy or ''}".rstrip()) from None
