"""Metrics in the registry (rule M1)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.domain.drafts import DEFINITION_VERSION, MetricDraft, check_metric, to_metric_draft
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.lifecycle import check_metric_deletable, check_metric_revision
from experiment_pipeline.domain.metrics import Aggregation, Direction, Metric
from experiment_pipeline.errors import Conflict, NotFound
from experiment_pipeline.registry import audit, environments
from experiment_pipeline.registry.tables import attachments, experiments, is_id, metrics

_audit = partial(audit.record_change, "metric")


def decode(row: RowMapping) -> Metric:
    """A row of the table `metrics`, or of a join that holds its columns."""
    seconds = row["window_seconds"]
    return Metric(
        id=row["id"],
        environment_key=row["environment_key"],
        name=row["name"],
        event=row["definition"]["event"],
        aggregation=Aggregation(row["aggregation"]),
        direction=Direction(row["direction"]),
        description=row["description"],
        window=None if seconds is None else timedelta(seconds=seconds),
    )


def alive(environment_key: str | None, search: str = "") -> ColumnElement[bool]:
    """Return the condition for metrics that are not deleted, of one environment or of all, by a part of their name."""
    conditions: list[ColumnElement[bool]] = [metrics.c.deleted_at.is_(None)]
    if environment_key is not None:
        conditions.append(metrics.c.environment_key == environment_key)
    if search:
        conditions.append(metrics.c.name.icontains(search, autoescape=True))
    return and_(*conditions)


def select_some(
    connection: Connection, condition: ColumnElement[bool], *, limit: int | None = None, offset: int = 0
) -> list[Metric]:
    """Metrics, newest first."""
    rows = connection.execute(
        select(metrics).where(condition).order_by(metrics.c.id.desc()).limit(limit).offset(offset)
    ).mappings()
    return [decode(row) for row in rows]


def count(connection: Connection, condition: ColumnElement[bool]) -> int:
    """How many metrics meet the condition."""
    return connection.scalar(select(func.count()).select_from(metrics).where(condition)) or 0


def find(connection: Connection, environment_key: str, id_or_name: int | str, *, keep: bool = False) -> Metric:
    """One metric by id or by name; `keep` holds off its deletion until the transaction ends. Raises NotFound."""
    named = is_id(metrics.c.id, id_or_name) if isinstance(id_or_name, int) else metrics.c.name == id_or_name
    statement = select(metrics).where(alive(environment_key), named)
    if keep:
        statement = statement.with_for_update(read=True)
    row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise NotFound(f"No metric '{id_or_name}' in environment '{environment_key}'.")
    return decode(row)


def create(connection: Connection, environment_key: str, draft: MetricDraft, *, actor: str, now: datetime) -> Metric:
    """Declare a metric. Raises ConfigurationError, NotFound (environment) or Conflict (name)."""
    event = check_metric(draft)
    environments.require(connection, environment_key)
    values = {**_columns(draft, event), "environment_key": environment_key, "created_at": now, "updated_at": now}
    try:
        with connection.begin_nested():
            created_id = connection.scalar(insert(metrics).values(values).returning(metrics.c.id))
    except IntegrityError:
        raise _name_taken(draft.name) from None
    assert created_id is not None  # noqa: S101 - a fact for the type checker
    created = find(connection, environment_key, created_id)
    _audit(connection, "create", None, created, actor=actor, now=now)
    return created


def change(
    connection: Connection,
    environment_key: str,
    id_or_name: int | str,
    revise: Callable[[MetricDraft], MetricDraft],
    *,
    actor: str,
    now: datetime,
) -> Metric:
    """Change what the rules let change (L3). `revise` turns the present draft into the wanted one."""
    before = _lock(connection, environment_key, id_or_name)
    draft = revise(to_metric_draft(before))
    event = check_metric(draft)
    after = replace(
        before,
        name=draft.name,
        event=event,
        aggregation=draft.aggregation,
        direction=draft.direction,
        description=draft.description,
        window=draft.window,
    )
    if after == before:
        return before
    check_metric_revision(before, after, _statuses(connection, before.id))
    try:
        with connection.begin_nested():
            connection.execute(
                update(metrics).where(metrics.c.id == before.id).values(**_columns(draft, event), updated_at=now)
            )
    except IntegrityError:
        raise _name_taken(draft.name) from None
    _audit(connection, "change", before, after, actor=actor, now=now)
    return after


def soft_delete(
    connection: Connection, environment_key: str, id_or_name: int | str, *, actor: str, now: datetime
) -> None:
    """Soft delete (rule L4)."""
    before = _lock(connection, environment_key, id_or_name)
    check_metric_deletable(_statuses(connection, before.id))
    connection.execute(update(metrics).where(metrics.c.id == before.id).values(deleted_at=now))
    _audit(connection, "delete", before, None, actor=actor, now=now)


def _lock(connection: Connection, environment_key: str, id_or_name: int | str) -> Metric:
    """Hold a metric as it is until the transaction ends: whoever attaches it meanwhile waits."""
    metric_id = find(connection, environment_key, id_or_name).id
    connection.execute(select(metrics.c.id).where(metrics.c.id == metric_id).with_for_update()).all()
    return find(connection, environment_key, metric_id)


def _statuses(connection: Connection, metric_id: int) -> set[ExperimentStatus]:
    """The statuses of the experiments that the metric is attached to."""
    rows = connection.scalars(
        select(experiments.c.status)
        .join(attachments, attachments.c.experiment_id == experiments.c.id)
        .where(attachments.c.metric_id == metric_id, experiments.c.deleted_at.is_(None))
        .distinct()
    )
    return {ExperimentStatus(status) for status in rows}


def _columns(draft: MetricDraft, event: str) -> dict[str, Any]:
    return {
        "name": draft.name,
        "description": draft.description,
        "aggregation": draft.aggregation.value,
        "direction": draft.direction.value,
        "definition": {"version": DEFINITION_VERSION, "event": event},
        "window_seconds": None if draft.window is None else int(draft.window.total_seconds()),
    }


def _name_taken(name: str) -> Conflict:
    return Conflict(f"A metric named '{name}' already exists in this environment.")
