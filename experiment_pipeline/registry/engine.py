"""The registry's database: SQLite in WAL mode or PostgreSQL, and how its schema comes up to date."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache, partial
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import TypeAlias
from urllib.parse import quote, unquote, urlsplit

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError

from experiment_pipeline.errors import ConfigurationError, Conflict, RegistryUnreachable
from experiment_pipeline.registry import postgres
from experiment_pipeline.registry.outages import Guard
from experiment_pipeline.registry.tables import VERSION_TABLE
from experiment_pipeline.registry.wait_limits import WaitLimits

UNFINISHED_COPY = "unfinished copy"  # in the place of a revision: nothing opens such a database as a registry
IS_WRITER = "experiment_pipeline_writer"
GUARD = "experiment_pipeline_guard"
Database: TypeAlias = Engine | Connection  # where a transaction is begun, or one that has begun
to_json = partial(json.dumps, allow_nan=False, separators=(",", ":"))  # PostgreSQL has no NaN in JSON either


def open_engine(url: str, limits: WaitLimits | None = None) -> Engine:
    """Return an engine for a SQLAlchemy URL; nothing is connected yet.

    Raises:
        ConfigurationError: the URL is none, or of another database. It does not repeat the URL, which may hold a
            password. `reading` and `writing` raise it for a database whose encoding is not UTF-8.
        RegistryUnreachable: the folder of a SQLite file cannot be made.
    """
    limits = limits or WaitLimits()
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except ArgumentError:
        raise ConfigurationError.of("registry_url", "Must be a SQLAlchemy URL, e.g. sqlite:////path/file") from None
    guard = Guard(limits, one_writer=backend == "sqlite")
    if backend == "sqlite":
        engine = _open_sqlite(parsed, limits)
    elif backend == "postgresql":
        engine = postgres.open_postgresql(parsed, limits, json_serializer=to_json)
    else:
        raise ConfigurationError.of("registry_url", f"Must begin with sqlite or postgresql, got {backend}.")
    engine.update_execution_options(**{GUARD: guard})
    return engine


@contextmanager
def closing_engine(engine: Engine) -> Iterator[Engine]:
    """Yield an engine, and close its connections at the end of the block."""
    try:
        yield engine
    finally:
        engine.dispose()


def open_read_only(file: Path, *, immutable: bool = True) -> Engine:
    """Return an engine that reads a SQLite file.

    Args:
        immutable: nobody writes to it, and it may lie where nothing can be written.
    """
    kept = "&immutable=1" if immutable else ""
    engine = create_engine(f"sqlite:///file:{quote(str(file.absolute()))}?mode=ro{kept}&uri=true")
    engine.update_execution_options(**{GUARD: Guard(WaitLimits(), one_writer=True)})
    return engine


def open_existing(url: str) -> Engine | None:
    """Return an engine that reads a database as it is: it makes no file and no folder; None where a file is missing.

    A SQLite database in use has a write-ahead log, which is read with it; without one the file is all that there is.

    Raises:
        ConfigurationError: the URL is none, or of another database.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError.of("registry_url", "Must be a SQLAlchemy URL, e.g. sqlite:////path/file") from None
    if parsed.get_backend_name() != "sqlite":
        return open_engine(url)
    file = sqlite_file(parsed)
    if file is None or not file.is_file():
        return None
    return open_read_only(file, immutable=not Path(f"{file}-wal").exists())


def shown(url: str) -> str:
    """Return what may be shown of a URL: the kind of database, its host and its name; no user, password or option.

    Raises:
        ConfigurationError: the text is not a URL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError.of("registry_url", "Must be a SQLAlchemy URL, e.g. sqlite:////path/file") from None
    kept = URL.create(parsed.get_backend_name(), host=parsed.host, port=parsed.port, database=parsed.database)
    return kept.render_as_string()


def migrate(engine: Engine) -> None:
    """Bring the schema up to date; processes that start at once wait for each other and find it done.

    Raises:
        Conflict: the database holds an unfinished copy of a registry (`registry.copying`).
    """
    with _transaction(engine) as connection:
        if current_revision(connection) == head_revision():  # the usual case, and it waits for no writer
            return
    with _altering(engine) as connection:
        lock_migrations(connection)
        if current_revision(connection) == UNFINISHED_COPY:
            raise Conflict(
                "The database holds an unfinished copy of a registry. Finish it: repeat `experiment-pipeline registry "
                "copy` with the settings of the registry that it is a copy of."
            )
        upgrade(connection)


def lock_migrations(connection: Connection) -> None:
    """Wait until no other process changes the schema; on SQLite a writer is alone anyway."""
    if connection.dialect.name == "postgresql":
        postgres.lock_migrations(connection)


def upgrade(connection: Connection) -> None:
    """Bring the schema up to date within a transaction."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def migrate_when_reached(engine: Engine) -> None:
    """Bring the schema up to date as soon as the database can be reached: before anything else is read or written."""
    guard_of(engine).prepare = partial(migrate, engine)


