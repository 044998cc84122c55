"""Experiments in the registry: reading them, declaring them, and their life (rules L1-L6)."""

import re
from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    exists,
    false,
    func,
    insert,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.domain import lifecycle
from experiment_pipeline.domain.drafts import (
    ExperimentDraft,
    changed_fields,
    check_experiment,
    key_from_name,
    to_draft,
    to_variant_draft,
)
from experiment_pipeline.domain.experiments import Design, Experiment, ExperimentStatus, MultipleExposures
from experiment_pipeline.domain.fields import EXPERIMENT_KEY
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.errors import Conflict, NotFound
from experiment_pipeline.registry import audit, claims, environments, experiment_parts
from experiment_pipeline.registry.tables import computations, experiments, is_id

INTEGER = re.compile(r"[0-9]{1,10}")
ID = experiments.c.id
ALIVE = experiments.c.deleted_at.is_(None)


# --- reading -----------------------------------------------------------------------------------------------------

_audit = partial(audit.record_change, "experiment")


def select_some(
    connection: Connection, condition: ColumnElement[bool], *, limit: int | None = None, offset: int = 0
) -> list[Experiment]:
    """Experiments that are not deleted, newest first, with their variants and metrics: three queries in all."""
    chosen = (
        select(experiments)
        .where(ALIVE, condition)
        .order_by(experiments.c.created_at.desc(), experiments.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    ids = chosen.with_only_columns(experiments.c.id)
    variants_by_id = experiment_parts.select_variants(connection, ids)
    metrics_by_id = experiment_parts.select_metrics(connection, ids)
    return [
        Experiment(
            id=row["id"],
            environment_key=row["environment_key"],
            key=row["key"],
            partition_key=row["partition_key"],
            name=row["name"],
            feature=row["feature"],
            status=ExperimentStatus(row["status"]),
            variants=tuple(variants_by_id[row["id"]]),
            metrics=tuple(metrics_by_id[row["id"]]),
            hypothesis=row["hypothesis"],
            multiple_exposures=MultipleExposures(row["multiple_exposures"]),
            refresh_interval=timedelta(seconds=row["refresh_interval_seconds"]),
            design=Design(**row["design"]),
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
        )
        for row in connection.execute(chosen).mappings()
    ]


def by_id(connection: Connection, experiment_id: int) -> Experiment:
    """One experiment. Raises NotFound, for a deleted one too."""
    return _only(select_some(connection, is_id(experiments.c.id, experiment_id)), f"No experiment {experiment_id}.")


def by_partition(connection: Connection, partition_key: str) -> Experiment:
    """One experiment by its partition key (rule L6). Raises NotFound."""
    found = select_some(connection, experiments.c.partition_key == partition_key)
    return _only(found, f"No experiment has the partition key '{partition_key}'.")


def find(connection: Connection, environment_key: str, id_or_key: int | str) -> Experiment:
    """One experiment of one environment, by id or by key; a key never begins with a digit. Raises NotFound."""
    return _only(select_some(connection, is_named(environment_key, id_or_key)), unknown(environment_key, id_or_key))


def is_named(environment_key: str, id_or_key: int | str) -> ColumnElement[bool]:
    """The condition for one environment's experiment that is not deleted."""
    if isinstance(id_or_key, str) and INTEGER.fullmatch(id_or_key):
        id_or_key = int(id_or_key)
    if isinstance(id_or_key, int):
        named = is_id(experiments.c.id, id_or_key)
    else:
        named = experiments.c.key == id_or_key if EXPERIMENT_KEY.fullmatch(id_or_key) else false()
    return and_(ALIVE, experiments.c.environment_key == environment_key, named)


def unknown(environment_key: str, id_or_key: int | str) -> str:
    """What to say when nothing has that name."""
    return f"No experiment '{id_or_key}' in environment '{environment_key}'."


def matching(
    environment_key: str | None = None, statuses: Collection[ExperimentStatus] = (), search: str = ""
) -> ColumnElement[bool]:
    """The condition for a listing; `search` is a part of the name or the feature, whatever its case."""
    conditions: list[ColumnElement[bool]] = [true()]
    if environment_key is not None:
        conditions.append(experiments.c.environment_key == environment_key)
    if statuses:
        conditions.append(experiments.c.status.in_([status.value for status in statuses]))
    if search:
        conditions.append(
            or_(
                experiments.c.name.icontains(search, autoescape=True),
                experiments.c.feature.icontains(search, autoescape=True),
            )
        )
    return and_(*conditions)


def status_counts(connection: Connection, condition: ColumnElement[bool]) -> dict[ExperimentStatus, int]:
    """How many experiments of each status meet the condition; every status has a count."""
    rows = connection.execute(
        select(experiments.c.status, func.count().label("number"))
        .where(ALIVE, condition)
        .group_by(experiments.c.status)
    )
    counted: dict[str, int] = {row.status: row.number for row in rows}
    return {status: counted.get(status.value, 0) for status in ExperimentStatus}


# --- changing ----------------------------------------------------------------------------------------------------


def create(
    connection: Connection, environment_key: str, draft: ExperimentDraft, *, actor: str, now: datetime
) -> Experiment:
    """Declare an experiment (rules L2, L3, L6). Raises ConfigurationError, NotFound (environment) or Conflict."""
    arms = check_experiment(draft)
    environments.require(connection, environment_key)
    key = draft.key or key_from_name(draft.name, lambda key: _key_is_taken(connection, environment_key, key))
    attached = experiment_parts.resolve_metrics(connection, environment_key, draft.metrics)
    values = {
        **_columns(draft),
        "environment_key": environment_key,
        "key": key,
        "partition_key": f"{key}-{uuid4()}"[:120],  # until the id is known
        "feature": draft.feature,
        "status": ExperimentStatus.CREATED.value,
        "created_at": now,
        "updated_at": now,
    }
    try:
        with connection.begin_nested():
            new_id = connection.execute(insert(experiments).values(values).returning(experiments.c.id)).scalar_one()
    except IntegrityError:
        raise _conflict(connection, environment_key, key, draft.feature) from None
    connection.execute(
        update(experiments).where(experiments.c.id == new_id).values(partition_key=f"{key}-{new_id}")  # rule L6
    )
    connection.execute(
        insert(computations), [{"experiment_id": new_id, "computation": each.value} for each in Computation]
    )
    experiment_parts.replace_variants(connection, new_id, arms)
    experiment_parts.replace_metrics(connection, new_id, attached)
    created = by_id(connection, new_id)
    _audit(connection, "create", None, created, actor=actor, now=now)
    return created


def change(
    connection: Connection,
    experiment_id: int,
    revise: Callable[[ExperimentDraft], ExperimentDraft],
    *,
    actor: str,
    now: datetime,
) -> Experiment:
    """Change what the rules let change (L3). `revise` turns the present draft into the wanted one."""
    before = lock(connection, experiment_id)
    present = to_draft(before)
    wanted = revise(present)
    arms = check_experiment(wanted)
    attached = experiment_parts.resolve_metrics(connection, before.environment_key, wanted.metrics)
    after = replace(
        wanted,
        key=wanted.key or before.key,
        variants=tuple(to_variant_draft(arm) for arm in arms),
        metrics=attached,
    )
    if not changed_fields(present, after):
        return before
    lifecycle.check_revision(before, present, after)
    connection.execute(
        update(experiments).where(experiments.c.id == experiment_id).values(**_columns(after), updated_at=now)
    )
    if arms != before.variants:
        experiment_parts.replace_variants(connection, experiment_id, arms)
    if attached != present.metrics:
        experiment_parts.replace_metrics(connection, experiment_id, attached)
    changed = by_id(connection, experiment_id)
    _audit(connection, "change", before, changed, actor=actor, now=now)
    return changed


def move(
    connection: Connection,
    experiment_id: int,
    to: ExperimentStatus,
    *,
    actor: str,
    now: datetime,
    at: datetime | None = None,
) -> Experiment:
    """One step of rule L1, dated `at` or now; completing claims a last refresh (rule R6). Raises InvalidTransition."""
    before = lock(connection, experiment_id)
    after = lifecycle.transition(before, to, at or now, now=now)
    connection.execute(
        update(experiments)
        .where(experiments.c.id == experiment_id)
        .values(status=after.status.value, started_at=after.started_at, ended_at=after.ended_at, updated_at=now)
    )
    if after.status is ExperimentStatus.COMPLETED:
        claims.claim_last_refresh(connection, experiment_id, now)
    moved = by_id(connection, experiment_id)
    _audit(connection, after.status.value, before, moved, actor=actor, now=now)
    return moved


def soft_delete(connection: Connection, experiment_id: int, *, actor: str, now: datetime) -> None:
    """Rule L4: the row stays and its key is never used again. Nobody waits for it any more."""
    before = lock(connection, experiment_id)
    lifecycle.check_deletable(before)
    connection.execute(
        update(experiments).where(experiments.c.id == experiment_id).values(deleted_at=now, updated_at=now)
    )
    claims.refuse_waiting(connection, experiment_id, now)
    _audit(connection, "delete", before, None, actor=actor, now=now)


def lock(connection: Connection, experiment_id: int) -> Experiment:
    """Hold one experiment as it is until the transaction ends: everything that depends on its status takes turns.

    PostgreSQL's weaker lock (`FOR NO KEY UPDATE`): a claim that refers to the row meanwhile must not wait for it.
    """
    row = select(experiments.c.id).where(is_id(experiments.c.id, experiment_id))
    connection.execute(row.with_for_update(key_share=True)).all()
    return by_id(connection, experiment_id)


# --- parts -------------------------------------------------------------------------------------------------------


def _only(found: list[Experiment], otherwise: str) -> Experiment:
    if not found:
        raise NotFound(otherwise)
    return found[0]


def _columns(draft: ExperimentDraft) -> dict[str, Any]:
    return {
        "name": draft.name,
        "hypothesis": draft.hypothesis,
        "multiple_exposures": draft.multiple_exposures.value,
        "refresh_interval_seconds": int(draft.refresh_interval.total_seconds()),
        "design": asdict(draft.design),
    }


def _key_is_taken(connection: Connection, environment_key: str, key: str) -> bool:
    taken = exists().where(experiments.c.environment_key == environment_key, experiments.c.key == key)
    return bool(connection.scalar(select(taken)))


def _conflict(connection: Connection, environment_key: str, key: str, feature: str) -> Conflict:
    """Which of the two unique indexes stands against a new experiment (rules L2, L6)."""
    active = exists().where(
        experiments.c.environment_key == environment_key,
        experiments.c.feature == feature,
        experiments.c.status != ExperimentStatus.COMPLETED.value,
        ALIVE,
    )
    if connection.scalar(select(active)):
        return Conflict("An active experiment already exists for this feature.")
    return Conflict(f"An experiment with the key '{key}' already exists or existed in this environment.")
