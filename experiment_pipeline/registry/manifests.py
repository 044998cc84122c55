"""Manifests: bring the registry to what a file declares, or change nothing (the command `apply`)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection

from experiment_pipeline.domain import lifecycle
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.errors import ConfigurationError, ExperimentPipelineError, NotFound
from experiment_pipeline.registry.audit import as_json
from experiment_pipeline.registry.engine import Database, writing
from experiment_pipeline.registry.environments import Environments
from experiment_pipeline.registry.experiments import Experiments
from experiment_pipeline.registry.metrics import Metrics
from experiment_pipeline.schemas.manifests import DeclaredExperiment, DeclaredMetric, Manifest

P = ParamSpec("P")
T = TypeVar("T")
HIDDEN_FIELDS = {"id", "partition_key", "environment_key", "key", "created_at", "updated_at", "deleted_at"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that `apply` makes or changes.

    Attributes:
        action: `create` or `change`.
        subject: e.g. `experiment production/checkout`.
        fields: old and new value, JSON-ready, by field; the old ones of a new thing are None.
    """

    action: str
    subject: str
    fields: dict[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Manifests:
    """Store that applies manifests through the other stores."""

    database: Database

    def apply(self, manifest: Manifest, *, actor: str, now: datetime, dry_run: bool = False) -> list[Difference]:
        """Apply a manifest: change the registry to match it, completely or not at all. A dry run changes nothing.

        Completed experiments go first: they free their feature for the next one (rule L2).

        Returns:
            What was made or changed, or would be: environments, then metrics, then experiments.

        Raises:
            ConfigurationError: names entry and field.
        """
        with writing(self.database) as connection:
            differences = _apply(connection, manifest, actor, now)
            if dry_run:
                connection.rollback()
        return differences


def _apply(connection: Connection, manifest: Manifest, actor: str, now: datetime) -> list[Difference]:
    differences = [
        _apply_environment(connection, key, entry.name or key, actor, now)
        for key, entry in manifest.environments.items()
    ]
    differences += [_apply_metric(connection, key, entry, actor, now) for key, entry in manifest.metrics.items()]
    completed_first = sorted(
        manifest.experiments.items(), key=lambda item: item[1].status is not ExperimentStatus.COMPLETED
    )
    differences += [_apply_experiment(connection, key, entry, actor, now) for key, entry in completed_first]
    return [difference for difference in differences if difference.fields]


def _apply_environment(connection: Connection, key: str, name: str, actor: str, now: datetime) -> Difference:
    environments = Environments(connection)
    with _naming(f"environments.{key}"):
        before = _or_none(environments.get, key)
        if before is None:
            after = environments.create(key, name, actor=actor, now=now)
        elif before.name != name:
            after = environments.rename(key, name, actor=actor, now=now)
        else:
            after = before
    return _difference(f"environment {key}", before, after)


def _apply_metric(connection: Connection, key: str, entry: DeclaredMetric, actor: str, now: datetime) -> Difference:
    metrics = Metrics(connection)
    with _naming(f"metrics.{key}"):
        before = _or_none(metrics.find, entry.environment, entry.name)
        if before is None:
            after = metrics.create(entry.environment, entry, actor=actor, now=now)
        else:
            after = metrics.change(entry.environment, before.id, lambda _: entry, actor=actor, now=now)
    return _difference(f"metric {entry.environment}/{entry.name}", before, after)


def _apply_experiment(
    connection: Connection, key: str, entry: DeclaredExperiment, actor: str, now: datetime
) -> Difference:
    experiments, path = Experiments(connection), f"experiments.{key}"
    with _naming(path):
        lifecycle.check_dates(entry.status, entry.started_at, entry.ended_at, now)
        before = _or_none(experiments.find, entry.environment, key)
        if before is None:
            after = experiments.create(entry.environment, entry, actor=actor, now=now)
        else:
            after = experiments.change(before.id, lambda _: entry, actor=actor, now=now)
    with _naming(path, f"{path}.status"):
        after = _apply_status(connection, after, entry, actor, now)
    return _difference(f"experiment {entry.environment}/{key}", before, after)


def _apply_status(
    connection: Connection, experiment: Experiment, entry: DeclaredExperiment, actor: str, now: datetime
) -> Experiment:
    lifecycle.check_dates_kept(experiment, entry.started_at, entry.ended_at)
    dates = {ExperimentStatus.RUNNING: entry.started_at, ExperimentStatus.COMPLETED: entry.ended_at}
    for step in lifecycle.transitions_to(experiment.status, entry.status or experiment.status):
        at = dates.get(step)
        experiment = Experiments(connection).transition(experiment.id, step, actor=actor, now=now, at=at)
    return experiment


def _or_none(find: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    try:
        return find(*args, **kwargs)
    except NotFound:
        return None


@contextmanager
def _naming(path: str, otherwise: str | None = None) -> Iterator[None]:
    """Name the entry of the file in an error of the block, whatever its kind."""
    try:
        yield
    except ConfigurationError as invalid:
        raise invalid.below(path) from None
    except ExperimentPipelineError as refused:
        raise ConfigurationError.of(otherwise or path, str(refused)) from None


def _difference(subject: str, before: object, after: object) -> Difference:
    old: dict[str, Any] = {} if before is None else as_json(before)
    fields = {
        name: (old.get(name), value)
        for name, value in as_json(after).items()
        if name not in HIDDEN_FIELDS and old.get(name) != value
    }
    return Difference("change" if old else "create", subject, fields)
