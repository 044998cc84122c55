"""Manifests: bring the registry to what a file declares, or change nothing (the command `apply`)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection

from experiment_pipeline.domain import lifecycle
from experiment_pipeline.domain.design_warnings import design_warnings
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.floors import SHIPPED_FLOORS, Floors
from experiment_pipeline.domain.notification_targets import TargetDraft
from experiment_pipeline.domain.sources import ConnectionDraft
from experiment_pipeline.errors import ConfigurationError, Conflict, ExperimentPipelineError, NotFound
from experiment_pipeline.registry.audit import as_json, changes
from experiment_pipeline.registry.declarations import check_declared, explained_conflict, in_environments
from experiment_pipeline.registry.engine import Database, writing
from experiment_pipeline.registry.environments import Environments
from experiment_pipeline.registry.experiments import Experiments
from experiment_pipeline.registry.metrics import Metrics
from experiment_pipeline.registry.notification_targets import NotificationTargets
from experiment_pipeline.registry.retentions import Retentions
from experiment_pipeline.registry.sources import Connections, Sources
from experiment_pipeline.schemas.manifests import (
    DeclaredExperiment,
    DeclaredMetric,
    DeclaredSource,
    EnvironmentBody,
    Manifest,
)
from experiment_pipeline.times import to_milliseconds

P = ParamSpec("P")
T = TypeVar("T")
HIDDEN_FIELDS = {
    "id",
    "partition_key",
    "environment_key",
    "key",
    "created_at",
    "updated_at",
    "deleted_at",
    "phase",
    "ended_phases",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that `apply` makes, changes, or leaves as it is although the file says something else.

    Attributes:
        action: `create`, `change` or `keep`.
        subject: e.g. `experiment production/checkout`.
        fields: old and new value, JSON-ready, by field; the old ones of a new thing are None.
        notes: sentences for people: what was kept, and what is probably not meant.
    """

    action: str
    subject: str
    fields: dict[str, tuple[Any, Any]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifests:
    """Store that applies manifests through the other stores."""

    database: Database

    def apply(
        self,
        manifest: Manifest,
        *,
        actor: str,
        now: datetime,
        dry_run: bool = False,
        resume: bool = False,
        strict: bool = False,
        floors: Floors = SHIPPED_FLOORS,
    ) -> list[Difference]:
        """Apply a manifest: change the registry to match it, completely or not at all. A dry run changes nothing.

        Completed experiments go first: they free their feature for the next one (rule L2).

        Args:
            manifest: of the file.
            actor: for the audit log.
            now: for the audit log.
            dry_run: change nothing.
            resume: resume an experiment that is paused and, by the file, running.
            strict: refuse a file that says of an experiment less than its status, which otherwise stays.
            floors: of the installation, for warnings of designs that hardly reach them.

        Returns:
            What was made, changed or kept, or would be: environments, connections, sources, metrics, experiments,
            targets of notifications.

        Raises:
            ConfigurationError: names entry and field.
        """
        with writing(self.database) as connection:
            application = _Application(connection, actor, now, resume=resume, strict=strict, floors=floors)
            differences = application.apply(manifest)
            if dry_run:
                connection.rollback()
        return differences


@dataclass(frozen=True, slots=True)
class _Application:
    """One manifest's way into the registry, in one transaction."""

    connection: Connection
    actor: str
    now: datetime
    resume: bool
    strict: bool
    floors: Floors

    def apply(self, manifest: Manifest) -> list[Difference]:
        connections = [self._connection(key, entry) for key, entry in manifest.connections.items()]
        differences = [self._environment(key, entry) for key, entry in manifest.environments.items()] + connections
        placed = in_environments(self.connection, manifest)
        differences += [self._source(key, entry) for key, entry in placed.sources.items()]
        differences += [self._metric(key, entry) for key, entry in placed.metrics.items()]
        completed_first = sorted(
            placed.experiments.items(), key=lambda item: item[1].status is not ExperimentStatus.COMPLETED
        )
        differences += [self._experiment(key, entry) for key, entry in completed_first]
        differences += [self._target(key, entry) for key, entry in placed.notifications.items()]
        return [difference for difference in differences if difference.fields or difference.notes]

    def _environment(self, key: str, entry: EnvironmentBody) -> Difference:
        environments, name = Environments(self.connection), entry.name
        with _naming(f"environments.{key}"):
            before = _or_none(environments.get, key)
            if before is None:
                after = environments.create(key, name or key, actor=self.actor, now=self.now)
            elif name and before.name != name:
                after = environments.rename(key, name, actor=self.actor, now=self.now)
            else:
                after = before
            if entry.warehouse is not None:
                after = environments.set_warehouse(key, entry.warehouse, actor=self.actor, now=self.now)
            if entry.keep is not None:
                keep = None if isinstance(entry.keep, str) else entry.keep  # forever
                after = Retentions(self.connection).set(key, keep, actor=self.actor, now=self.now)
        return _difference(f"environment {key}", before, after)

    def _connection(self, key: str, entry: ConnectionDraft) -> Difference:
        connections = Connections(self.connection)
        with _naming(f"connections.{key}"):
            before = _or_none(connections.find, key)
            after = connections.declare(key, entry, actor=self.actor, now=self.now)
        return _difference(f"connection {key}", before, after)

    def _source(self, key: str, entry: DeclaredSource) -> Difference:
        sources = Sources(self.connection)
        with _naming(f"sources.{key}"):
            before = _or_none(sources.find, key)
            after = sources.declare(key, entry.environment, entry, actor=self.actor, now=self.now)
        return _difference(f"source {entry.environment}/{key}", before, after)

    def _metric(self, key: str, entry: DeclaredMetric) -> Difference:
        metrics = Metrics(self.connection)
        with _naming(f"metrics.{key}"):
            before = _or_none(metrics.find, entry.environment, entry.name)
            if before is None:
                after = metrics.create(entry.environment, entry, actor=self.actor, now=self.now)
            else:
                after = metrics.change(entry.environment, before.id, lambda _: entry, actor=self.actor, now=self.now)
        return _difference(f"metric {entry.environment}/{entry.name}", before, after)

    def _target(self, key: str, entry: TargetDraft) -> Difference:
        targets = NotificationTargets(self.connection)
        with _naming(f"notifications.{key}"):
            before = _or_none(targets.find, key)
            after = targets.declare(key, entry, actor=self.actor, now=self.now)
        return _difference(f"notification target {key}", before, after)

    def _experiment(self, key: str, entry: DeclaredExperiment) -> Difference:
        path = f"experiments.{key}"
        with _naming(path):
            lifecycle.check_dates(entry.status, entry.started_at, entry.ended_at, self.now)
            before = _or_none(Experiments(self.connection).find, entry.environment, key)
            check_declared(self.connection, entry, before)
            after = self._declare(entry, before)
        with _naming(path, f"{path}.status"):
            kept = self._kept(after, entry)
            after = self._dates(after, entry)
            if not kept:
                after = self._status(after, entry)
        difference = _difference(f"experiment {entry.environment}/{key}", before, after)
        warned = design_warnings(after, self.floors) if difference.fields else []
        return replace(difference, notes=(*kept, *(f"warning: {warning}" for warning in warned)))

    def _declare(self, entry: DeclaredExperiment, before: Experiment | None) -> Experiment:
        experiments = Experiments(self.connection)
        if before is not None:
            return experiments.change(before.id, lambda _: entry, actor=self.actor, now=self.now)
        try:
            return experiments.create(entry.environment, entry, actor=self.actor, now=self.now, may_reuse_key=True)
        except Conflict as conflict:
            raise explained_conflict(self.connection, entry, conflict) from None

    def _kept(self, experiment: Experiment, entry: DeclaredExperiment) -> tuple[str, ...]:
        """Return why an experiment keeps its status, if it does: it is further than the file says.

        Raises:
            ConfigurationError: it is, and the file is applied strictly.
        """
        current, stated = experiment.status, entry.status
        if stated is None or not lifecycle.is_further(current, stated):
            return ()
        is_paused = current is ExperimentStatus.PAUSED and stated is ExperimentStatus.RUNNING
        if is_paused and self.resume:
            return ()
        remedy = " --resume resumes it." if is_paused else ""
        if self.strict:
            raise ConfigurationError.of("status", f"It is {current} already, and the file says {stated}.{remedy}")
        return (f"stays {current}, although the file says {stated}.{remedy}",)

    def _dates(self, experiment: Experiment, entry: DeclaredExperiment) -> Experiment:
        """Move the start where the file states another one (rule L1); the end stays.

        A file knows no phases: its start is that of the first one, its end that of the last (rule X9).
        """
        lifecycle.check_end_kept(experiment, entry.ended_at)
        stated, kept = entry.started_at, experiment.first_started_at
        if stated is None or kept is None or to_milliseconds(stated) == kept:
            return experiment
        experiments = Experiments(self.connection)
        return experiments.move_start(experiment.id, stated, actor=self.actor, now=self.now)

    def _status(self, experiment: Experiment, entry: DeclaredExperiment) -> Experiment:
        dates = {ExperimentStatus.RUNNING: entry.started_at, ExperimentStatus.COMPLETED: entry.ended_at}
        for step in lifecycle.transitions_to(experiment.status, entry.status or experiment.status):
            at = dates.get(step)
            experiment = Experiments(self.connection).transition(
                experiment.id, step, actor=self.actor, now=self.now, at=at
            )
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
    fields = {name: change for name, change in changes(old, as_json(after)).items() if name not in HIDDEN_FIELDS}
    return Difference("create" if not old else "change" if fields else "keep", subject, fields)
