"""Rows of experiments: how they are chosen, and read with their variants and metrics."""

import re
from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, and_, false, or_, select, true

from experiment_pipeline.domain.audience_forms import audience_from_json
from experiment_pipeline.domain.experiments import (
    Design,
    Experiment,
    ExperimentStatus,
    MultipleExposures,
    Prior,
    attached_in_phase,
)
from experiment_pipeline.domain.fields import EXPERIMENT_KEY
from experiment_pipeline.registry import experiment_parts
from experiment_pipeline.registry.columns import is_id
from experiment_pipeline.registry.tables import experiments

INTEGER = re.compile(r"[0-9]{1,10}")
ALIVE = experiments.c.deleted_at.is_(None)


def select_experiments(
    connection: Connection,
    condition: ColumnElement[bool],
    *,
    limit: int | None = None,
    offset: int = 0,
    with_deleted: bool = False,
) -> list[Experiment]:
    """Return experiments, by default not deleted ones, newest first, each in its newest phase: four queries in all."""
    chosen = (
        select(experiments)
        .where(true() if with_deleted else ALIVE, condition)
        .order_by(experiments.c.created_at.desc(), experiments.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    ids = chosen.with_only_columns(experiments.c.id)
    variants_by_id = experiment_parts.select_variants(connection, ids)
    metrics_by_id = experiment_parts.select_metrics(connection, ids)
    phases_by_id = experiment_parts.select_ended_phases(connection, ids)
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
            metrics=attached_in_phase(metrics_by_id[row["id"]], row["phase"]),
            hypothesis=row["hypothesis"],
            multiple_exposures=MultipleExposures(row["multiple_exposures"]),
            refresh_interval=timedelta(seconds=row["refresh_interval_seconds"]),
            design=Design(**row["design"]),
            ignored_variants=tuple(row["ignored_variants"]),
            audience=audience_from_json(row["audience"]),
            post_stratify=row["post_stratify"],
            prior=None if row["prior"] is None else Prior(**row["prior"]),
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            phase=row["phase"],
            ended_phases=tuple(phases_by_id[row["id"]]),
        )
        for row in connection.execute(chosen).mappings()
    ]


def is_named(environment_key: str, id_or_key: int | str) -> ColumnElement[bool]:
    """Return the condition for one environment's experiment that is not deleted, by id or by key."""
    if isinstance(id_or_key, str) and INTEGER.fullmatch(id_or_key):
        id_or_key = int(id_or_key)
    if isinstance(id_or_key, int):
        named = is_id(experiments.c.id, id_or_key)
    else:
        named = experiments.c.key == id_or_key if EXPERIMENT_KEY.fullmatch(id_or_key) else false()
    return and_(ALIVE, experiments.c.environment_key == environment_key, named)


def unknown(environment_key: str, id_or_key: int | str) -> str:
    """Return the message for an experiment that the environment does not have."""
    return f"No experiment '{id_or_key}' in environment '{environment_key}'."


def matching(environment_key: str | None, statuses: Collection[ExperimentStatus], search: str) -> ColumnElement[bool]:
    """Return the condition for a listing; see `Experiments.list`."""
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
