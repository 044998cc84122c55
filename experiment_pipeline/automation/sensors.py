"""Sensors: they request ingestion and refreshes, and record runs that died. `dispatch` decides what is due."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Self

import dagster as dg
from typing_extensions import override

from experiment_pipeline.assets.sources import GROUP
from experiment_pipeline.automation.batched_refresh import refresh_experiments
from experiment_pipeline.automation.dispatch import (
    INGESTION_FIRST,
    TABLES_IN_TURN,
    due_runs,
    run_of_one,
    run_of_several,
)
from experiment_pipeline.automation.jobs import ingest_events, refresh_experiment, write_tables
from experiment_pipeline.domain.dispatch import DispatchLimits
from experiment_pipeline.domain.sources import Source
from experiment_pipeline.errors import RegistryUnavailable
from experiment_pipeline.lake.ingestion import landing_state
from experiment_pipeline.lake.soundness import find_flaw
from experiment_pipeline.landing.landing_state import LandingState
from experiment_pipeline.resources.dagster_instance import RUN_KEY_TAG, ended, is_under_way
from experiment_pipeline.resources.refresh_session import RefreshSession, root_run_id
from experiment_pipeline.resources.warehouse import LakeResource
from experiment_pipeline.times import is_within

# Dagster's daemon evaluates sensors every 5 s; a minimum above 4 s would make it every 10 s.
SENSOR_INTERVAL_SECONDS = 4
# The lake is compared with the registry before each ingestion, too: a flaw is told so late only while nothing lands.
SOUNDNESS_INTERVAL = timedelta(minutes=5)
UNDER_WAY_FOR = timedelta(minutes=2)  # a run that was requested longer ago may be dead: it keeps no other back
FAILED_WRITE_INTERVAL = 600  # seconds; a disk that is full for a day makes 144 failed runs, not one a minute


@dataclass(frozen=True, slots=True)
class LandingCursor:
    """State that a tick of `landing_objects` leaves to the next one.

    requested: when an ingestion was last requested, UTC
    checked:   when the lake was last found to fit the registry, UTC
    """

    requested: datetime
    checked: datetime

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Return the cursor of its text; an older one has only the first moment."""
        requested, checked, *_ = [*map(float, (text or "0").split()), 0.0]
        return cls(datetime.fromtimestamp(requested, UTC), datetime.fromtimestamp(checked, UTC))

    @override
    def __str__(self) -> str:
        return f"{self.requested.timestamp()} {self.checked.timestamp()}"


@dg.sensor(
    job=ingest_events,
    minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ingests what has landed, at most once per ingestion interval.",
)
def landing_objects(
    context: dg.SensorEvaluationContext, runs: dg.ResourceParam[RefreshSession], lake: LakeResource
) -> dg.RunRequest | dg.SkipReason:
    """Request an ingestion where objects have landed, at most once per ingestion interval."""
    try:
        return _ingestion(context, runs, lake)
    except RegistryUnavailable as away:
        return dg.SkipReason(str(away))


def _ingestion(
    context: dg.SensorEvaluationContext, runs: RefreshSession, lake: LakeResource
) -> dg.RunRequest | dg.SkipReason:
    now = datetime.now(UTC)
    interval, cursor = runs.settings.ingestion_interval, LandingCursor.parse(context.cursor)
    if is_within(cursor.requested, interval, now):
        return dg.SkipReason(f"The last ingestion was requested {(now - cursor.requested).total_seconds():.0f} s ago.")
    if is_under_way(context.instance, ingest_events.name, now - UNDER_WAY_FOR):
        return dg.SkipReason("An ingestion waits or runs: what lands meanwhile is for the next one.")
    batches, listed = runs.registry.batches, now - runs.settings.landing_object_age
    state = landing_state(batches, lake.landing, whole=False)
    is_due = state.all_is_in and batches.awaits_listing(listed, runs.settings.finality_grace)
    if state.waits or is_due or not is_within(cursor.checked, SOUNDNESS_INTERVAL, now):
        if (finding := find_flaw(lake.root, batches)) is not None:
            # One run that fails and says it in Dagster's pages, and not one in every interval.
            return dg.RunRequest(run_key=f"unsound:{sha256(finding.message.encode()).hexdigest()[:16]}")
        cursor = replace(cursor, checked=now)
    if is_due:
        state = landing_state(batches, lake.landing)
        if state.all_is_in:
            batches.record_scan(listed, now)
    context.update_cursor(str(replace(cursor, requested=now) if state.waits else cursor))
    if not state.waits:
        return dg.SkipReason(_why_nothing_is_ingested(state))
    return dg.RunRequest(run_key=f"ingest:{now:%Y%m%dT%H%M%S%f}", tags=INGESTION_FIRST)


