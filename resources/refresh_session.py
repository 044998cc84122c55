"""The registry, and the guard that every partitioned asset goes through (rules R5-R8)."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

import dagster as dg
import structlog

from experiment_pipeline import logs
from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.planned_looks import PlannedLookOf
from experiment_pipeline.domain.refresh import Computation, ComputationState, Publication, RefreshRun
from experiment_pipeline.errors import Final, Leased, RefreshRefused, RegistryUnavailable
from experiment_pipeline.lake.soundness import require_sound
from experiment_pipeline.machine_errors import explained
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.dagster_instance import RUN_KEY_TAG
from experiment_pipeline.resources.kept_event_log import event_log_kept_open
from experiment_pipeline.resources.retries import requesting_retry, retry_transient
from experiment_pipeline.settings import Settings
from experiment_pipeline.storage.places import places_of
from experiment_pipeline.warehouse.artifacts import Stamp, code_version
from experiment_pipeline.warehouse.base import Warehouse

log = structlog.get_logger(__name__)

PHASE_TAG = "experiment_pipeline/phase"  # the phase that a run was requested for (rule X9)
COMPUTE_FAILED = {computation: f"{computation.value}.compute_failed" for computation in Computation}


class Engines(Protocol):
    """The engines of one process (`WarehouseResource`)."""

    def engine(self, url: ConnectionUrl | None = None) -> Warehouse:
        """Return the engine at a URL; the embedded one without."""


@dataclass(frozen=True, slots=True)
class ExperimentRun:
    """One experiment that a run holds the lease of, and the right to publish its results.

    Attributes:
        scope: environment, feature, window and data version, the same for every artifact of the run (rule R5).
        acquired: when the run first acquired the lease, as monotonic time (seconds); refresh durations are measured
            from here.
        engine: that analyses the experiment's environment.
    """

    experiment: Experiment
    run: RefreshRun
    scope: AnalysisScope
    registry: Registry
    settings: Settings
    acquired: float
    engine: Warehouse

    @property
    def floors(self) -> Floors:
        """The least data that inference needs."""
        return Floors.of(self.settings)

    def stamp(self, sql: str) -> Stamp:
        """Return the provenance of an artifact that this run computes with a statement."""
        return Stamp.of(self.scope, sql)

    def publish(
        self,
        computation: Computation,
        payload: Mapping[str, object],
        findings: Sequence[Mapping[str, object]] | None = None,
        live_stats: Mapping[str, object] | None = None,
        planned_looks: Sequence[PlannedLookOf] = (),
        *,
        sql: str | None = None,
    ) -> ComputationState:
        """Publish a computation's payload with what is stored beside it, and close the claims that it answers.

        Raises:
            RefreshRefused: the lease is lost, a newer payload is published, or the computation is final.
        """
        now, in_place = datetime.now(UTC), self.engine.capabilities.in_place
        return self.registry.computations.publish(
            Publication(
                self.run,
                computation,
                payload,
                code_version=code_version(),
                computed_at=now,
                grace=self.settings.finality_grace,
                duration=timedelta(seconds=time.monotonic() - self.acquired),
                findings=findings,
                live_stats=live_stats,
                planned_looks=planned_looks,
                sql=sql,
                settle=None if in_place is None else in_place.settle,
            )
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease of one experiment, as this process knows it. Times are monotonic (seconds).

    Attributes:
        acquired: when this process acquired it; refresh durations are measured from here.
    """

    run: RefreshRun
    acquired: float


