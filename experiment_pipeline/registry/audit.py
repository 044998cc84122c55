"""The audit log: who changed what, when, from what to what (rule L5), and, where that is asked for, who read what."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, true

from experiment_pipeline.domain.audience import Audience
from experiment_pipeline.domain.audience_forms import audience_json
from experiment_pipeline.domain.definitions import canonical_text
from experiment_pipeline.domain.drafts import to_metric_draft
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.domain.sources import Source, to_declared
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.tables import audit_log
from experiment_pipeline.times import iso_utc


@dataclasses.dataclass(frozen=True, slots=True)
class AuditRecord:
    """One line of the audit log.

    Attributes:
        at: the moment of the change, UTC.
        subject: the thing that changed, e.g. `experiment:12`, `metric:3`, `environment:production`, `key:1f0c9a77b2e4`.
        action: e.g. `create`, `change`, `delete`; of an experiment's transition the new status; `read`.
        before, after: the subject, JSON-ready; `before` is None at a creation, `after` at a deletion. Of a read,
            `after` has the path alone.
    """

    at: datetime
    actor: str
    environment_key: str
    subject: str
    action: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclasses.dataclass(frozen=True, slots=True)
class AuditLog:
    """Store of the audit log. Changes write their own lines, in their own transactions (`record`)."""

    database: Database

    def list(
        self,
        environment_key: str | None = None,
        *,
        subject: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> Sequence[AuditRecord]:
        """Return the changes in one environment or in all, newest first.

        Args:
            environment_key: of the changed things; None for every environment.
            subject: of one thing only, e.g. `experiment:12`, or of one kind of thing, e.g. `experiment`.
            actor: of one actor only, as the log names it.
            action: of one kind only, e.g. `create`.
            limit: at most so many; None for all.
            offset: leave out so many of the newest.
        """
        statement = (
            select(audit_log)
            .where(_matching(environment_key, subject, actor, action))
            .order_by(audit_log.c.id.desc())
            .limit(limit)
            .offset(offset)
        )
        names = [field.name for field in dataclasses.fields(AuditRecord)]
        with reading(self.database) as connection:
            rows = connection.execute(statement).mappings()
            return [AuditRecord(**{name: row[name] for name in names}) for row in rows]

    def count(
        self,
        environment_key: str | None = None,
        *,
        subject: str | None = None,
        actor: str | None = None,
        action: str | None = None,
    ) -> int:
        """Return how many changes `list` would return without a limit."""
        matching = _matching(environment_key, subject, actor, action)
        statement = select(func.count()).select_from(audit_log).where(matching)
        with reading(self.database) as connection:
            return connection.scalar(statement) or 0

    def record_read(self, environment_key: str, path: str, *, actor: str, now: datetime) -> None:
        """Write that somebody read what a path of the API names."""
        with writing(self.database) as connection:
            record(
                connection,
                at=now,
                actor=actor,
                environment_key=environment_key,
                subject=f"environment:{environment_key}",
                action="read",
                after={"path": path},
            )


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
        insert(audit_log).values(
            at=at,
            actor=actor,
            environment_key=environment_key,
            subject=subject,
            action=action,
            before=as_json(before),
            after=as_json(after),
        )
    )


def as_json(value: object) -> Any:
    """Return a domain value as JSON-ready values: durations in seconds, moments in ISO-8601, metrics as declared."""
    match value:
        case Metric():
            declared = as_json(to_metric_draft(value))
            rendered: Any = {"id": value.id, "environment_key": value.environment_key, **declared}
        case Source():
            placed = {"key": value.key, "environment_key": value.environment_key, "version": value.version}
            rendered = {**placed, **to_declared(value)}
        case Audience():
            rendered = audience_json(value)
        case dict():
            rendered = {key: as_json(item) for key, item in value.items()}
        case tuple() | list():
            rendered = [as_json(item) for item in value]
        case StrEnum():
            rendered = value.value
        case timedelta():
            rendered = value.total_seconds()
        case datetime():
            rendered = iso_utc(value)
        case _ if dataclasses.is_dataclass(value):
            rendered = {each.name: as_json(getattr(value, each.name)) for each in dataclasses.fields(value)}
        case _:
            rendered = value
    return rendered


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs between two states, as `as_json` has them: old and new value by field.

    A metric's definition is told by its own fields, such as `definition.measure.cap.percentile`; one that is not there
    is None.
    """
    found: dict[str, tuple[Any, Any]] = {}
    for name, value in after.items():
        old = before.get(name)
        if name == "definition" and old is not None:
            found.update(_changes_within(name, old, value))
        elif canonical_text(old) != canonical_text(value):
            found[name] = old, value
    return found


def _changes_within(path: str, before: Any, after: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if canonical_text(before) == canonical_text(after):
        return
    old, new = _parts(before), _parts(after)
    if old is None or new is None:
        yield path, (before, after)
        return
    for name in {**old, **new}:
        yield from _changes_within(f"{path}.{name}", old.get(name), new.get(name))


def _parts(value: Any) -> dict[str, Any] | None:
    """Return the parts of an object or of a list of objects, by name or position; None for what is one value."""
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return {str(position): each for position, each in enumerate(value)}
    return value if isinstance(value, dict) else None


class Subject(Protocol):
    """A thing of an environment that changes: an experiment or a metric."""

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
    """Write the line of a change of an experiment or a metric; one of `before` and `after` is given."""
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


def _matching(
    environment_key: str | None, subject: str | None, actor: str | None, action: str | None
) -> ColumnElement[bool]:
    log = audit_log.c
    wanted = {log.environment_key: environment_key, log.actor: actor, log.action: action}
    conditions = [column == value for column, value in wanted.items() if value is not None]
    if subject is not None:
        conditions.append(or_(log.subject == subject, log.subject.startswith(f"{subject}:", autoescape=True)))
    return and_(true(), *conditions)
