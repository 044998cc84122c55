"""Connections and sources in the registry, with the versions of each source (rules D0, D5)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection as Transaction
from sqlalchemy import RowMapping, Table, insert, select, update

from experiment_pipeline.domain.sources import (
    Connection,
    ConnectionDraft,
    Source,
    SourceDraft,
    check_connection,
    check_query,
    check_source,
    from_declared,
    makes_other_rows,
    to_declared,
)
from experiment_pipeline.domain.texts import printable, suggestion
from experiment_pipeline.errors import ConfigurationError, Conflict, NotFound
from experiment_pipeline.registry import audit, environments
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.source_tables import connections, source_versions, sources

EVERY_ENVIRONMENT = ""  # in the audit log: a connection is of none


@dataclass(frozen=True, slots=True)
class Connections:
    """Store of the connections."""

    database: Database

    def list(self) -> Sequence[Connection]:
        """Return every connection, by key."""
        with reading(self.database) as transaction:
            rows = transaction.execute(select(connections).order_by(connections.c.key)).mappings()
            return [Connection(key=row["key"], url_env=row["url_env"], url=row["url"]) for row in rows]

    def find(self, key: str) -> Connection:
        """Return one connection. Raises NotFound where none has this key."""
        with reading(self.database) as transaction:
            row = transaction.execute(select(connections).where(connections.c.key == key)).mappings().one_or_none()
            if row is None:
                raise _not_found(transaction, connections, "connection", key)
        return Connection(key=row["key"], url_env=row["url_env"], url=row["url"])

    def of(self, source: Source) -> Connection | None:
        """Return the connection that a source is read over; None for one of files."""
        return None if source.connection is None else self.find(source.connection)

    def declare(self, key: str, draft: ConnectionDraft, *, actor: str, now: datetime) -> Connection:
        """Add a connection, or change it.

        Raises:
            ConfigurationError: the draft breaks a rule; names the fields.
        """
        check_connection(key, draft)
        declared = Connection(key=key, url_env=draft.url_env, url=draft.url)
        values = {"url_env": draft.url_env, "url": draft.url, "updated_at": now}
        with writing(self.database) as transaction:
            before = _find(Connections(transaction), key)
            if before == declared:
                return declared
            if before is None:
                transaction.execute(insert(connections).values(key=key, created_at=now, **values))
            else:
                transaction.execute(update(connections).where(connections.c.key == key).values(values))
            audit.record(
                transaction,
                at=now,
                actor=actor,
                environment_key=EVERY_ENVIRONMENT,
                subject=f"connection:{key}",
                action="create" if before is None else "change",
                before=before,
                after=declared,
            )
        return declared


@dataclass(frozen=True, slots=True)
class Sources:
    """Store of the sources."""

    database: Database

    def list(self, environment_key: str | None = None) -> Sequence[Source]:
        """Return the sources of one environment or of all, by key."""
        statement = select(sources).order_by(sources.c.key)
        if environment_key is not None:
            statement = statement.where(sources.c.environment_key == environment_key)
        with reading(self.database) as transaction:
            return [_decode(row, row["declared"]) for row in transaction.execute(statement).mappings()]

    def find(self, key: str) -> Source:
        """Return one source. Raises NotFound where none has this key."""
        with reading(self.database) as transaction:
            row = transaction.execute(select(sources).where(sources.c.key == key)).mappings().one_or_none()
            if row is None:
                raise _not_found(transaction, sources, "source", key)
        return _decode(row, row["declared"])

    def declare(self, key: str, environment_key: str, draft: SourceDraft, *, actor: str, now: datetime) -> Source:
        """Add a source, or change it; a change of what its rows become is a new version (rule D5).

        Args:
            key: of the source.
            environment_key: of its events; never changes.
            draft: what it is to be.
            actor: for the audit log.
            now: for the audit log.

        Raises:
            ConfigurationError: the draft breaks a rule, or names no connection that there is; names the fields.
            NotFound: no environment has this key.
            Conflict: the source belongs to another environment.
        """
        check_source(key, draft)
        with writing(self.database) as transaction:
            environments.require(transaction, environment_key)
            _check_connection(transaction, draft)
            before = _find(Sources(transaction), key)
            if before is not None and before.environment_key != environment_key:
                raise Conflict(
                    f"The source '{key}' is of the environment '{before.environment_key}': "
                    "give the one of this environment another name."
                )
            after = _changed(before, key, environment_key, draft)
            if after != before:
                _store(transaction, before, after, now)
                audit.record(
                    transaction,
                    at=now,
                    actor=actor,
                    environment_key=environment_key,
                    subject=f"source:{key}",
                    action="create" if before is None else "change",
                    before=before,
                    after=after,
                )
        return after


def _check_connection(transaction: Transaction, draft: SourceDraft) -> None:
    if draft.connection is None:
        return
    try:
        check_query(draft, Connections(transaction).find(draft.connection))
    except NotFound as missing:
        raise ConfigurationError.of("connection", str(missing)) from None


def _changed(before: Source | None, key: str, environment_key: str, draft: SourceDraft) -> Source:
    version = 1 if before is None else before.version + makes_other_rows(before, draft)
    values = {field.name: getattr(draft, field.name) for field in fields(SourceDraft)}
    return Source(key=key, environment_key=environment_key, version=version, **values)


def _store(transaction: Transaction, before: Source | None, after: Source, now: datetime) -> None:
    declared = to_declared(after)
    values: dict[str, Any] = {
        "connection": after.connection,
        "version": after.version,
        "declared": declared,
        "updated_at": now,
    }
    if before is None:
        values |= {"key": after.key, "environment_key": after.environment_key, "created_at": now}
        transaction.execute(insert(sources).values(values))
    else:
        transaction.execute(update(sources).where(sources.c.key == after.key).values(values))
    if before is None or before.version != after.version:
        version = {"source": after.key, "version": after.version, "declared": declared, "created_at": now}
        transaction.execute(insert(source_versions).values(version))


def _decode(row: RowMapping, declared: dict[str, Any]) -> Source:
    placed = {name: row[name] for name in ("key", "environment_key", "version")}
    return Source(**placed, **from_declared(declared))


def _find(connection_or_source: Any, key: str) -> Any:
    """Return what has this key; None where nothing has."""
    try:
        return connection_or_source.find(key)
    except NotFound:
        return None


def _not_found(transaction: Transaction, table: Table, noun: str, key: str) -> NotFound:
    """Return the error of a key that nothing has, with the one that was probably meant, or those that there are."""
    known = transaction.scalars(select(table.c.key).order_by(table.c.key)).all()
    there_are = f" There are {', '.join(known[:10])}." if known else f" There is none yet: declare it under {noun}s."
    return NotFound(f"No {noun} '{printable(key)}'.{suggestion(key, known) or there_are}")