@dataclass(slots=True)
class RefreshSession:
    """The refreshes of one process's Dagster run: it acquires leases of experiments, and releases them at its end."""

    registry: Registry
    settings: Settings
    leases: dict[int, Lease] = field(default_factory=dict)
    _is_lake_sound: bool = False

    @contextmanager
    def for_asset(
        self,
        context: dg.AssetExecutionContext,
        engines: Engines,
        *computations: Computation,
        inherits: Callable[[Experiment, Warehouse], Stamp] | None = None,
    ) -> Iterator[ExperimentRun]:
        """Hold the lease of the partition's experiment while one asset is computed.

        After a transient error Dagster retries the step; the lease stays, and only the last attempt is a failure.

        Args:
            context: of the asset; its partition is the experiment.
            engines: give the one of the experiment's environment.
            computations: computations that fail if this asset fails (rule R3).
            inherits: reads the upstream artifact's stamp, for the experiment in the run's phase, and its engine. A new
                run takes the stamp's as-of and data version (rule R5). One that already has its own refuses another
                as-of.

        Raises:
            Final: these computations are final; nothing of them was touched (rules R6, R8).
            dagster.Failure: the refresh is refused for another reason (leased, superseded, not started), which is
                not a failure of the experiment.
        """
        with requesting_retry(context.retry_number):
            experiment = self._in_phase_of(context.run, context.partition_key)
        try:
            with (
                self.recording_failures(experiment, context.run, *computations),
                requesting_retry(context.retry_number),
            ):
                engine = self.engine(engines, experiment)
                stamp = inherits(experiment, engine) if inherits else None
                yield self.acquire(experiment, context.run, engine, *computations, inherits=stamp)
        except Final:
            raise
        except RefreshRefused as refusal:
            raise dg.Failure(
                description=f"Refused: {refusal}",
                metadata={"refusal": type(refusal).__name__},
                allow_retries=False,
            ) from refusal

    def engine(self, engines: Engines, experiment: Experiment) -> Warehouse:
        """Return the engine of an experiment's environment (rule D0).

        Raises:
            ConfigurationError: the variable that holds the warehouse's URL is not set, or the server refuses it.
            SourceUnreachable: the warehouse does not answer.
        """
        default = self.settings.default_warehouse
        return engines.engine(self.registry.warehouses.url(experiment.environment_key, default, os.environ))

    def _in_phase_of(self, dagster_run: dg.DagsterRun, partition_key: str) -> Experiment:
        """Return the experiment in the phase that the run was requested for, or has computed before, or the newest."""
        experiment = self.registry.experiments.get_by_partition(partition_key)
        requested = dagster_run.tags.get(PHASE_TAG)
        known = int(requested) if requested else self.registry.runs.phase_of(experiment.id, root_run_id(dagster_run))
        return experiment.in_phase(known or experiment.phase)

    @contextmanager
    def recording_failures(
        self, experiment: Experiment, dagster_run: dg.DagsterRun, *computations: Computation
    ) -> Iterator[None]:
        """Record an error in the block, as a failure of these computations or as a refusal, and raise it (rule R3)."""
        run_key = dagster_run.tags.get(RUN_KEY_TAG)
        try:
            yield
        except dg.RetryRequested:
            raise
        except Leased:
            best_effort(lambda: self.registry.claims.unassign(experiment.id, run_key))
            raise
        except RefreshRefused:
            now = datetime.now(UTC)
            run_id = root_run_id(dagster_run)
            best_effort(lambda: self.registry.claims.close_refused(experiment.id, run_id, run_key, computations, now))
            raise
        except Exception as error:
            now = datetime.now(UTC)
            run_id = root_run_id(dagster_run)
            for computation in computations:
                _log_failure(
                    COMPUTE_FAILED[computation],
                    error,
                    experiment=experiment.partition_key,
                    environment=experiment.environment_key,
                )
                record = partial(self.registry.computations.record_failure, phase=experiment.phase)
                best_effort(partial(record, experiment.id, computation, now, run_id))
            raise

    def acquire(
        self,
        experiment: Experiment,
        dagster_run: dg.DagsterRun,
        engine: Warehouse,
        *computations: Computation,
        inherits: Stamp | None = None,
    ) -> ExperimentRun:
        """Acquire or renew the lease of an experiment, to compute these computations of the phase that it is in.

        Every stage asks: a run that lost its lease stops at the next one, and each stage has the whole duration.

        Raises:
            RefreshRefused: another run has the lease, the experiment has not started, all of these computations are
                final, or the run is as of another moment than the artifact it inherits from.
            UnsoundLake: the lake does not fit the registry.
        """
        now = datetime.now(UTC)
        newest = None if inherits else self._newest_version(experiment, engine, now)
        run = self.registry.runs.open(
            experiment.id,
            root_run_id(dagster_run),
            now=now,
            lease_duration=self.settings.lease_duration,
            as_of=inherits.window.as_of if inherits else None,
            data_version=inherits.data_version if inherits else None,
            newest_version=newest,
            phase=experiment.phase,
        )
        held = self.leases.get(experiment.id)
        lease = self.leases[experiment.id] = Lease(run, held.acquired if held else time.monotonic())
        states = [self.registry.computations.get(experiment.id, each, experiment.phase) for each in computations]
        if computations and all(state.is_final for state in states):
            raise Final(f"{' and '.join(computations)} of experiment '{experiment.key}' are final.")
        if engine.capabilities.in_place is None:
            self._require_sound_lake()
        installation = self.registry.installation.get()
        scope = AnalysisScope.of(experiment, lease.run, installation.identity if installation else None)
        if inherits is not None:
            scope.require_same(inherits.window, inherits.data_version, inherits.installation)
        return ExperimentRun(experiment, lease.run, scope, self.registry, self.settings, lease.acquired, engine)

    def _newest_version(self, experiment: Experiment, engine: Warehouse, now: datetime) -> int | None:
        """Return the data version that the run has in a warehouse; None of the lake. It is asked for once (rule R5)."""
        held = self.leases.get(experiment.id)
        if held is not None and engine.capabilities.in_place is not None:
            return held.run.data_version
        return engine.newest_version(experiment.environment_key, now)

    def _require_sound_lake(self) -> None:
        """Raise UnsoundLake where lake and registry do not fit: once a run, for the engine checks each reading."""
        if not self._is_lake_sound:
            require_sound(places_of(self.settings).lake, self.registry.batches)
            self._is_lake_sound = True

    def leave_out(self, experiment: Experiment, seconds: float) -> None:
        """Leave time that its run has spent on others out of the duration of an experiment's refresh."""
        if (lease := self.leases.get(experiment.id)) is not None:
            self.leases[experiment.id] = replace(lease, acquired=lease.acquired + seconds)

    def release(self, *experiments: Experiment) -> None:
        """Release the leases of these experiments, or every one that the run still holds."""
        for experiment_id in [experiment.id for experiment in experiments] or list(self.leases):
            if (lease := self.leases.pop(experiment_id, None)) is not None:
                best_effort(partial(self.registry.runs.release_lease, lease.run))


