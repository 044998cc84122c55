"""Attachments: the metrics of one experiment, one at a time (rules L3, L4, M1)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from experiment_pipeline.domain.drafts import AttachmentDraft
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.lifecycle import check_detachable
from experiment_pipeline.domain.metrics import AttachedMetric
from experiment_pipeline.errors import ConfigurationError, NotFound
from experiment_pipeline.registry.engine import Database, writing
from experiment_pipeline.registry.experiments import Experiments, lock


@dataclass(frozen=True, slots=True)
class Attachments:
    """Store of the metrics that are attached to experiments."""

    database: Database

    def attach(self, experiment_id: int, draft: AttachmentDraft, *, actor: str, now: datetime) -> AttachedMetric:
        """Attach a metric to an experiment as its last one; once it has started, secondary metrics alone (rule M22).

        Raises:
            ConfigurationError: the metric is not of the environment, or attached already (names `metric`), or the
                experiment has started and it would not be secondary, or it is completed (names `metrics`).
            NotFound: no experiment has this id, or it is deleted.
        """
        with writing(self.database) as connection:
            position = len(lock(connection, experiment_id).metrics)
            with _naming_its_fields(position):
                changed = Experiments(connection).change(
                    experiment_id,
                    lambda wanted: replace(wanted, metrics=(*wanted.metrics, draft)),
                    actor=actor,
                    now=now,
                )
        return changed.metrics[position]

    def change(
        self,
        experiment_id: int,
        metric_id: int,
        revise: Callable[[AttachmentDraft], AttachmentDraft],
        *,
        actor: str,
        now: datetime,
    ) -> AttachedMetric:
        """Change an attached metric's expected direction or its margin.

        Args:
            experiment_id: of the experiment.
            metric_id: of the metric.
            revise: turns the present attachment into the wanted one.
            actor: for the audit log.
            now: for the audit log.

        Raises:
            ConfigurationError: the wanted attachment breaks a rule (names its fields), or the experiment has started.
            NotFound: no experiment has this id, or the metric is not attached to it.
        """
        with writing(self.database) as connection:
            position = _position(lock(connection, experiment_id), metric_id)
            with _naming_its_fields(position):
                changed = Experiments(connection).change(
                    experiment_id,
                    lambda wanted: replace(
                        wanted,
                        metrics=tuple(revise(each) if each.metric == metric_id else each for each in wanted.metrics),
                    ),
                    actor=actor,
                    now=now,
                )
        return changed.metrics[position]

    def detach(self, experiment_id: int, metric_id: int, *, actor: str, now: datetime) -> None:
        """Detach a metric from an experiment (rule L4).

        Raises:
            ConfigurationError: the experiment has started.
            NotAllowed: it is completed.
            NotFound: no experiment has this id, or the metric is not attached to it.
        """
        with writing(self.database) as connection:
            experiment = lock(connection, experiment_id)
            _position(experiment, metric_id)
            check_detachable(experiment)
            Experiments(connection).change(
                experiment_id,
                lambda wanted: replace(
                    wanted, metrics=tuple(each for each in wanted.metrics if each.metric != metric_id)
                ),
                actor=actor,
                now=now,
            )


@contextmanager
def _naming_its_fields(position: int) -> Iterator[None]:
    """Name the fields of one attachment alone, as its own body has them, in what is refused."""
    try:
        yield
    except ConfigurationError as invalid:
        prefix = f"metrics.{position}."
        errors = {field.removeprefix(prefix): messages for field, messages in invalid.errors.items()}
        raise ConfigurationError(errors) from None


def _position(experiment: Experiment, metric_id: int) -> int:
    for position, attached in enumerate(experiment.metrics):
        if attached.metric.id == metric_id:
            return position
    raise NotFound(f"Metric {metric_id} is not attached to experiment '{experiment.key}'.")
