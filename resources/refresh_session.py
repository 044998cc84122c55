"""The registry, and the guard that every partitioned asset goes through (rules R5-R8)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import dagster as dg
import structlog

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation, ComputationState, RefreshRun
from experiment_pipeline.errors import Leased, RefreshRefused
from experiment_pipeline.registry.repository import Registry
from experiment_pipeline.resources.dagster_instance import RUN_KEY_TAG, event_log_kept_open
from experiment_pipeline.resources.retries import patiently, tried_again
from experiment_pipeline.results.model import Floors
from experiment_pipeline.settings import Settings
from experiment_pipeline.warehouse.artifacts import Stamp, code_version
from experiment_pipeline.warehouse.base import AnalysisScope

log = structlog.get_logger(__name__)

COMPUTE_FAILED = {computation: f"{computation.value}.compute_failed" for computation in Computation}


@dataclass(frozen=True, slots=True)
class OpenRun:
    """One experiment held by one run: what it looks at, and the right to publish.

    scope: environment, feature, window and data version, the same for every artifact of the run (rule R5)
    """

    experiment: Experiment
    run: RefreshRun
    scope: AnalysisScope
    publish: Callable[[Computation, Mapping[str, object]], ComputationState]

    def stamp(self, sql: str) -> Stamp:
        """What an artifact of this run is computed from."""
        return Stamp(self.scope.partition_key, self.scope.window, self.scope.data_version, code_version(), sql)


@dataclass(slots=True)
class ExperimentRuns:
    """Opens runs on experiments, and lets go of them when the process's run ends."""

    registry: Registry
    settings: Settings
    held: dict[int, RefreshRun] = field(default_factory=dict)
    held_since: dict[int, datetime] = field(default_factory=dict)

    @property
    def floors(self) -> Floors:
        """How much data inference needs here."""
        return Floors(self.settings.minimum_identities, self.settings.minimum_conversions)

    @contextmanager
    def open(
        self, context: dg.AssetExecutionContext, *computations: Computation, inherits: Callable[[], Stamp] | None = None
    ) -> Iterator[OpenRun]:
        """Hold the partition's experiment while one asset is made.

        computations: what cannot be published when this asset fails; the failure is recorded with them (rule R3)
        inherits:     reads the upstream artifact's; a run that starts here takes its as-of and data version (rule R5),
                      and one that started elsewhere refuses an artifact of another as-of
        A refusal (final, leased, superseded, not started) fails the step, names itself, and is no failure. After a
        transient error Dagster tries the step again; the lease stays, and only the last attempt is a failure.
        """
        with tried_again(context.retry_number):
            experiment = self.registry.experiment_by_partition(context.partition_key)
        try:
            with self.guarded(experiment, context.run, *computations), tried_again(context.retry_number):
                yield self.hold(experiment, context.run, inherits() if inherits else None)
        except RefreshRefused as refusal:
            raise dg.Failure(
                description=f"Refused: {refusal}",
                metadata={"refusal": type(refusal).__name__},
                allow_retries=False,
            ) from refusal

    @contextmanager
    def guarded(self, experiment: Experiment, dagster_run: dg.DagsterRun, *computations: Computation) -> Iterator[None]:
        """Record what goes wrong inside, and let it go on: a failure of these computations, or a refusal (rule R3)."""
        run_key = dagster_run.tags.get(RUN_KEY_TAG)
        try:
            yield
        except dg.RetryRequested:
            raise
        except Leased:
            _record(lambda: self.registry.give_back(experiment.id, run_key))
            raise
        except RefreshRefused:
            now = datetime.now(UTC)
            _record(lambda: self.registry.refuse(experiment.id, lasting_id(dagster_run), run_key, computations, now))
            raise
        except Exception:
            now = datetime.now(UTC)
            for computation in computations:
                log.exception(
                    COMPUTE_FAILED[computation],
                    experiment=experiment.partition_key,
                    environment=experiment.environment_key,
                )
                _record(partial(self.registry.record_failure, experiment.id, computation, now, lasting_id(dagster_run)))
            raise

    def hold(self, experiment: Experiment, dagster_run: dg.DagsterRun, inherits: Stamp | None = None) -> OpenRun:
        """Take or renew the experiment's lease. Raises RefreshRefused."""
        run = self.registry.open_run(
            experiment.id,
            lasting_id(dagster_run),
            now=datetime.now(UTC),
            lease_duration=self.settings.lease_duration,
            as_of=inherits.window.as_of if inherits else None,
            data_version=inherits.data_version if inherits else None,
        )
        self.held[experiment.id] = run
        held_since = self.held_since.setdefault(experiment.id, datetime.now(UTC))
        scope = AnalysisScope.of(experiment, run)
        if inherits is not None:
            scope.require_same(inherits)

        def publish(computation: Computation, payload: Mapping[str, object]) -> ComputationState:
            now = datetime.now(UTC)
            return self.registry.publish(
                run,
                computation,
                payload,
                code_version=code_version(),
                computed_at=now,
                grace=self.settings.finality_grace,
                duration=now - held_since,
            )

        return OpenRun(experiment=experiment, run=run, scope=scope, publish=publish)

    def release(self, *experiments: Experiment) -> None:
        """Let go of these experiments, or of every one that the run still holds."""
        for experiment_id in [experiment.id for experiment in experiments] or list(self.held):
            if (run := self.held.pop(experiment_id, None)) is not None:
                _record(partial(self.registry.release_lease, run))


def _record(what: Callable[[], None]) -> None:
    """Where the registry cannot be reached the run goes on: `failed_runs` records the failure later, leases expire."""
    try:
        patiently(what)
    except Exception:
        log.exception("registry.not_recorded")


def lasting_id(dagster_run: dg.DagsterRun) -> str:
    """A run's id, the same for its re-executions: they keep what the first one looked at (rule R5)."""
    return dagster_run.root_run_id or dagster_run.run_id


def runs_resource(settings: Settings) -> dg.ResourceDefinition:
    """`ExperimentRuns` for one Dagster run. No Dagster config: its pages would show the registry's password."""

    @dg.resource(description="The registry, and the guard that opens a run on an experiment (R5-R8).")
    def experiment_runs(context: dg.InitResourceContext) -> Iterator[ExperimentRuns]:
        runs = ExperimentRuns(registry=Registry.open(settings.database_url), settings=settings)
        with closing(runs.registry), ExitStack() as kept:
            if context.instance is not None and context.run is not None:
                kept.enter_context(event_log_kept_open(context.instance, context.run.run_id))
            try:
                yield runs
            finally:
                runs.release()

    return experiment_runs
