"""The Dagster instance of one installation, and its jobs run in this process.

The command line reaches Dagster through this module alone.
"""

import fcntl
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.utils import make_new_run_id

from experiment_pipeline.domain.late_events import FinalResults
from experiment_pipeline.errors import RefreshRefused
from experiment_pipeline.health.finding import Severity
from experiment_pipeline.health.late_events import CHECK as LATE_EVENTS
from experiment_pipeline.registry.health import Health
from experiment_pipeline.resources.own_runs import locked_run
from experiment_pipeline.resources.ticks import forget_ticks_ahead
from experiment_pipeline.settings import Settings

LOCATION = "experiment_pipeline.definitions"  # Dagster loads it by name, and so does this module, which lies below it
RUN_KEY_TAG = "dagster/run_key"  # which request a run answers
ROOT_RUN_TAG = "dagster/root_run_id"  # of which run it is a re-execution
UNFINISHED = [status for status in dg.DagsterRunStatus if status not in FINISHED_STATUSES]
EVALUATED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
SEVERITIES = {
    Severity.OK: dg.AssetCheckSeverity.ERROR,  # Dagster wants one of a check that passed, too, and shows none
    Severity.WARNING: dg.AssetCheckSeverity.WARN,
    Severity.ERROR: dg.AssetCheckSeverity.ERROR,
}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class LocalDagster:
    """The jobs of one installation, run in this process and recorded in its instance."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    home: Path

    def run(
        self, job: str, partition_key: str | None = None, config: Mapping[str, Any] | None = None
    ) -> dg.ExecuteInProcessResult:
        """Run a job, for a partition where it has any; a partition that Dagster does not know yet is added.

        Args:
            job: its name.
            partition_key: of the experiment.
            config: of the run, where the job takes any (`config_of`).

        Raises:
            RefreshRefused: the refresh is refused, e.g. because another run has the experiment's lease.
            KeyboardInterrupt: Ctrl-C; the run is recorded as failed, and its leases are released.
            Exception: the run failed; its first error.
        """
        partitions = self.definitions.resolve_job_def(job).partitions_def
        if partition_key is not None and isinstance(partitions, dg.DynamicPartitionsDefinition):
            add_partitions(self.instance, partitions, [partition_key])
        run_id = make_new_run_id()
        with locked_run(self.home, run_id):
            try:
                return run_here(self.definitions, job, self.instance, partition_key, run_id, config=config)
            except dg.DagsterExecutionInterruptedError:
                raise KeyboardInterrupt from None
            except dg.Failure as failed:
                if isinstance(failed.__cause__, RefreshRefused):
                    raise failed.__cause__ from None
                raise


@contextmanager
def local_dagster(settings: Settings) -> Iterator[LocalDagster]:
    """Open an installation's instance and load its definitions, to run jobs in this process."""
    definitions = import_module(LOCATION).build(settings)
    with open_instance(settings.dagster_home) as instance:
        yield LocalDagster(definitions, instance, settings.dagster_home)


