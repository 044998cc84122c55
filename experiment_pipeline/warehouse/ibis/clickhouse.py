"""ClickHouse as the engine, over its HTTP interface; `chdb:///PATH` is the same engine in this process (rules N5, N7).

chdb opens a folder for one process at a time.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.warehouse.ibis.engine import Answer, Dialect, Engine

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

CLICKHOUSE = Dialect("clickhouse", exact={"uniqIf": "uniqExactIf"})
CHDB = "chdb"
CONNECT_TIMEOUT = 10  # seconds
READS_ONLY = {"1", "2"}
REMEDIES = {
    "UNKNOWN_TABLE": "There is no table of events: create it with the SQL of `warehouse init`.",
    "UNKNOWN_IDENTIFIER": "The table of events lacks a column: compare it with `warehouse init`.",
    "ACCESS_DENIED": "The account may not read: `warehouse init --grants` prints the rights it needs.",
    "TIMEOUT_EXCEEDED": "The statement took longer than the limit: raise --timeout.",
    "MEMORY_LIMIT_EXCEEDED": "The server's memory limit is too small for this statement.",
    "AUTHENTICATION_FAILED": "Check user and password of the URL.",
}


def open_clickhouse(url: ConnectionUrl, timeout: timedelta) -> Engine:
    """Connect to ClickHouse, to read alone.

    Args:
        url: `clickhouse://USER:PASSWORD@HOST:8123/DATABASE?secure=true`, or `chdb:///PATH`.
        timeout: of one statement.

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
            client.set_client_setting("max_execution_time", int(timeout.total_seconds()))
            client.set_client_setting("readonly", 1)

    def run(sql: str) -> Answer:
        with _failing(url):
            found = client.query(sql)
        read = {key: int(found.summary[key]) for key in ("read_rows", "read_bytes") if key in (found.summary or {})}
        return Answer([dict(zip(found.column_names, row, strict=True)) for row in found.result_rows], **read)

    def plan(sql: str) -> str:
        return "\n".join(str(row["explain"]) for row in run(f"explain indexes = 1 {sql}").rows)

    return Engine(CLICKHOUSE, run, plan, client.close)


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
