"""The registry: every question about the control state and every change to it, each in one transaction.

The SQL stands in the modules of this package, one per noun, as functions on a connection; here is where transactions
begin and end. What each raises is said there. Changes name their `actor` and `now` for the audit log (rule L5).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import Engine

from experiment_pipeline.domain.batches import LakeVersion, LandedObject, PlannedBatch
from experiment_pipeline.domain.drafts import AttachmentDraft, ExperimentDraft, MetricDraft
from experiment_pipeline.domain.due import Candidate
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection, Metric
from experiment_pipeline.domain.refresh import Claim, ClaimSource, Computation, ComputationState, RefreshRun
from experiment_pipeline.registry import (
    attachments,
    audit,
    batches,
    claims,
    computations,
    dispatch,
    environments,
    experiments,
    manifests,
    metrics,
    runs,
)
from experiment_pipeline.registry.engine import is_current, migrate, open_engine, reading, writing
from experiment_pipeline.registry.environments import Environment
from experiment_pipeline.registry.keyring import Keyring
from experiment_pipeline.registry.manifests import Difference
from experiment_pipeline.schemas.manifests import Manifest


class Registry:
    """The control state in one database. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str) -> Self:
        """The registry at a SQLAlchemy URL, its schema brought up to date."""
        engine = open_engine(url)
        migrate(engine)
        return cls(engine)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    @property
    def keys(self) -> Keyring:
        """The API keys."""
        return Keyring(self.engine)

    def is_current(self) -> bool:
        """Whether the database answers and has the schema that this code needs."""
        return is_current(self.engine)

    def environments(self) -> list[Environment]:
        """Every environment, by key."""
        with reading(self.engine) as connection:
            return environments.select_all(connection)

    def environment_exists(self, key: str) -> bool:
        """Whether the registry knows the environment."""
        with reading(self.engine) as connection:
            return environments.exists(connection, key)

    def create_environment(self, key: str, name: str, *, actor: str, now: datetime) -> Environment:
        """Add an environment (rule E8)."""
        with writing(self.engine) as connection:
            return environments.create(connection, key, name, actor=actor, now=now)

    # Metrics
    def list_metrics(
        self, environment_key: str | None, *, search: str = "", limit: int | None = None, offset: int = 0
    ) -> list[Metric]:
        """Return the metrics of one environment or of all, newest first; `search` is a part of the name."""
        with reading(self.engine) as connection:
            return metrics.select_some(connection, metrics.alive(environment_key, search), limit=limit, offset=offset)

    def count_metrics(self, environment_key: str, *, search: str = "") -> int:
        """How many metrics `list_metrics` would list."""
        with reading(self.engine) as connection:
            return metrics.count(connection, metrics.alive(environment_key, search))

    def find_metric(self, environment_key: str, id_or_name: int | str) -> Metric:
        """One metric of one environment, by id or by name."""
        with reading(self.engine) as connection:
            return metrics.find(connection, environment_key, id_or_name)

    def create_metric(self, environment_key: str, draft: MetricDraft, *, actor: str, now: datetime) -> Metric:
        """Declare a metric (rule M1)."""
        with writing(self.engine) as connection:
            return metrics.create(connection, environment_key, draft, actor=actor, now=now)

    def change_metric(
        self,
        environment_key: str,
        id_or_name: int | str,
        revise: Callable[[MetricDraft], MetricDraft],
        *,
        actor: str,
        now: datetime,
    ) -> Metric:
        """Change a metric as far as rule L3 lets."""
        with writing(self.engine) as connection:
            return metrics.change(connection, environment_key, id_or_name, revise, actor=actor, now=now)

    def delete_metric(self, environment_key: str, id_or_name: int | str, *, actor: str, now: datetime) -> None:
        """Soft delete (rule L4)."""
        with writing(self.engine) as connection:
            metrics.soft_delete(connection, environment_key, id_or_name, actor=actor, now=now)

    # Experiments
    def experiment(self, experiment_id: int) -> Experiment:
        """One experiment; a deleted one is not found."""
        with reading(self.engine) as connection:
            return experiments.by_id(connection, experiment_id)

    def experiment_by_partition(self, partition_key: str) -> Experiment:
        """One experiment by its partition key (rule L6)."""
        with reading(self.engine) as connection:
            return experiments.by_partition(connection, partition_key)

    def find_experiment(self, environment_key: str, id_or_key: int | str) -> Experiment:
        """One experiment of one environment, by id or by key."""
        with reading(self.engine) as connection:
            return experiments.find(connection, environment_key, id_or_key)

    def list_experiments(
        self,
        environment_key: str | None = None,
        *,
        statuses: Collection[ExperimentStatus] = (),
        search: str = "",
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Experiment]:
        """Experiments, newest first, of one environment or of all; `search` is a part of the name or the feature."""
        with reading(self.engine) as connection:
            condition = experiments.matching(environment_key, statuses, search)
            return experiments.select_some(connection, condition, limit=limit, offset=offset)

    def status_counts(self, environment_key: str | None = None, *, search: str = "") -> dict[ExperimentStatus, int]:
        """How many experiments `list_experiments` would list, by status."""
        with reading(self.engine) as connection:
            return experiments.status_counts(connection, experiments.matching(environment_key, (), search))

    def create_experiment(
        self, environment_key: str, draft: ExperimentDraft, *, actor: str, now: datetime
    ) -> Experiment:
        """Declare an experiment (rules L2, L3, L6)."""
        with writing(self.engine) as connection:
            return experiments.create(connection, environment_key, draft, actor=actor, now=now)

    def change_experiment(
        self,
        experiment_id: int,
        revise: Callable[[ExperimentDraft], ExperimentDraft],
        *,
        actor: str,
        now: datetime,
    ) -> Experiment:
        """Change an experiment as far as rule L3 lets; `revise` turns its present draft into the wanted one."""
        with writing(self.engine) as connection:
            return experiments.change(connection, experiment_id, revise, actor=actor, now=now)

    def move_experiment(self, experiment_id: int, to: ExperimentStatus, *, actor: str, now: datetime) -> Experiment:
        """One step of rule L1: start, pause, resume or complete."""
        with writing(self.engine) as connection:
            return experiments.move(connection, experiment_id, to, actor=actor, now=now)

    def delete_experiment(self, experiment_id: int, *, actor: str, now: datetime) -> None:
        """Soft delete (rule L4)."""
        with writing(self.engine) as connection:
            experiments.soft_delete(connection, experiment_id, actor=actor, now=now)

    def changes(self, environment_key: str, subject: str) -> list[audit.Change]:
        """The audit log of one subject, e.g. `experiment:12`, oldest first (rule L5)."""
        with reading(self.engine) as connection:
            return audit.changes(connection, environment_key, subject)

    def apply(self, manifest: Manifest, *, actor: str, now: datetime, dry_run: bool = False) -> list[Difference]:
        """Bring the registry to what a manifest declares, all of it or nothing; a dry run only tells."""
        with writing(self.engine) as connection:
            differences = manifests.apply(connection, manifest, actor=actor, now=now)
            if dry_run:
                connection.rollback()
            return differences

    def attach_metric(self, experiment_id: int, draft: AttachmentDraft, *, actor: str, now: datetime) -> AttachedMetric:
        """Add a metric to an experiment that has not started."""
        with writing(self.engine) as connection:
            return attachments.attach(connection, experiment_id, draft, actor=actor, now=now)

    def change_attachment(
        self, experiment_id: int, metric_id: int, expected_direction: ExpectedDirection, *, actor: str, now: datetime
    ) -> AttachedMetric:
        """Expect something else of an attached metric."""
        with writing(self.engine) as connection:
            return attachments.change(connection, experiment_id, metric_id, expected_direction, actor=actor, now=now)

    def detach_metric(self, experiment_id: int, metric_id: int, *, actor: str, now: datetime) -> None:
        """Take a metric away (rule L4)."""
        with writing(self.engine) as connection:
            attachments.detach(connection, experiment_id, metric_id, actor=actor, now=now)

    # Computations and claims
    def computation(self, experiment_id: int, computation: Computation) -> ComputationState:
        """What stands now of one computation (rule R1)."""
        with reading(self.engine) as connection:
            return computations.state(connection, experiment_id, computation)

    def find_computation(self, environment_key: str, name: int | str, computation: Computation) -> ComputationState:
        """The same by environment and by the experiment's id or key."""
        with reading(self.engine) as connection:
            return computations.find(connection, environment_key, name, computation)

    def claim(
        self,
        experiment_id: int,
        computation: Computation,
        source: ClaimSource,
        now: datetime,
        minimum_interval: timedelta,
    ) -> Claim:
        """Request a refresh, or refuse it (rule R2)."""
        with writing(self.engine) as connection:
            return claims.claim(
                connection, experiment_id, computation, source, now=now, minimum_interval=minimum_interval
            )

    def waiting_claims(self, experiment_id: int | None = None) -> list[Claim]:
        """Claims without an outcome: users' first, then by age."""
        with reading(self.engine) as connection:
            return claims.waiting(connection, experiment_id)

    # Runs
    def open_run(
        self,
        experiment_id: int,
        run_id: str,
        now: datetime,
        lease_duration: timedelta,
        *,
        as_of: datetime | None = None,
        data_version: int | None = None,
    ) -> RefreshRun:
        """Take or renew the experiment's lease for a run, and fix or find what it looks at (rules R5, R7)."""
        with writing(self.engine) as connection:
            return runs.open_run(
                connection,
                experiment_id,
                run_id,
                now=now,
                lease_duration=lease_duration,
                as_of=as_of,
                data_version=data_version,
            )

    def renew_lease(self, run: RefreshRun, now: datetime, lease_duration: timedelta) -> None:
        """Hold the experiment for longer."""
        with writing(self.engine) as connection:
            runs.renew_lease(connection, run, now, lease_duration)

    def release_lease(self, run: RefreshRun) -> None:
        """Let the next run in."""
        with writing(self.engine) as connection:
            runs.release_lease(connection, run)

    def publish(
        self,
        run: RefreshRun,
        computation: Computation,
        payload: Mapping[str, object],
        *,
        code_version: str,
        computed_at: datetime,
        grace: timedelta,
        duration: timedelta | None = None,
    ) -> ComputationState:
        """Replace what stands, keep it in the history, close the claims it answers (rule R5)."""
        with writing(self.engine) as connection:
            return computations.publish(
                connection,
                run,
                computation,
                payload,
                code_version=code_version,
                computed_at=computed_at,
                grace=grace,
                duration=duration,
            )

    def record_failure(self, experiment_id: int, computation: Computation, now: datetime, run_id: str) -> None:
        """Stamp a run's failure; what was published stays (rule R3)."""
        with writing(self.engine) as connection:
            computations.record_failure(connection, experiment_id, computation, now, run_id)

    # Dispatch
    def candidates(self, now: datetime) -> list[Candidate]:
        """Every experiment that may want a refresh by itself (rules R4, R6)."""
        with reading(self.engine) as connection:
            return dispatch.candidates(connection, now)

    def claim_automatically(self, due: Mapping[int, ClaimSource], now: datetime) -> None:
        """Claim what is not final of the experiments that are due, by id (rules R4, R6)."""
        with writing(self.engine) as connection:
            dispatch.claim_automatically(connection, due, now)

    def hand_over(self, claim_ids: Mapping[str, Collection[int]]) -> None:
        """Remember which claims a run was requested for, by the run's key (rule R2)."""
        with writing(self.engine) as connection:
            dispatch.hand_over(connection, claim_ids)

    def give_back(self, experiment_id: int, run_key: str | None) -> None:
        """Leave the claims of a run that found the experiment held for a later run (rule R7)."""
        with writing(self.engine) as connection:
            dispatch.give_back(connection, experiment_id, run_key)

    def refuse(self, experiment: int, run: str, key: str | None, what: Collection[Computation], now: datetime) -> None:
        """Close what a refused run was to serve of these (rule R3)."""
        with writing(self.engine) as connection:
            dispatch.refuse(connection, experiment, run, key, what, now=now)

    def bury_run(self, run_id: str, run_key: str | None, now: datetime) -> list[tuple[int, Computation]]:
        """Record what a run that died leaves undone, and free its experiments (rules R3, R7)."""
        with writing(self.engine) as connection:
            return dispatch.bury_run(connection, run_id, run_key, now)

    # Batches
    def known_objects(self, names: Iterable[str]) -> set[str]:
        """Those of the landing objects' names that belong to a batch already."""
        with reading(self.engine) as connection:
            return batches.known_objects(connection, names)

    def plan_batch(self, objects: Sequence[LandedObject], now: datetime) -> PlannedBatch:
        """Give landing objects the next batch number; refused while another batch is open (rule E7)."""
        with writing(self.engine) as connection:
            return batches.plan_batch(connection, objects, now)

    def open_batch(self) -> PlannedBatch | None:
        """The batch that was planned and not committed."""
        with reading(self.engine) as connection:
            return batches.open_batch(connection)

    def commit_batch(
        self,
        number: int,
        *,
        accepted: int,
        duplicates: int,
        rejected: Mapping[str, int],
        problems: Mapping[str, str],
        now: datetime,
    ) -> None:
        """Make a batch part of the lake for every reader."""
        with writing(self.engine) as connection:
            batches.commit_batch(
                connection,
                number,
                accepted=accepted,
                duplicates=duplicates,
                rejected=rejected,
                problems=problems,
                now=now,
            )

    def planned_at(self, batch: int) -> datetime | None:
        """When a batch was planned; None for one that there is not."""
        with reading(self.engine) as connection:
            return batches.planned_at(connection, batch)

    def awaits_listing(self, now: datetime, grace: timedelta) -> bool:
        """Return whether the whole landing zone has to be listed now (rule R6)."""
        with reading(self.engine) as connection:
            return batches.awaits_listing(connection, now, grace)

    def record_scan(self, scanned_at: datetime) -> None:
        """Remember that all that had landed by then is in the lake (rule R6)."""
        with writing(self.engine) as connection:
            batches.record_scan(connection, scanned_at)

    def scanned_at(self) -> datetime | None:
        """The newest moment of which it is known that all that had landed is in the lake."""
        with reading(self.engine) as connection:
            return batches.scanned_at(connection)

    def lake_version(self) -> LakeVersion:
        """The newest committed batch (rule E6)."""
        with reading(self.engine) as connection:
            return batches.lake_version(connection)