def _why_nothing_is_ingested(state: LandingState) -> str:
    found = {
        "files or folders are passed over": state.ignored.count,
        "files or folders cannot be read": state.unreadable.count,
        "files have changed since they were ingested": state.changed.count,
    }
    counts = [f"{count} {what}" for what, count in found.items() if count]
    if not counts:
        return "All that has landed is in the lake."
    return f"Nothing waits to be ingested, but {', and '.join(counts)}: experiment-pipeline lake status names them."


@dg.sensor(
    jobs=[refresh_experiment, refresh_experiments],
    minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run for every refresh that is requested or due, users' first.",
)
def refresh_requests(
    context: dg.SensorEvaluationContext, runs: dg.ResourceParam[RefreshSession]
) -> dg.SensorResult | dg.SkipReason:
    """Claim every experiment that is due, and request runs for the claims that wait, users' first."""
    limits = DispatchLimits(automatic_runs=runs.settings.automatic_runs)
    try:
        due = due_runs(runs, context.instance, datetime.now(UTC), limits)
    except RegistryUnavailable as away:
        return dg.SkipReason(str(away))
    requests = [run_of_several(run) if run.ended or len(run.phases) > 1 else run_of_one(run) for run in due]
    return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason("No refresh is requested or due.")


@dg.run_failure_sensor(
    minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records the refreshes of a run that ended without publishing: killed, or never started.",
    monitor_all_code_locations=False,
)
def failed_runs(context: dg.RunFailureSensorContext, runs: dg.ResourceParam[RefreshSession]) -> dg.SkipReason | None:
    """Record the failures of a run that could not do so itself: it was killed, or never started (rule R3).

    While the registry is away this is skipped for good: `refresh_requests` finds the same runs once it is back.
    """
    run = context.dagster_run
    if not ended(context.instance, [root_run_id(run)]):
        return None  # a re-execution of it is running
    key, now = run.tags.get(RUN_KEY_TAG), datetime.now(UTC)
    try:
        unpublished = runs.registry.runs.close_dead_run(root_run_id(run), key, now=now)
    except RegistryUnavailable as away:
        return dg.SkipReason(str(away))
    for experiment_id, computation in unpublished:
        context.log.error(
            "%s of experiment %s: run %s ended without publishing", computation.value, experiment_id, run.run_id
        )
    return None


@dg.sensor(
    job=write_tables,
    minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes what was published to the tables of all looks, at most once a minute.",
)
def look_tables(
    context: dg.SensorEvaluationContext,  # noqa: ARG001 - Dagster gives it by this name
    runs: dg.ResourceParam[RefreshSession],
) -> dg.RunRequest | dg.SkipReason:
    """Request a run where publications wait for the tables, and the last write is a minute ago.

    A write that fails is requested again after `FAILED_WRITE_INTERVAL`; after one that works the key is another one.
    """
    now = datetime.now(UTC)
    try:
        state = runs.registry.table_outbox.state()
    except RegistryUnavailable as away:
        return dg.SkipReason(str(away))
    if not state.is_due(now):
        return dg.SkipReason(f"{state.waiting} publications wait for the tables, which are written once a minute.")
    number = 0 if state.newest is None else state.newest.number
    open_or_closed = "open" if state.is_interrupted else "written"
    run_key = f"tables:{number}:{open_or_closed}:{now.timestamp() // FAILED_WRITE_INTERVAL:.0f}"
    return dg.RunRequest(run_key=run_key, tags=TABLES_IN_TURN)


def source_pulls(sources: Collection[Source]) -> list[dg.SensorDefinition]:
    """Return the sensor that pulls sources when they are due; none in an installation without sources."""
    if not sources:
        return []
    sensor = dg.AutomationConditionSensorDefinition(
        "source_pulls",
        target=dg.AssetSelection.groups(GROUP),
        minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Pulls each source as often as it says, and when its upstream has been materialised.",
    )
    return [sensor]