def is_current(engine: Engine) -> bool:
    """Return whether the schema is the one that this code needs."""
    with reading(engine) as connection:
        return current_revision(connection) == head_revision()


def current_revision(connection: Connection) -> str | None:
    """Return the schema's revision; None for a database without a registry."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


@cache
def head_revision() -> str:
    """Return the revision that this code needs."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def guard_of(engine: Engine) -> Guard:
    """Return what keeps callers of an engine from waiting in vain."""
    guard = engine.get_execution_options()[GUARD]
    assert isinstance(guard, Guard)  # noqa: S101 - a fact for the type checker
    return guard


def knows_revision(revision: str) -> bool:
    """Return whether a schema of this revision is not newer than this code."""
    return any(script.revision == revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


@contextmanager
def reading(database: Database) -> Iterator[Connection]:
    """Yield a transaction whose every query sees the same state; where one has begun already, that one.

    Raises:
        RegistryUnavailable: the database does not answer now.
    """
    if isinstance(database, Connection):
        yield database
        return
    guard_of(database).require_prepared()
    with _transaction(database) as connection:
        yield connection


@contextmanager
def writing(database: Database) -> Iterator[Connection]:
    """Yield a transaction that changes something, all of it or nothing; where one has begun already, that one.

    Raises:
        RegistryUnavailable: the database does not answer now, or takes no changes.
        RuntimeError: the transaction that has begun only reads.
    """
    if isinstance(database, Connection):
        if not _is_writer(database):
            raise RuntimeError("A transaction that was begun to read cannot change anything.")
        yield database
        return
    guard_of(database).require_prepared()
    with _transaction(database, writes=True) as connection:
        yield connection


@contextmanager
def _transaction(engine: Engine, *, writes: bool = False) -> Iterator[Connection]:
    options: dict[str, object] = {IS_WRITER: writes}
    if engine.dialect.name == "postgresql" and not writes:
        options["isolation_level"] = "REPEATABLE READ"
    with (
        guard_of(engine).attempt(writes=writes),
        engine.connect().execution_options(**options) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def _altering(engine: Engine) -> Iterator[Connection]:
    """Yield a transaction that changes the schema.

    SQLite alters a table by copying it and dropping the old one, and would refuse that while rows of another table
    refer to it. So references are not held meanwhile; all are checked at the end, before anything counts.

    Raises:
        Conflict: rows refer to others that are not there; nothing has changed.
    """
    with (
        guard_of(engine).attempt(writes=True),
        engine.connect().execution_options(**{IS_WRITER: True}) as connection,
    ):
        _hold_references(connection, is_on=False)
        try:
            with connection.begin():
                yield connection
                if engine.dialect.name == "sqlite":
                    _check_references(connection)
        finally:
            _hold_references(connection, is_on=True)


def _hold_references(connection: Connection, *, is_on: bool) -> None:
    """Let SQLite hold references or not; it does not change its mind within a transaction, so none has begun yet."""
    if connection.dialect.name == "sqlite":
        with closing(connection.connection.cursor()) as cursor:
            cursor.execute(f"PRAGMA foreign_keys = {'ON' if is_on else 'OFF'}")


def _check_references(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        tables = ", ".join(sorted({table for table, *_ in broken}))
        raise Conflict(f"The schema stays as it is: {len(broken)} rows of {tables} refer to rows that are not there.")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "experiment_pipeline.registry:migrations")
    return config


def sqlite_file(url: URL) -> Path | None:
    """Return the file that a SQLite URL names, as a path or as a `file:` URI; None for a database in memory."""
    name = url.database or ""
    if name.startswith("file:") and url.query.get("uri") == "true":
        name = unquote(urlsplit(name).path)
    return None if name in {"", ":memory:"} else Path(name).absolute()


def _open_sqlite(url: URL, limits: WaitLimits) -> Engine:
    pool: dict[str, object] = {}
    file = sqlite_file(url)
    if file is not None:
        # As many connections as a server has threads: one that writes may wait, those that read never do.
        pool = {"pool_size": 10, "max_overflow": 40, "pool_timeout": limits.lock}
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as refused:
            raise RegistryUnreachable(str(refused)) from refused
    engine = create_engine(url, json_serializer=to_json, connect_args={"timeout": limits.lock}, **pool)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: DBAPIConnection, _record: object) -> None:
    """Readers never wait for the writer (WAL), commits survive a power cut, references hold."""
    assert isinstance(connection, SqliteConnection)  # noqa: S101 - a fact for the type checker
    connection.isolation_level = None  # the driver would begin transactions of its own, and late
    connection.create_function("lower", 1, _lower, deterministic=True)  # SQLite's own knows ASCII only
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the write lock first: one that read before it could not wait for another and would fail."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _is_writer(connection) else "BEGIN")


def _is_writer(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(IS_WRITER, False))


def _lower(value: str | None) -> str | None:
    return None if value is None else value.lower()
