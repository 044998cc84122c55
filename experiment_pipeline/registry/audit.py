"""The audit log: who changed what, when, from what to what (rule L5)."""

import dataclasses
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import Connection, insert, select

from experiment_pipeline.registry import tables
from experiment_pipeline.times import iso_utc


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One line of the audit log.

    subject:       e.g. `experiment:12`
    before, after: JSON-ready; `before` is None at a creation, `after` at a deletion
    """

    at: datetime
    actor: str
    environment_key: str
    subject: str
    action: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def record(
    connection: Connection,
    *,
    at: datetime,
    actor: str,
    environment_key: str,
    subject: str,
    action: str,
    before: object = None,
    after: object = None,
) -> None:
    """Write one line in the transaction of the change itself; `before` and `after` are domain dataclasses or dicts."""
    connection.execute(
        insert(tables.audit_log).values(
            at=at,
            actor=actor,
            environment_key=environment_key,
            subject=subject,
            action=action,
            before=as_json(before),
            after=as_json(after),
        )
    )


def changes(connection: Connection, environment_key: str, subject: str) -> list[Change]:
    """Everything that happened to one subject, oldest first."""
    log = tables.audit_log
    rows = connection.execute(
        select(log).where(log.c.environment_key == environment_key, log.c.subject == subject).order_by(log.c.id)
    ).mappings()
    return [Change(**{f.name: row[f.name] for f in dataclasses.fields(Change)}) for row in rows]


def as_json(value: object) -> Any:
    """A domain value as JSON-ready values: durations in seconds, moments in ISO-8601."""
    if dataclasses.is_dataclass(value):
        return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [as_json(item) for item in value]
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, timedelta):
        return value.total_seconds()
    return iso_utc(value) if isinstance(value, datetime) else value


class Subject(Protocol):
    """What a change is of."""

    @property
    def id(self) -> int:
        """The row's id."""

    @property
    def environment_key(self) -> str:
        """The environment of the change."""


def record_change(
    noun: str,
    connection: Connection,
    action: str,
    before: Subject | None,
    after: Subject | None,
    *,
    actor: str,
    now: datetime,
) -> None:
    """Record what became of one experiment or metric; one of `before` and `after` is given."""
    subject = after or before
    assert subject is not None  # noqa: S101 - one of both is given
    record(
        connection,
        at=now,
        actor=actor,
        environment_key=subject.environment_key,
        subject=f"{noun}:{subject.id}",
        action=action,
        before=before,
        after=after,
    )
