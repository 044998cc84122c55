"""Schedules: the hourly refresh for installations without sensors, compaction and cleaning up."""

from datetime import UTC, datetime

import dagster as dg

from experiment_pipeline.automation.batched_refresh import refresh_experiments
from experiment_pipeline.automation.dispatch import due_runs, run_of_several
from experiment_pipeline.automation.maintenance import clean_up, compact_lake
from experiment_pipeline.domain.dispatch import DispatchLimits
from experiment_pipeline.resources.refresh_session import RefreshSession

HOURLY = DispatchLimits(runs=100, automatic_runs=100, users_share=True)  # a tick takes seconds for so many


@dg.schedule(
    job=refresh_experiments,
    cron_schedule="0 * * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="For installations without sensors: refreshes whatever is due or asked for. Off, as sensors do it.",
)
def hourly_refresh(
    context: dg.ScheduleEvaluationContext, runs: dg.ResourceParam[RefreshSession]
) -> list[dg.RunRequest] | dg.SkipReason:
    """What `refresh_requests` does, once an hour and for all at once: for installations that run without sensors.

    A schedule has one job, so every request is for several experiments.
    """
    requests = [run_of_several(run) for run in due_runs(runs, context.instance, datetime.now(UTC), HOURLY)]
    return requests or dg.SkipReason("Nobody waits, and nothing is due.")


@dg.schedule(
    job=clean_up,
    cron_schedule="30 3 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Prunes old runs and what dead writers left, compacts the months that are over, vacuums the lake.",
)
def daily_clean_up() -> dg.RunRequest:
    """While few look on."""
    return dg.RunRequest()


@dg.schedule(
    job=compact_lake,
    cron_schedule="15 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Merges the small files that an hour of ingestion leaves.",
)
def hourly_compaction() -> dg.RunRequest:
    """Ingestion may leave a hundred small files an hour."""
    return dg.RunRequest()
