"""Variants, attached metrics and ended phases: the parts of an experiment that have rows of their own."""

from collections import defaultdict
from dataclasses import asdict, replace

from sqlalchemy import Connection, Select, delete, insert, select

from experiment_pipeline.domain.drafts import AttachmentDraft
from experiment_pipeline.domain.experiments import Variant, VariantRole
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection
from experiment_pipeline.domain.phases import EndedPhase
from experiment_pipeline.errors import ConfigurationError, NotFound
from experiment_pipeline.registry import metrics
from experiment_pipeline.registry.tables import attachments, ended_phases, variants
from experiment_pipeline.registry.tables import metrics as metrics_table


def select_variants(connection: Connection, ids: Select[tuple[int]]) -> dict[int, list[Variant]]:
    """Return variants by experiment id, in their configured order; `ids` selects the experiments."""
    rows = connection.execute(
        select(variants)
        .where(variants.c.experiment_id.in_(ids))
        .order_by(variants.c.experiment_id, variants.c.position)
    ).mappings()
    found: dict[int, list[Variant]] = defaultdict(list)
    for row in rows:
        found[row["experiment_id"]].append(
            Variant(key=row["key"], role=VariantRole(row["role"]), percentage_allocation=row["percentage_allocation"])
        )
    return found


def select_metrics(connection: Connection, ids: Select[tuple[int]]) -> dict[int, list[AttachedMetric]]:
    """Return attached metrics by experiment id, the primary first; `ids` selects the experiments."""
    rows = connection.execute(
        select(
            attachments.c.experiment_id,
            attachments.c.expected_direction,
            attachments.c.added_in_phase,
            attachments.c.margin,
            metrics_table,
        )
        .join(metrics_table, metrics_table.c.id == attachments.c.metric_id)
        .where(attachments.c.experiment_id.in_(ids))
        .order_by(attachments.c.experiment_id, attachments.c.position)
    ).mappings()
    found: dict[int, list[AttachedMetric]] = defaultdict(list)
    for row in rows:
        found[row["experiment_id"]].append(
            AttachedMetric(
                metrics.decode(row),
                ExpectedDirection(row["expected_direction"]),
                added_in_phase=row["added_in_phase"],
                margin=row["margin"],
            )
        )
    return found


def select_ended_phases(connection: Connection, ids: Select[tuple[int]]) -> dict[int, list[EndedPhase]]:
    """Return the phases that restarts have ended by experiment id, in their order; `ids` selects the experiments."""
    rows = connection.execute(
        select(ended_phases)
        .where(ended_phases.c.experiment_id.in_(ids))
        .order_by(ended_phases.c.experiment_id, ended_phases.c.number)
    ).mappings()
    found: dict[int, list[EndedPhase]] = defaultdict(list)
    for row in rows:
        allocations = tuple(row["percentage_allocations"])
        found[row["experiment_id"]].append(EndedPhase(row["number"], row["started_at"], row["ended_at"], allocations))
    return found


def store_ended_phase(connection: Connection, experiment_id: int, phase: EndedPhase) -> None:
    """Store a phase of an experiment that has just ended, or one whose end has another date."""
    mine = (ended_phases.c.experiment_id == experiment_id) & (ended_phases.c.number == phase.number)
    connection.execute(delete(ended_phases).where(mine))
    connection.execute(insert(ended_phases).values(experiment_id=experiment_id, **asdict(phase)))


def resolve_metrics(
    connection: Connection, environment_key: str, drafts: tuple[AttachmentDraft, ...]
) -> tuple[AttachmentDraft, ...]:
    """Return attachments by metric id, in the order given (rule M1).

    Raises:
        ConfigurationError: a metric is not of this environment, or is attached twice; names the fields.
    """
    resolved: list[AttachmentDraft] = []
    problems: dict[str, list[str]] = {}
    for position, draft in enumerate(drafts):
        field = f"metrics.{position}.metric"
        try:
            metric_id = metrics.find(connection, environment_key, draft.metric, keep=True).id
        except NotFound:
            problems[field] = ["Metric must belong to this environment."]
            continue
        if any(metric_id == other.metric for other in resolved):
            problems[field] = ["Metric is already attached to this experiment."]
        resolved.append(replace(draft, metric=metric_id))
    if problems:
        raise ConfigurationError(problems)
    return tuple(resolved)


def replace_variants(connection: Connection, experiment_id: int, arms: tuple[Variant, ...]) -> None:
    """Write an experiment's variants in place of those it had."""
    connection.execute(delete(variants).where(variants.c.experiment_id == experiment_id))
    rows = [
        {
            "experiment_id": experiment_id,
            "position": position,
            "key": arm.key,
            "role": arm.role.value,
            "percentage_allocation": arm.percentage_allocation,
        }
        for position, arm in enumerate(arms)
    ]
    connection.execute(insert(variants), rows)


def replace_metrics(connection: Connection, experiment_id: int, attached: tuple[AttachmentDraft, ...]) -> None:
    """Write an experiment's attached metrics, resolved to ids, in place of those it had."""
    connection.execute(delete(attachments).where(attachments.c.experiment_id == experiment_id))
    add_metrics(connection, experiment_id, attached)


def add_metrics(
    connection: Connection,
    experiment_id: int,
    attached: tuple[AttachmentDraft, ...],
    *,
    after: int = 0,
    in_phase: int = 0,
) -> None:
    """Write attached metrics, resolved to ids, behind the first `after` that an experiment has.

    Args:
        connection: of the transaction.
        experiment_id: of the experiment.
        attached: the metrics.
        after: how many it has.
        in_phase: the phase after whose start they come; 0 before the first one.
    """
    rows = [
        {
            "experiment_id": experiment_id,
            "metric_id": draft.metric,
            "position": position,
            "expected_direction": draft.expected_direction.value,
            "added_in_phase": in_phase,
            "margin": draft.margin,
        }
        for position, draft in enumerate(attached, start=after)
    ]
    if rows:
        connection.execute(insert(attachments), rows)
