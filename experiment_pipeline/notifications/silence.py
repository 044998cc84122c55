"""Silence: running experiments for which events have stopped coming, written to the outbox as late data."""

from datetime import datetime, timedelta

from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.results.occurrences import of_silence


def write_silence(registry: Registry, now: datetime, longest: timedelta) -> int:
    """Write which running experiments have had no new event for too long; each silence is told once.

    Nothing else tells it: without new events there is no refresh that could. An origin from which nothing has ever come
    is not silent yet.

    Args:
        registry: of the installation.
        now: UTC.
        longest: time without any event that is usual.

    Returns:
        The number of experiments that are without new events.
    """
    if not any(target.enabled for target in registry.notification_targets.list()):
        return 0
    count = 0
    for environment in registry.environments.list():
        arrivals = registry.health.arrivals(environment.key)
        silent = {origin: at for origin, at in arrivals.items() if at is not None and now - at > longest}
        running = registry.experiments.list(environment.key, statuses=[ExperimentStatus.RUNNING]) if silent else ()
        for experiment in running:
            registry.notifications.write(experiment.id, experiment.phase, [of_silence(silent)], now=now)
        count += len(running)
    return count
