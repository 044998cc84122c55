"""Cleaning up: what finished runs, dead writers and replaced lake files leave behind."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.resources.warehouse import LakeResource, WarehouseResource
from experiment_pipeline.warehouse.artifacts import ArtifactStore

PUBLISHED = ("exposures", "experiment_results")
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
RUNS_AT_ONCE = 500
REPLACED_AGE = timedelta(days=1)  # of the lake's files; no refresh reads one for so long
ORPHAN_AGE = timedelta(days=1)  # no writer takes that long


@dg.op(description="Delete the runs, and their logs, that ended before the run history begins.")
def prune_runs(context: dg.OpExecutionContext, runs: dg.ResourceParam[RefreshSession]) -> None:
    """Runs that hold the newest materialisation of a partition stay: without them it would look never computed."""
    ended_before = datetime.now(UTC) - runs.settings.run_history
    newest = set(_newest_runs(context.instance))
    old = dg.RunsFilter(statuses=ENDED, updated_before=ended_before)
    records = context.instance.get_run_records(old, limit=RUNS_AT_ONCE, ascending=True)
    doomed = [run_id for record in records if (run_id := record.dagster_run.run_id) not in newest]
    for run_id in doomed:
        context.instance.delete_run(run_id)
    context.log.info("%s runs deleted", len(doomed))


@dg.op(ins={"after": dg.In(dg.Nothing)}, description="Remove the temporary files of writers that died.")
def remove_orphans(context: dg.OpExecutionContext, warehouse: WarehouseResource) -> None:
    """A temporary file that nobody has touched for a day has no writer."""
    oldest = (datetime.now(UTC) - ORPHAN_AGE).timestamp()
    orphans = [path for path in ArtifactStore(Path(warehouse.artifacts_dir)).orphans() if _touched(path) < oldest]
    for path in orphans:
        path.unlink(missing_ok=True)
    context.log.info("%s orphaned files removed", len(orphans))


@dg.op(ins={"after": dg.In(dg.Nothing)}, description="Compact and vacuum the events lake.")
def tidy_lake(context: dg.OpExecutionContext, lake: LakeResource) -> None:
    """Beside readers and writers; no payload changes."""
    opened = lake.open()
    merges = compact(opened, datetime.now(UTC))
    removed = opened.vacuum(REPLACED_AGE)
    context.log.info("%s merges, %s replaced files removed", len(merges), len(removed))


@dg.op(description="Merge the small files of the events lake.")
def merge_small_files(context: dg.OpExecutionContext, lake: LakeResource) -> None:
    """Months that are over wait for the nightly `tidy_lake`: a late event would have them rewritten every hour."""
    merges = compact(lake.open(), datetime.now(UTC), settle=False)
    context.log.info("%s merges", len(merges))


@dg.job(description="Merge the small files of the events lake.")
def compact_lake() -> None:
    """Beside readers and ingestion."""
    merge_small_files()


@dg.job(description="Prune old runs, remove orphaned files, compact and vacuum the lake.")
def clean_up() -> None:
    """One step after another: none is urgent."""
    tidy_lake(after=remove_orphans(after=prune_runs()))


def _newest_runs(instance: dg.DagsterInstance) -> Iterator[str]:
    for partition_key in instance.get_dynamic_partitions(EXPERIMENTS.name or ""):
        for asset in PUBLISHED:
            newest = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[partition_key])
            for record in instance.fetch_materializations(newest, limit=1).records:
                yield record.event_log_entry.run_id


def _touched(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # its writer has just renamed it
        return float("inf")
