"""The metrics of one experiment, one at a time: attach, change, detach (rules L3, L4, M1)."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from experiment_pipeline.domain.drafts import AttachmentDraft
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.lifecycle import check_detachable
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection
from experiment_pipeline.errors import ConfigurationError, NotFound
from experiment_pipeline.registry import experiments


def attach(
    connection: Connection, experiment_id: int, draft: AttachmentDraft, *, actor: str, now: datetime
) -> AttachedMetric:
    """Add a metric as the last one. Raises ConfigurationError naming `metric`, or `metrics` once started."""
    position = len(experiments.lock(connection, experiment_id).metrics)
    try:
        changed = experiments.change(
            connection,
            experiment_id,
            lambda wanted: replace(wanted, metrics=(*wanted.metrics, draft)),
            actor=actor,
            now=now,
        )
    except ConfigurationError as invalid:
        prefix = f"metrics.{position}."
        errors = {field.removeprefix(prefix): messages for field, messages in invalid.errors.items()}
        raise ConfigurationError(errors) from None
    return changed.metrics[position]


def change(
    connection: Connection,
    experiment_id: int,
    metric_id: int,
    expected_direction: ExpectedDirection,
    *,
    actor: str,
    now: datetime,
) -> AttachedMetric:
    """Expect something else of an attached metric. Raises NotFound, or ConfigurationError once started."""
    position = _position(experiments.lock(connection, experiment_id), metric_id)
    changed = experiments.change(
        connection,
        experiment_id,
        lambda wanted: replace(
            wanted,
            metrics=tuple(
                replace(each, expected_direction=expected_direction) if each.metric == metric_id else each
                for each in wanted.metrics
            ),
        ),
        actor=actor,
        now=now,
    )
    return changed.metrics[position]


def detach(connection: Connection, experiment_id: int, metric_id: int, *, actor: str, now: datetime) -> None:
    """Take a metric away. Raises NotFound, NotAllowed (completed), or ConfigurationError once started."""
    experiment = experiments.lock(connection, experiment_id)
    _position(experiment, metric_id)
    check_detachable(experiment)
    experiments.change(
        connection,
        experiment_id,
        lambda wanted: replace(wanted, metrics=tuple(each for each in wanted.metrics if each.metric != metric_id)),
        actor=actor,
        now=now,
    )


def _position(experiment: Experiment, metric_id: int) -> int:
    for position, attached in enumerate(experiment.metrics):
        if attached.metric.id == metric_id:
            return position
    raise NotFound(f"Metric {metric_id} is not attached to experiment '{experiment.key}'.")
