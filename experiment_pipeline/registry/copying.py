"""Copy of a registry to another database, SQLite or PostgreSQL: every row, checked, and resumed after a kill.

prepare  one transaction makes the tables and marks the target as unfinished: nobody can open it as a registry
copy     one transaction per batch of rows adds them and notes how far the copy has come
compare  rows and digest of each table agree
finish   one transaction sets the numbers that follow and takes the mark away
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
    tuple_,
    update,
)

from experiment_pipeline.errors import Conflict
from experiment_pipeline.registry.columns import metadata
from experiment_pipeline.registry.engine import (
    UNFINISHED_COPY,
    Database,
    current_revision,
    head_revision,
    is_current,
    lock_migrations,
    reading,
    upgrade,
    writing,
)
from experiment_pipeline.registry.tables import VERSION_TABLE, audit_log

BATCH_ROWS = 1_000  # payloads have about 10 kB
TABLES = tuple(metadata.sorted_tables)  # what is referred to comes first
progress = Table(  # in the target, while the copy is unfinished
    "experiment_pipeline_copy",
    MetaData(),
    Column("name", String(64), primary_key=True),  # of a table, or one of the two below
    Column("value", Text, nullable=False),  # the key of the last row that was copied, as JSON; empty for none yet
)
SOURCE, REVISION = "(source)", "(revision)"
START_AGAIN = "Empty the target database, or delete its file, and copy again."
OnRows = Callable[[str, int], None]  # told a table's name and how many rows of it were copied, or compared, just now


@dataclass(frozen=True, slots=True)
class TableSummary:
    """The contents of a table: how many rows, and a digest that depends neither on their order nor on the database."""

    name: str
    rows: int
    digest: str


def _no_rows(_table: str, _rows: int) -> None:
    return None


def count_rows(source: Database) -> dict[str, int]:
    """Return the number of rows of each table, in the order in which they are copied."""
    with reading(source) as connection:
        return {table.name: _count(connection, table) for table in TABLES}


def require_copyable(source: Database, target: Engine) -> bool:
    """Return whether the target holds an unfinished copy of the source already; nothing changes.

    Raises:
        Conflict: the target holds something else: a registry, an unfinished copy of another one, or tables that are in
            the way.
    """
    with reading(source) as connection:
        fingerprint = _fingerprint(connection)
    with reading(target) as connection:
        return _is_begun(connection, fingerprint)


def is_copied(source: Database, target: Engine) -> bool:
    """Return whether the target holds a finished copy of the source already."""
    return is_current(target) and summarise(target) == summarise(source)


def copy_registry(source: Database, target: Engine, on_rows: OnRows = _no_rows) -> list[TableSummary]:
    """Copy every row, or go on with a copy that was interrupted; the source is only read.

    Args:
        source: a registry whose schema is up to date. Given as a transaction, what that transaction sees is copied;
            otherwise what is there at the end is compared as well: nobody may change it meanwhile.
        target: an empty database.
        on_rows: called after every batch.

    Returns:
        What each table holds.

    Raises:
        Conflict: see `require_copyable`; or the source was changed meanwhile, and the copy stays unfinished.
    """
    with reading(source) as connection:
        _prepare(target, _fingerprint(connection))
        for table in TABLES:
            _copy_table(connection, target, table, on_rows)
    with reading(source) as connection:
        expected = summarise(connection)
        with reading(target) as copied:
            differing = [each.name for each, other in zip(expected, summarise(copied), strict=True) if each != other]
        if differing:
            raise Conflict(
                f"The copy differs in {', '.join(differing)}: the registry was changed meanwhile. Stop every process "
                f"of the installation. {START_AGAIN}"
            )
        _finish(target, {table: _last_number(connection, table) for table in TABLES if _is_numbered(table)})
    return expected


def summarise(source: Database, on_rows: OnRows = _no_rows) -> list[TableSummary]:
    """Return the summary of every table."""
    with reading(source) as connection:
        return [_summary(connection, table, on_rows) for table in TABLES]


def _is_begun(target: Connection, fingerprint: str) -> bool:
    """Return whether an unfinished copy of this source is there; False for an empty target."""
    names = set(inspect(target).get_table_names())
    found = [table for table in TABLES if table.name in names]
    if current_revision(target) == UNFINISHED_COPY:
        noted = {row.name: row.value for row in target.execute(select(progress))}
        if noted[SOURCE] != fingerprint:
            raise Conflict(f"The target holds an unfinished copy of another registry. {START_AGAIN}")
        if noted[REVISION] != head_revision():
            raise Conflict(f"The target holds an unfinished copy by another version of this program. {START_AGAIN}")
        return True
    if found and VERSION_TABLE not in names:
        raise Conflict(f"The target is not empty: it has a table {found[0].name}, which is no registry's.")
    if any(_has_rows(target, table) for table in found):
        same = audit_log in found and _fingerprint(target) == fingerprint
        holds = "this registry already, or a finished copy of it" if same else "the registry of another installation"
        raise Conflict(f"The target is not empty: it holds {holds}. Name an empty database.")
    return False


def _prepare(target: Engine, fingerprint: str) -> None:
    with writing(target) as connection:
        lock_migrations(connection)
        if _is_begun(connection, fingerprint):
            return
        upgrade(connection)
        progress.create(connection)
        noted = {SOURCE: fingerprint, REVISION: head_revision(), **{table.name: "" for table in TABLES}}
        connection.execute(insert(progress), [{"name": name, "value": value} for name, value in noted.items()])
        _set_revision(connection, UNFINISHED_COPY)


def _copy_table(source: Connection, target: Engine, table: Table, on_rows: OnRows) -> None:
    at_table = progress.c.name == table.name
    with reading(target) as connection:
        before = connection.scalars(select(progress.c.value).where(at_table)).one()
        if before:
            on_rows(table.name, _count(connection, table))
    adding = _insertion(target, table)
    for rows in _batches(source, table, json.loads(before) if before else None):
        last = json.dumps([rows[-1][column.name] for column in table.primary_key.columns])
        with writing(target) as connection:
            if (
                connection.execute(
                    update(progress).where(at_table, progress.c.value == before).values(value=last)
                ).rowcount
                == 0
            ):
                raise Conflict("Another process is copying into the target.")
            connection.execute(adding, [{f"new_{name}": value for name, value in row.items()} for row in rows])
        before = last
        on_rows(table.name, len(rows))


def _finish(target: Engine, last_numbers: Mapping[Table, int]) -> None:
    with writing(target) as connection:
        for table, number in last_numbers.items():
            _set_last_number(connection, table, number)
        progress.drop(connection)
        _set_revision(connection, head_revision())


def _batches(source: Connection, table: Table, after: Sequence[Any] | None) -> Iterator[Sequence[RowMapping]]:
    """Yield the rows in order of their keys, JSON as the text that is stored, beginning after a key."""
    key = tuple(table.primary_key.columns)
    columns = [_portable(column).label(column.name) for column in table.columns]
    while True:
        statement = select(*columns).order_by(*key).limit(BATCH_ROWS)
        if after is not None:
            bounds = [bindparam(None, value, column.type) for value, column in zip(after, key, strict=True)]
            statement = statement.where(tuple_(*key) > tuple_(*bounds))
        rows = source.execute(statement).mappings().all()
        if not rows:
            return
        yield rows
        after = [rows[-1][column.name] for column in key]


def _portable(column: Column[Any]) -> ColumnElement[Any]:
    """Return a column as it is copied: the text of JSON keeps null apart from none, and numbers as written."""
    return cast(column, Text) if isinstance(column.type, JSON) else column


def _insertion(target: Engine, table: Table) -> Any:
    values: dict[str, ColumnElement[Any]] = {}
    for column in table.columns:
        is_json = isinstance(column.type, JSON)
        value = bindparam(f"new_{column.name}", type_=Text() if is_json else column.type)
        values[column.name] = cast(value, JSON) if is_json and target.dialect.name == "postgresql" else value
    return insert(table).values(values)


def _summary(connection: Connection, table: Table, on_rows: OnRows) -> TableSummary:
    count, total = 0, 0
    for rows in _batches(connection, table, None):
        for row in rows:
            values = [value.isoformat() if isinstance(value, datetime) else value for value in row.values()]
            total += int.from_bytes(sha256(json.dumps(values).encode()).digest())
        count += len(rows)
        on_rows(table.name, len(rows))
    return TableSummary(table.name, count, f"{total % (1 << 256):064x}")


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _has_rows(connection: Connection, table: Table) -> bool:
    return connection.execute(select(text("1")).select_from(table).limit(1)).first() is not None


def _fingerprint(connection: Connection) -> str:
    """Return what tells one registry from others: a digest of its first audit record, which never changes."""
    columns = [_portable(column).label(column.name) for column in audit_log.columns]
    first = connection.execute(select(*columns).order_by(audit_log.c.id).limit(1)).first()
    return sha256(repr(first and tuple(first)).encode()).hexdigest()


def _set_revision(connection: Connection, revision: str) -> None:
    connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :revision"), {"revision": revision})  # noqa: S608


def _is_numbered(table: Table) -> bool:
    """Return whether the database numbers the rows of a table, and never uses a number again."""
    return bool(table.dialect_options["sqlite"]["autoincrement"])


def _last_number(connection: Connection, table: Table) -> int:
    """Return the highest number that a row of a table ever had, deleted ones included."""
    if connection.dialect.name == "sqlite":
        found = connection.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
        return found or 0
    last = connection.execute(text(f"SELECT last_value, is_called FROM {_sequence(connection, table)}")).one()  # noqa: S608
    return int(last.last_value) if last.is_called else 0


def _set_last_number(connection: Connection, table: Table, number: int) -> None:
    if connection.dialect.name == "sqlite":
        sequences = Table("sqlite_sequence", MetaData(), Column("name", Text), Column("seq"))
        connection.execute(delete(sequences).where(sequences.c.name == table.name))
        connection.execute(insert(sequences).values(name=table.name, seq=number))
    elif number:
        connection.execute(select(func.setval(_sequence(connection, table), number)))


def _sequence(connection: Connection, table: Table) -> str:
    (column,) = table.primary_key.columns
    return str(connection.scalar(select(func.pg_get_serial_sequence(table.name, column.name))))
