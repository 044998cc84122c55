"""Maintenance: removal of old runs, of orphaned files, and of replaced files of the lake; compaction."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.resources.dagster_instance import remove_partitions
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.resources.warehouse import LakeResource, WarehouseResource
from experiment_pipeline.warehouse.artifacts import ArtifactStore

PAYLOAD_ASSETS = ("exposures", "experiment_results")
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
MOST_RUNS = 500  # deleted by one run of the job
REPLACED_AGE = timedelta(days=1)  # of the lake's files; no refresh reads a replaced file that long
ORPHAN_AGE = timedelta(days=1)  # no writer takes that long


@dg.op(description="Delete the runs, and their logs, that ended before the run history begins.")
def prune_runs(context: dg.OpExecutionContext, runs: dg.ResourceParam[RefreshSession]) -> None:
    """Delete old runs, but for those with the newest materialisation of a partition.

    Without that run, Dagster would show the partition as never computed.
    """
    ended_before = datetime.now(UTC) - runs.settings.run_history
    newest = set(_newest_runs(context.instance))
    old = dg.RunsFilter(statuses=FINISHED, updated_before=ended_before)
    records = context.instance.get_run_records(old, limit=MOST_RUNS, ascending=True)
    expired = [run_id for record in records if (run_id := record.dagster_run.run_id) not in newest]
    for run_id in expired:
        context.instance.delete_run(run_id)
    context.log.info("%s runs deleted", len(expired))


@dg.op(
    ins={"after": dg.In(dg.Nothing)},
    description="Remove the temporary files of writers that died, and what deleted experiments leave behind.",
)
def remove_orphans(
    context: dg.OpExecutionContext, warehouse: WarehouseResource, runs: dg.ResourceParam[RefreshSession]
) -> None:
    """Remove partitions and artifacts of deleted experiments, and temporary files whose writer is dead.

    A file that was written to within a day stays: a run may still be at work.
    """
    partitions = remove_partitions(context.instance, EXPERIMENTS, runs.registry.experiments.partition_keys)
    store, now, age = ArtifactStore(Path(warehouse.artifacts_dir)), datetime.now(UTC).timestamp(), ORPHAN_AGE
    found = [*store.orphans(), *store.of_others(runs.registry.experiments.partition_keys())]
    # Or ahead of now: that of a wrong clock.
    orphans = [path for path in found if age.total_seconds() < abs(now - _modified_at(path)) < math.inf]
    for path in orphans:
        path.unlink(missing_ok=True)
    context.log.info("%s orphaned files and %s partitions removed", len(orphans), len(partitions))


@dg.op(ins={"after": dg.In(dg.Nothing)}, description="Compact and vacuum the events lake.")
def tidy_lake(context: dg.OpExecutionContext, lake: LakeResource) -> None:
    """Compact and vacuum beside readers and writers; no payload changes."""
    opened = lake.open()
    merges = compact(opened, datetime.now(UTC))
    removed = opened.vacuum(REPLACED_AGE)
    context.log.info("%s merges, %s replaced files removed", len(merges), len(removed))


@dg.op(description="Merge the small files of the events lake.")
def merge_small_files(context: dg.OpExecutionContext, lake: LakeResource) -> None:
    """Merge the small files of months that go on.

    Months that are over wait for the nightly `tidy_lake`: late events would cause a rewrite every hour.
    """
    merges = compact(lake.open(), datetime.now(UTC), settle=False)
    context.log.info("%s merges", len(merges))


@dg.job(description="Merge the small files of the events lake.")
def compact_lake() -> None:
    """Run the one step, beside readers and ingestion."""
    merge_small_files()


@dg.job(description="Prune old runs, remove orphaned files, compact and vacuum the lake.")
def clean_up() -> None:
    """Run one step after another: none is urgent."""
    tidy_lake(after=remove_orphans(after=prune_runs()))


def _newest_runs(instance: dg.DagsterInstance) -> Iterator[str]:
    for partition_key in instance.get_dynamic_partitions(EXPERIMENTS.name or ""):
        for asset in PAYLOAD_ASSETS:
            newest = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[partition_key])
            for record in instance.fetch_materializations(newest, limit=1).records:
                yield record.event_log_entry.run_id


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # its writer has just renamed it
        return float("inf")
