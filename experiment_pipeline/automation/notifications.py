"""The sensor that sends notifications: in its tick, within a time limit, so that no run is started for a message."""

import os
from datetime import UTC, datetime, timedelta

import dagster as dg

from experiment_pipeline.errors import RegistryUnavailable
from experiment_pipeline.notifications.sender import Sender
from experiment_pipeline.notifications.silence import write_silence
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.times import is_within

INTERVAL_SECONDS = 9  # Dagster's daemon evaluates sensors every 5 s: this makes it every 10 s
TICK_SECONDS = 20.0  # and 20 more for what is under way then; Dagster ends a tick after 60
SILENCE_INTERVAL = timedelta(minutes=1)


@dg.sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends notifications that wait, and notices that events have stopped coming.",
)
def notifications(context: dg.SensorEvaluationContext, runs: dg.ResourceParam[RefreshSession]) -> dg.SkipReason:
    """Send what is due to every target; it never requests a run."""
    try:
        return dg.SkipReason(_send(context, runs))
    except RegistryUnavailable as away:
        return dg.SkipReason(str(away))


def _send(context: dg.SensorEvaluationContext, runs: RefreshSession) -> str:
    registry, now = runs.registry, datetime.now(UTC)
    if not any(target.enabled for target in registry.notification_targets.list()):
        return "No target of notifications is declared."
    looked = datetime.fromtimestamp(float(context.cursor or 0), UTC)
    if not is_within(looked, SILENCE_INTERVAL, now):
        write_silence(registry, now, runs.settings.health_event_age)
        context.update_cursor(str(now.timestamp()))
    sender = Sender(registry, os.environ, runs.settings.public_url, lambda: datetime.now(UTC))
    sent = sender.send_due(TICK_SECONDS)
    return f"{sent.delivered} notifications sent, {sent.failed} failed."