def open_instance(home: Path) -> dg.DagsterInstance:
    """Open the persistent Dagster instance in a folder, made with the shipped dagster.yaml where there is none.

    One process at a time: two that are the first make the same tables, and one of them fails. Ticks that lie ahead are
    forgotten: the clock was wrong when they came.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "open.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "dagster.yaml").exists():
            with as_file(files("experiment_pipeline").joinpath("dagster.yaml")) as shipped:
                shutil.copy(shipped, home / "dagster.yaml")
        instance = dg.DagsterInstance.from_config(str(home))
        forget_ticks_ahead(instance, datetime.now(UTC))
        return instance


def newest_materialization(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partition_key: str
) -> AssetCheckEvaluationTargetMaterializationData | None:
    """Return a reference to the newest materialisation of a partition, as a check of it wants one."""
    newest = dg.AssetRecordsFilter(asset, asset_partitions=[partition_key])
    for record in instance.fetch_materializations(newest, limit=1).records:
        return AssetCheckEvaluationTargetMaterializationData(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
    return None


def newest_evaluation(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, partition_key: str
) -> dg.AssetCheckEvaluation | None:
    """Return the newest outcome of a check of a partition; None where it was never evaluated."""
    for record in _newest_evaluations(instance, check, partition_key):
        if record.event is not None and record.event.dagster_event is not None:
            return record.event.dagster_event.asset_check_evaluation_data
    return None


def _newest_evaluations(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, partition_key: str
) -> Sequence[AssetCheckExecutionRecord]:
    """Return the record of the newest outcome of a check of a partition, or none."""
    return instance.event_log_storage.get_asset_check_execution_history(
        check, limit=1, status=EVALUATED, partition_filter=PartitionKeyFilter(key=partition_key)
    )


def report_late_events(instance: dg.DagsterInstance, health: Health, late: Iterable[FinalResults]) -> None:
    """Report the check of late events, as its finding is stored now, of results that are final (rule R6)."""
    asset = dg.AssetKey(LATE_EVENTS.artifact)
    for results in late:
        if not results.is_newest:
            continue  # the outcomes that stand for the partition are the running phase's (rule X9)
        stored = health.get(results.experiment_id, results.phase)
        for finding in () if stored is None else stored.findings:
            if finding["check"] == LATE_EVENTS.name:
                evaluation = dg.AssetCheckEvaluation(
                    asset_key=asset,
                    check_name=LATE_EVENTS.name,
                    passed=finding["severity"] == Severity.OK,
                    severity=SEVERITIES[Severity(finding["severity"])],
                    description=f"{finding['title']}. {finding['detail']}",
                    metadata={"code": finding["code"], **finding["evidence"]},
                    partition=results.partition_key,
                    target_materialization_data=newest_materialization(instance, asset, results.partition_key),
                )
                _report_again(instance, evaluation)


def _report_again(instance: dg.DagsterInstance, evaluation: dg.AssetCheckEvaluation) -> None:
    """Put an outcome in the place of the partition's newest one, in the log of the same run.

    Dagster keeps one outcome by check, partition and run, and of those without a run only the first.
    """
    newest = _newest_evaluations(instance, evaluation.asset_check_key, evaluation.partition or "")
    run_id = newest[0].run_id if newest else make_new_run_id()
    run = instance.get_run_by_id(run_id)
    event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
        event_specific_data=evaluation,
        job_name=run.job_name if run else "",
    )
    instance.report_dagster_event(event, run_id=run_id)


def config_of(phases: Mapping[str, int]) -> dict[str, Any]:
    """Return the config of a run of the job `refresh_experiments`: the phase of each experiment, by partition key."""
    config = {"partition_keys": list(phases), "phases": dict(phases)}
    return {"ops": {"refresh_several": {"config": config}}}


def add_partitions(instance: dg.DagsterInstance, partitions: dg.DynamicPartitionsDefinition, keys: list[str]) -> None:
    """Add the partitions of these keys to Dagster's; one that it knows already stays as it is."""
    name = partitions.name or ""
    known = set(instance.get_dynamic_partitions(name))
    if new := [key for key in dict.fromkeys(keys) if key not in known]:
        instance.add_dynamic_partitions(name, new)


def remove_partitions(
    instance: dg.DagsterInstance, partitions: dg.DynamicPartitionsDefinition, existing: Callable[[], Collection[str]]
) -> list[str]:
    """Remove from Dagster's partitions those whose experiment is deleted, and return their keys.

    Args:
        existing: the keys that are to stay. Asked after Dagster's: what is added meanwhile exists by then.
    """
    name = partitions.name or ""
    known = instance.get_dynamic_partitions(name)
    gone = sorted(set(known) - set(existing())) if known else []
    for key in gone:
        instance.delete_dynamic_partition(name, key)
    return gone


def runs_by_key(instance: dg.DagsterInstance, keys: Collection[str]) -> dict[str, dg.DagsterRun]:
    """Return the runs that Dagster has for these run keys, by key; a run that was never created is missing."""
    if not keys:
        return {}
    found = instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: sorted(keys)}))
    return {run.tags[RUN_KEY_TAG]: run for run in found}


def is_under_way(instance: dg.DagsterInstance, job: str, since: datetime) -> bool:
    """Return whether a run of a job waits in the queue or runs, of those that were created since a moment."""
    filters = dg.RunsFilter(job_name=job, statuses=UNFINISHED, created_after=since)
    return bool(instance.get_run_records(filters, limit=1))


def ended(instance: dg.DagsterInstance, run_ids: Collection[str]) -> list[str]:
    """Return those runs that have ended, with every re-execution of them; never one that Dagster does not know."""
    if not run_ids:
        return []
    ids = sorted(run_ids)
    runs = instance.get_runs(dg.RunsFilter(run_ids=ids))
    again = instance.get_runs(dg.RunsFilter(tags={ROOT_RUN_TAG: ids}))
    running = {run.root_run_id or run.run_id for run in (*runs, *again) if not run.is_finished}
    return [run.run_id for run in runs if run.run_id not in running]


def run_here(
    definitions: dg.Definitions,
    job: str,
    instance: dg.DagsterInstance,
    partition_key: str | None = None,
    run_id: str | None = None,
    *,
    config: Mapping[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """Run a job in this process and record it in the instance.

    Raises:
        Exception: the run failed; its first error.
    """
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance, partition_key=partition_key, run_config={**QUIET, **(config or {})}, run_id=run_id
    )
