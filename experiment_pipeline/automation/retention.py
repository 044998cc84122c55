"""Retention: what the daily clean-up deletes of Dagster's runs, of closed requests, and of landing objects.

Each step deletes all that is due, page by page, so that a clean-up never falls behind.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg

from experiment_pipeline.assets.look_tables import table_key
from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.domain.batches import IngestedFile
from experiment_pipeline.landing.expiry import StoredObjects, remove_stored
from experiment_pipeline.landing.layout import environment_of
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.resources.run_history import delete_runs, remove_orphaned_history
from experiment_pipeline.resources.warehouse import LakeResource
from experiment_pipeline.results.published_tables import PUBLISHED_TABLES
from experiment_pipeline.settings import Settings

INGESTED_ASSET = "events"
PAYLOAD_ASSETS = ("exposures", "experiment_results")
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
ROUTINE_JOBS = (
    "ingest_events",
    "write_tables",
    "compact_lake",
    "clean_up",
    "refresh_experiment",
    "refresh_experiments",
)
NOTIFICATIONS_KEEP = timedelta(days=90)  # once they are delivered; what did not arrive stays
ORPHAN_AGE = timedelta(days=1)  # of a history file; a run is known long before it has written for so long


def prune_history(instance: dg.DagsterInstance, registry: Registry, settings: Settings, now: datetime) -> int:
    """Delete the runs whose time is over, but for those with the newest materialisation of an asset or partition.

    Without such a run, Dagster would show the partition as never computed. Successful runs of routine go sooner,
    unless they published a look.

    Returns:
        How many were deleted.
    """
    newest = set(_newest_runs(instance))

    def newest_or_with_look(run_ids: Sequence[str]) -> set[str]:
        return newest | registry.computations.runs_with_look(run_ids)

    over = dg.RunsFilter(statuses=FINISHED, updated_before=now - settings.run_history)
    deleted = delete_runs(instance, over, lambda _: newest)
    for job in ROUTINE_JOBS:
        routine = dg.RunsFilter(
            job_name=job,
            statuses=[dg.DagsterRunStatus.SUCCESS],
            updated_before=now - min(settings.routine_run_history, settings.run_history),
        )
        deleted += delete_runs(instance, routine, newest_or_with_look)
    return deleted


@dg.op(description="Delete the runs, and their logs, that ended before the run history begins.")
def prune_runs(context: dg.OpExecutionContext, lake: LakeResource, runs: dg.ResourceParam[RefreshSession]) -> None:
    """Delete old runs, and the history files that no run has.

    Raises:
        UnsoundLake: the registry may be another one, or an older copy, which does not know which runs are needed.
    """
    lake.open_sound(runs.registry.batches)
    deleted = prune_history(context.instance, runs.registry, runs.settings, datetime.now(UTC))
    orphans = remove_orphaned_history(context.instance, ORPHAN_AGE)
    context.log.info("%s runs deleted, %s history files without a run", deleted, orphans)


@dg.op(ins={"after": dg.In(dg.Nothing)}, description="Delete closed requests for a refresh, and runs without a look.")
def prune_requests(context: dg.OpExecutionContext, runs: dg.ResourceParam[RefreshSession]) -> None:
    """Delete from the registry what is closed and that no look refers to, once Dagster's runs of then are gone, too."""
    before = datetime.now(UTC) - runs.settings.run_history
    claims, opened = runs.registry.claims.delete_closed(before), runs.registry.runs.delete_without_look(before)
    context.log.info("%s closed requests and %s runs without a look deleted", claims, opened)
    told = runs.registry.notifications.delete_delivered(datetime.now(UTC) - NOTIFICATIONS_KEEP)
    context.log.info("%s notifications deleted", told)


@dg.op(ins={"after": dg.In(dg.Nothing)}, description="Remove landing objects whose keep period in the lake is over.")
def remove_landing_objects(
    context: dg.OpExecutionContext, lake: LakeResource, runs: dg.ResourceParam[RefreshSession]
) -> None:
    """Remove landing objects that have been in the lake for `landing_keep`, or for their environment's keep (X8).

    None by default.

    Raises:
        UnsoundLake: the lake lacks batches that the registry knows: the objects may be all that is left of them.
    """
    now, keep = datetime.now(UTC), runs.settings.landing_keep
    keeps = {each.key: each.keep for each in runs.registry.environments.list() if each.keep is not None}
    if keep is None and not keeps:
        return
    lake.open_sound(runs.registry.batches)
    stored = runs.registry.batches.stored_objects
    dues: list[tuple[StoredObjects, datetime]] = []
    if keep is not None:
        dues.append((partial(stored, before=now - keep), now - keep))
    dues += [(partial(_stored_of, stored, key, now - kept), now - kept) for key, kept in keeps.items()]
    for due, before in dues:
        removed = remove_stored(lake.landing, due, before)
        context.log.info(
            "%s landing objects of %s bytes and %s folders removed", removed.objects, removed.bytes, removed.folders
        )


def _stored_of(
    stored: Callable[[Sequence[str], datetime], Mapping[str, IngestedFile]],
    environment_key: str,
    before: datetime,
    names: Sequence[str],
) -> Mapping[str, IngestedFile]:
    """Return those of the landing objects of one environment that are in the lake since before a moment."""
    return stored([name for name in names if environment_of(name) == environment_key], before)


def _newest_runs(instance: dg.DagsterInstance) -> Iterator[str]:
    partitions = instance.get_dynamic_partitions(EXPERIMENTS.name or "")
    wanted = [
        dg.AssetRecordsFilter(dg.AssetKey(INGESTED_ASSET)),
        *(dg.AssetRecordsFilter(table_key(table)) for table in PUBLISHED_TABLES),
        *(
            dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[partition_key])
            for partition_key in partitions
            for asset in PAYLOAD_ASSETS
        ),
    ]
    for newest in wanted:
        for record in instance.fetch_materializations(newest, limit=1).records:
            yield record.event_log_entry.run_id
