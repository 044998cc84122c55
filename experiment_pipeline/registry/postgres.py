"""PostgreSQL as the registry needs it, whatever the defaults of server, database and role are.

A connection sets what the registry relies on when it is made, and waits for no answer for ever: a network that is cut
says nothing.
"""

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.types.json import Json
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from typing_extensions import override

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.registry.outages import ServerSilent
from experiment_pipeline.registry.wait_limits import WaitLimits

MIGRATION_LOCK = 7_031_906  # advisory lock: an arbitrary number that nothing else here uses
MIGRATION_SECONDS = 600.0  # for one of its statements
IDLE_SECONDS = 60  # in a transaction; then the server frees the locks of a client that is cut off
PING_SECONDS = 1.0  # for the answer of a connection that was idle, and of a new one
PATIENT_SECONDS = 10.0  # the same for runs and commands, and for making a connection: a busy server is not away
READ_ONLY = "25006"
T = TypeVar("T")

# Connections that the system itself ends when the other side is gone. What the URL says goes before.
CONNECTION = {
    "connect_timeout": 3,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
SESSION = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "3",  # floats come back as they were written
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "read committed",  # `reading` asks for more
    "default_transaction_deferrable": "off",
    "synchronous_commit": "on",  # only where it is off: a batch's number must survive a power cut
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
}
# One statement; a setting that this version of the server does not have is left out.
SET = """
    SELECT pg_catalog.set_config(name, wanted.value, false)
    FROM pg_catalog.pg_settings
    JOIN (SELECT * FROM pg_catalog.json_each_text(%s::pg_catalog.json)) AS wanted(setting_name, value)
      ON pg_catalog.lower(name) = pg_catalog.lower(setting_name)
    WHERE name <> 'synchronous_commit' OR setting = 'off'
"""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that waits for the server only so long, and is closed then.

    Attributes:
        silence: seconds without a byte from the server.
        ping: the same outside of a transaction.
    """

    silence: float = PING_SECONDS
    ping: float = PING_SECONDS

    @override
    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Run a conversation with the server. Raises ServerSilent."""
        # Only the pool's ping and the settings of a new connection are sent outside of a transaction.
        seconds = self.ping if self.autocommit else self.silence
        try:
            return super().wait(_bounded(gen, seconds), interval, timeout)
        except ServerSilent:
            self.close()
            raise


def _bounded(gen: PQGen[T], seconds: float) -> PQGen[T]:
    """Return the same conversation; it ends when nothing is ready for so long."""
    until = time.monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready:
                until = time.monotonic() + seconds
            elif time.monotonic() >= until:
                raise ServerSilent(f"the server has not answered for {seconds:g} s")
            wanted = gen.send(ready)
    except StopIteration as done:
        result: T = done.value
        return result


def open_postgresql(url: URL, limits: WaitLimits, **options: Any) -> Engine:
    """Return an engine whose every connection is set up by this module.

    Args:
        url: what it says of the connection itself, and a search path among its `options`, is left as it is.
        limits: how long a call waits.
        options: further arguments of `create_engine`.
    """
    ping = max(PING_SECONDS, min(limits.lock, PATIENT_SECONDS))
    arguments = CONNECTION | {"connect_timeout": max(CONNECTION["connect_timeout"], round(ping))}
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={name: value for name, value in arguments.items() if name not in url.query},
        pool_pre_ping=True,
        pool_size=20,  # all of them stay: a new one costs a process of the server's
        max_overflow=0,
        pool_timeout=limits.lock,
        **options,
    )
    settings = SESSION | {
        "lock_timeout": _milliseconds(limits.lock),
        "statement_timeout": _milliseconds(limits.answer),
    }
    if "search_path" not in str(url.query.get("options", "")):
        settings["search_path"] = "public"
    sent = Json(settings)

    def connect(_dialect: object, _record: object, arguments: list[Any], named: dict[str, Any]) -> DBAPIConnection:
        connection = BoundedConnection.connect(*arguments, **named)
        connection.silence = connection.ping = ping
        return connection  # type: ignore[return-value] # SQLAlchemy's protocol is looser

    def prepare(connection: Any, _record: object) -> None:
        _require_utf8(connection)
        connection.autocommit = True
        connection.execute(SET, [sent])
        connection.autocommit = False

    def limit(connection: Any, _record: object, _proxy: object) -> None:
        connection.silence = limits.answer + PING_SECONDS  # the server's own limit comes first

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", prepare, insert=True)  # before SQLAlchemy asks the server for its version
    event.listen(engine, "checkout", limit)
    event.listen(engine, "handle_error", _leave_read_only)
    return engine


def lock_migrations(connection: Connection) -> None:
    """Wait until no other process changes the schema, and let the statements of this transaction take their time."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, BoundedConnection)  # noqa: S101 - a fact for the type checker
    driver.silence = MIGRATION_SECONDS  # until the connection is used for something else
    for name in ("lock_timeout", "statement_timeout"):
        connection.execute(text(f"SET LOCAL {name} = '{MIGRATION_SECONDS:.0f}s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})


def _milliseconds(seconds: float) -> str:
    return f"{max(1, round(1_000 * seconds))}ms"  # 0 would be no limit


def _require_utf8(connection: BoundedConnection) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        connection.close()
        raise ConfigurationError.of(
            "registry_url",
            f"The encoding of the PostgreSQL database is {encoding}; it must be UTF8, which holds every text. "
            "Create one with: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0.",
        )


def _leave_read_only(context: ExceptionContext) -> None:
    """Close a connection that takes no changes: after a failover the same address may lead to another server."""
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False
