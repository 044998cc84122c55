"""Texts of the registry that may name an identity, and how they are rid of it (rule E6).

Published payloads stay as they are: they hold counts, and no identity. An experiment's audience may list identifiers
that it leaves out (rule M23); health findings, notifications and errors quote what somebody else wrote.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table, Text, cast, func, select, update

from experiment_pipeline.domain.erasures import ErasedIdentity, redacted
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.notification_tables import notification_deliveries, notifications
from experiment_pipeline.registry.source_tables import sources
from experiment_pipeline.registry.tables import audit_log, experiments, health, payloads

LISTS = (experiments.c.audience, audit_log.c.before, audit_log.c.after)  # name it as an item of a list
QUOTES = (  # name it among other words
    health.c.findings,
    payloads.c.findings,
    notifications.c.facts,
    notification_deliveries.c.error,
    sources.c.failure,
)


@dataclass(frozen=True, slots=True)
class IdentityTexts:
    """The texts of a registry that may name an identity.

    An identifier that is too short to be told from other words is searched for as an item of a list alone.
    """

    database: Database
    identity: ErasedIdentity

    def count(self) -> tuple[int, int]:
        """Return how many texts were searched, and how many name the identity."""
        columns = self._columns()
        with reading(self.database) as connection:
            searched = sum(
                connection.scalar(select(func.count()).select_from(column.table).where(column.is_not(None))) or 0
                for column in columns
            )
        return searched, sum(1 for _ in self._found())

    def erase(self) -> None:
        """Take the identity out of every text that names it, each in a transaction of its own."""
        for column, key, value in list(self._found()):
            table = column.table
            of_row = [part == key[part.name] for part in _key_of(table)]
            with writing(self.database) as connection:
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql("PRAGMA secure_delete = ON")  # no free page keeps the old text
                connection.execute(update(table).where(*of_row).values({column.name: value}))

    def _columns(self) -> tuple[Column[Any], ...]:
        return (*LISTS, *QUOTES) if self.identity.is_distinctive else LISTS

    def _found(self) -> Iterator[tuple[Column[Any], dict[str, Any], object]]:
        """Yield the columns and rows that name the identity, with what takes their place."""
        encoded = json.dumps(self.identity.identifier)[1:-1]
        for column in self._columns():
            as_text = cast(column, Text)
            may_name = as_text.contains(encoded, autoescape=True) | as_text.contains(
                self.identity.identifier, autoescape=True
            )
            with reading(self.database) as connection:
                rows = connection.execute(select(*_key_of(column.table), column).where(may_name)).mappings().all()
            for row in rows:
                value = row[column.name]
                if (without := self._without(column, value)) != value:
                    yield column, {part.name: row[part.name] for part in _key_of(column.table)}, without

    def _without(self, column: Column[Any], value: object) -> object:
        return _unlisted(value, self.identity) if column in LISTS else redacted(value, self.identity)


def _key_of(table: Any) -> tuple[Column[Any], ...]:
    assert isinstance(table, Table)  # noqa: S101 - a fact for the type checker
    return tuple(table.primary_key.columns)


def _unlisted(value: object, identity: ErasedIdentity) -> object:
    """Return a JSON value without the identifier among the items of its lists."""
    if isinstance(value, list):
        return [_unlisted(item, identity) for item in value if item != identity.identifier]
    if isinstance(value, dict):
        return {name: _unlisted(member, identity) for name, member in value.items()}
    return value
