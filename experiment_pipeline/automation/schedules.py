"""Schedules: the hourly refresh for installations without sensors, compaction and cleaning up."""

from datetime import UTC, datetime

import dagster as dg

from experiment_pipeline.automation.batched_refresh import refresh_experiments
from experiment_pipeline.automation.dispatch import due_runs, run_of_several
from experiment_pipeline.automation.maintenance import clean_up, compact_lake
from experiment_pipeline.domain.dispatch import DispatchLimits
from experiment_pipeline.errors import RegistryUnavailable
from experiment_pipeline.resources.refresh_session import RefreshSession

# A tick takes seconds for so many.
HOURLY = DispatchLimits(runs=100, automatic_runs=100, user_runs=100, users_share=True)


@dg.schedule(
    job=refresh_experiments,
    cron_schedule="0 * * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="For installations without sensors: refreshes what is requested or due. Off by default: sensors do it.",
)
def hourly_refresh(
    context: dg.ScheduleEvaluationContext, runs: dg.ResourceParam[RefreshSession]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Request what `refresh_requests` would, once an hour and all at once, for installations without sensors.

    A schedule has one job, so every request is for several experiments.
    """
    try:
        due = due_runs(runs, context.instance, datetime.now(UTC), HOURLY)
    except RegistryUnavailable as away:
        return dg.SkipReason(str(away))
    requests = [run_of_several(run) for run in due]
    return requests or dg.SkipReason("No refresh is requested or due.")


@dg.schedule(
    job=clean_up,
    cron_schedule="30 3 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Deletes old runs and files of dead writers, compacts months that are over, vacuums the lake.",
)
def daily_clean_up() -> dg.RunRequest:
    """Request the daily maintenance, at night."""
    return dg.RunRequest()


@dg.schedule(
    job=compact_lake,
    cron_schedule="15 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Merges the small files that an hour of ingestion makes.",
)
def hourly_compaction() -> dg.RunRequest:
    """Request the hourly compaction: ingestion may make a hundred small files an hour."""
    return dg.RunRequest()