def best_effort(write: Callable[[], None]) -> None:
    """Write to the registry, and go on where it cannot be reached.

    `failed_runs` records the failure later, and leases expire.
    """
    try:
        retry_transient(write)
    except Exception as error:  # noqa: BLE001 - logged
        _log_failure("registry.not_recorded", error)


def _log_failure(event: str, error: Exception, **named: object) -> None:
    """Log an error with its traceback, but for an outage of the registry or the machine: its cause says everything."""
    reason = str(error) if isinstance(error, RegistryUnavailable) else explained(error)
    if reason is None:
        log.error(event, exc_info=error, **named)
    else:
        log.error(event, reason=reason, **named)


def root_run_id(dagster_run: dg.DagsterRun) -> str:
    """Return a run's id, the same for its re-executions: they keep the first one's as-of and data version (rule R5)."""
    return dagster_run.root_run_id or dagster_run.run_id


def runs_resource(settings: Settings) -> dg.ResourceDefinition:
    """Return the resource that gives a run its `RefreshSession`.

    It has no Dagster config: Dagster's pages would show the registry's password.
    """

    @dg.resource(description="The registry, and the guard of every refresh: leases, failures, refusals (R3, R5-R8).")
    def refresh_session(context: dg.InitResourceContext) -> Iterator[RefreshSession]:
        logs.configure_unless_configured()
        # What first asks the registry says so if it is away: a step that is retried, or a tick that is skipped.
        registry = Registry.open(settings.database_url, may_be_away=True)
        session = RefreshSession(registry=registry, settings=settings)
        with closing(session.registry), ExitStack() as kept:
            if context.instance is not None and context.run is not None:
                kept.enter_context(event_log_kept_open(context.instance, context.run.run_id))
            try:
                yield session
            finally:
                session.release()

    return refresh_session
