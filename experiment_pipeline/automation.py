"""Jobs, sensors and schedules: thin. What is due and which runs serve it, `refresh.py` decides."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from experiment_pipeline.assets.cleaning import clean_up, compact_lake
from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.assets.refresh import refresh_experiments
from experiment_pipeline.lake.ingestion import has_landed
from experiment_pipeline.refresh import Claim, DispatchLimits, PlannedRun, automatic_claim, plan_runs
from experiment_pipeline.resources.instance import RUN_KEY_TAG, add_partitions, ended, runs_by_key
from experiment_pipeline.resources.registry import ExperimentRuns, lasting_id
from experiment_pipeline.resources.warehouse import LakeResource

TICK = 4  # seconds; the daemon looks every five, and more than four here would make it ten
LARGE = timedelta(seconds=5)  # of a run; such an experiment shares its run with no other
HOURLY = DispatchLimits(runs=100, automatic_runs=100, users_share=True)  # a tick takes seconds for so many
USERS_FIRST = {"dagster/priority": "10"}

ingest_events = dg.define_asset_job(
    "ingest_events",
    # As text it would be parsed, and the parser takes a tenth of a second to load.
    selection=dg.AssetSelection.assets("events"),
    description="Ingest every landing object that is not in the lake yet.",
)

refresh_experiment = dg.define_asset_job(
    "refresh_experiment",
    selection=dg.AssetSelection.assets("first_exposures").downstream(),
    description="Compute and publish one experiment's exposures and results.",
)


@dg.sensor(
    job=ingest_events,
    minimum_interval_seconds=TICK,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ingests what has landed, at most once per ingestion interval.",
)
def landing_objects(
    context: dg.SensorEvaluationContext, runs: dg.ResourceParam[ExperimentRuns], lake: LakeResource
) -> dg.RunRequest | dg.SkipReason:
    """Ingest what has landed, at most once per ingestion interval."""
    now = datetime.now(UTC)
    interval, last = runs.settings.ingestion_interval, datetime.fromtimestamp(float(context.cursor or 0), UTC)
    if now < last + interval:
        return dg.SkipReason(f"The last ingestion was requested {(now - last).total_seconds():.0f} s ago.")
    if not has_landed(runs.registry, lake.landing):
        runs.registry.record_scan(now - runs.settings.landing_object_age)
        return dg.SkipReason("All that has landed is in the lake.")
    context.update_cursor(str(now.timestamp()))
    return dg.RunRequest(run_key=f"ingest:{now:%Y%m%dT%H%M%S}")


@dg.sensor(
    jobs=[refresh_experiment, refresh_experiments],
    minimum_interval_seconds=TICK,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run for every refresh that somebody asked for or that is due, users' first.",
)
def refresh_requests(
    context: dg.SensorEvaluationContext, runs: dg.ResourceParam[ExperimentRuns]
) -> dg.SensorResult | dg.SkipReason:
    """Claim what is due by itself, and request a run for every claim that waits, users' first."""
    limits = DispatchLimits(automatic_runs=runs.settings.automatic_runs)
    requests = [
        _run_of_several(run) if len(run.partition_keys) > 1 else _run_of_one(run)
        for run in due_runs(runs, context.instance, datetime.now(UTC), limits)
    ]
    return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason("Nobody waits, and nothing is due.")


@dg.schedule(
    job=refresh_experiments,
    cron_schedule="0 * * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="For installations without sensors: refreshes whatever is due or asked for. Off, as sensors do it.",
)
def hourly_refresh(
    context: dg.ScheduleEvaluationContext, runs: dg.ResourceParam[ExperimentRuns]
) -> list[dg.RunRequest] | dg.SkipReason:
    """What `refresh_requests` does, once an hour and for all at once: for installations that run without sensors.

    A schedule has one job, so every request is for several experiments.
    """
    requests = [_run_of_several(run) for run in due_runs(runs, context.instance, datetime.now(UTC), HOURLY)]
    return requests or dg.SkipReason("Nobody waits, and nothing is due.")


def due_runs(
    runs: ExperimentRuns, instance: dg.DagsterInstance, now: datetime, limits: DispatchLimits
) -> list[PlannedRun]:
    """Claim every experiment that is due; the runs to request for whatever waits, handed over in the registry."""
    registry, settings = runs.registry, runs.settings
    candidates, scanned_at = registry.candidates(now), registry.scanned_at()
    add_partitions(instance, EXPERIMENTS, [candidate.experiment.partition_key for candidate in candidates])
    due = {
        candidate.experiment.id: source
        for candidate in candidates
        if (source := automatic_claim(candidate, now=now, grace=settings.finality_grace, scanned_at=scanned_at))
    }
    if due:
        registry.claim_automatically(due, now)
    large = {
        candidate.experiment.id
        for candidate in candidates
        if any((state.last_duration_seconds or 0) > LARGE.total_seconds() for state in candidate.states)
    }
    waiting = registry.waiting_claims()
    created = runs_by_key(instance, {claim.run_key for claim in waiting if claim.run_key})
    if _bury_ended(runs, instance, created, waiting, now):
        waiting = registry.waiting_claims()
    planned = plan_runs(waiting, large, now=now, limits=limits, created=created)
    if planned:
        registry.hand_over({run.run_key: run.claim_ids for run in planned})
    add_partitions(instance, EXPERIMENTS, [partition_key for run in planned for partition_key in run.partition_keys])
    return planned


def _bury_ended(
    runs: ExperimentRuns,
    instance: dg.DagsterInstance,
    created: Mapping[str, dg.DagsterRun],
    waiting: Sequence[Claim],
    now: datetime,
) -> bool:
    """Record claims whose runs ended without closing them: cancelled, or killed where no sensor looks (R3, R7)."""
    keys: dict[str, str | None] = {claim.served_by: claim.run_key for claim in waiting if claim.served_by}
    keys |= {lasting_id(run): key for key, run in created.items()}
    over = ended(instance, keys)
    for run_id in over:
        runs.registry.bury_run(run_id, keys[run_id], now)
    return bool(over)


def _run_of_one(run: PlannedRun) -> dg.RunRequest:
    (partition_key,) = run.partition_keys
    return dg.RunRequest(
        run_key=run.run_key, partition_key=partition_key, tags=_tags(run), job_name=refresh_experiment.name
    )


def _run_of_several(run: PlannedRun) -> dg.RunRequest:
    config = {"ops": {"refresh_several": {"config": {"partition_keys": list(run.partition_keys)}}}}
    return dg.RunRequest(run_key=run.run_key, run_config=config, tags=_tags(run), job_name=refresh_experiments.name)


def _tags(run: PlannedRun) -> dict[str, str]:
    return USERS_FIRST if run.by_user else {}


@dg.run_failure_sensor(
    minimum_interval_seconds=TICK,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records what a run left undone when its worker was killed or never came up.",
    monitor_all_code_locations=False,
)
def failed_runs(context: dg.RunFailureSensorContext, runs: dg.ResourceParam[ExperimentRuns]) -> None:
    """Record what a run left undone when it could not do so itself: its worker was killed, or never came up (R3)."""
    run = context.dagster_run
    if not ended(context.instance, [lasting_id(run)]):
        return  # it is being executed again already
    undone = runs.registry.bury_run(lasting_id(run), run.tags.get(RUN_KEY_TAG), now=datetime.now(UTC))
    for experiment_id, computation in undone:
        context.log.error("%s of experiment %s: run %s ended undone", computation.value, experiment_id, run.run_id)


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
