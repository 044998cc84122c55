"""Maintenance: removal of old runs and landing objects, of orphaned and replaced files; compaction."""

import math
from datetime import UTC, datetime, timedelta

import dagster as dg

from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.automation.retention import prune_requests, prune_runs, remove_landing_objects
from experiment_pipeline.lake.compaction import SEPARABLE_FOR, compact
from experiment_pipeline.lake.dropping import drop_removed
from experiment_pipeline.lake.retention import expire
from experiment_pipeline.resources.dagster_instance import remove_partitions
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.resources.warehouse import LakeResource, WarehouseResource
from experiment_pipeline.storage.object_path import StoragePath
from experiment_pipeline.storage.places import places_of
from experiment_pipeline.tables.writer import LookTables

REPLACED_AGE = timedelta(days=1)  # of the lake's files; no refresh reads a replaced file that long
ORPHAN_AGE = timedelta(days=1)  # no writer takes that long


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
    warehouse.lake.open_sound(runs.registry.batches)  # a registry that is not this lake's knows other experiments
    partitions = remove_partitions(context.instance, EXPERIMENTS, runs.registry.experiments.partition_keys)
    store, now, age = warehouse.artifacts(), datetime.now(UTC).timestamp(), ORPHAN_AGE
    found = [*store.orphans(), *store.of_others(runs.registry.experiments.partition_keys())]
    # Or ahead of now: that of a wrong clock.
    orphans = [path for path in found if age.total_seconds() < abs(now - _modified_at(path)) < math.inf]
    for path in orphans:
        path.unlink(missing_ok=True)
    context.log.info("%s orphaned files and %s partitions removed", len(orphans), len(partitions))


@dg.op(
    ins={"after": dg.In(dg.Nothing)},
    description="Drop removed rows, compact and vacuum lake and tables.",
)
def tidy_lake(context: dg.OpExecutionContext, lake: LakeResource, runs: dg.ResourceParam[RefreshSession]) -> None:
    """Drop removed rows that are over and events past their keep (X8), compact and vacuum; no payload changes (E6).

    Raises:
        UnsoundLake: the lake lacks something; what it would delete may be needed to mend it.
    """
    opened = lake.open_sound(runs.registry.batches)
    now = datetime.now(UTC)
    drops = drop_removed(opened, runs.registry.data_versions.drop_limit(now - runs.settings.removed_keep).batch)
    expired = [expire(opened, retention) for retention in runs.registry.retentions.list(now)]
    merges = compact(opened, now, recent_after=runs.registry.data_versions.drop_limit(now - SEPARABLE_FOR).aged)
    tables = _tables(runs)
    tables.compact()
    removed = [*opened.vacuum(REPLACED_AGE), *tables.vacuum(REPLACED_AGE)]
    rows = sum(drop.rows for drop in drops)
    events = sum(each.events for each in expired)
    told = "%s removed rows and %s events past their keep dropped, %s merges, %s replaced files removed"
    context.log.info(told, rows, events, len(merges), len(removed))


@dg.op(description="Merge the small files of the events lake and of the tables of looks.")
def merge_small_files(
    context: dg.OpExecutionContext, lake: LakeResource, runs: dg.ResourceParam[RefreshSession]
) -> None:
    """Merge the small files of months that go on.

    Months that are over wait for the nightly `tidy_lake`: late events would cause a rewrite every hour.
    """
    now = datetime.now(UTC)
    recent_after = runs.registry.data_versions.drop_limit(now - SEPARABLE_FOR).aged
    merges = compact(lake.open_sound(runs.registry.batches), now, settle=False, recent_after=recent_after)
    context.log.info("%s merges, %s files of the tables of looks merged", len(merges), _tables(runs).compact())


@dg.job(description="Merge the small files of the events lake and of the tables of looks.")
def compact_lake() -> None:
    """Run the one step, beside readers and ingestion."""
    merge_small_files()


@dg.job(description="Prune old runs and requests, remove orphaned files, compact and vacuum the lake.")
def clean_up() -> None:
    """Run one step after another: none is urgent."""
    remove_landing_objects(after=tidy_lake(after=remove_orphans(after=prune_requests(after=prune_runs()))))


def _tables(runs: RefreshSession) -> LookTables:
    return LookTables(places_of(runs.settings).tables, runs.registry.table_outbox)


def _modified_at(path: StoragePath) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # its writer has just renamed it
        return float("inf")
