"""Whether events still arrive, of senders and of each source that is declared: judged again whenever it is read."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from experiment_pipeline.domain.texts import printable
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.times import format_duration, iso_utc

NAME = "events_arrive"


def judge_freshness(arrivals: Mapping[str, datetime | None], now: datetime, longest: timedelta) -> Finding:
    """Return a warning that names every origin of events from which none has arrived for too long.

    Args:
        arrivals: when the newest events of senders and of each source arrived, by its name (UTC); None for none yet.
        now: UTC.
        longest: time without any event that is usual.
    """
    known = {name: at for name, at in arrivals.items() if at is not None}
    evidence = {
        "newest_landed_at": {name: iso_utc(at) for name, at in sorted(known.items())},
        "longest_seconds": longest.total_seconds(),
    }
    old = {name: at for name, at in sorted(known.items()) if now - at > longest}
    missing = sorted(name for name, at in arrivals.items() if at is None)
    if not old and not missing:
        detail = f"Events have arrived within {format_duration(longest)} from everywhere."
        return Finding("events_arrive", Severity.OK, "Events arrive", detail, evidence)
    told = [f"from {printable(name)} the newest arrived {at:%Y-%m-%d %H:%M} UTC" for name, at in old.items()]
    told += [f"from {printable(name)} none has arrived yet" for name in missing]
    detail = (
        f"No event for more than {format_duration(longest)}: {'; '.join(told)}. See whether the sender runs, the "
        "source is pulled, and what has landed is ingested (`experiment-pipeline lake status`)."
    )
    return Finding("events_stale", Severity.WARNING, "No new events", detail, evidence)


def _judge(inputs: HealthInputs) -> Finding:
    if inputs.as_of is None or inputs.arrivals is None or inputs.experiment.ended_at is not None:
        detail = "Arrivals are judged while the experiment runs."
        return Finding("arrivals_not_judged", Severity.OK, "Arrivals not judged", detail, {"newest_landed_at": {}})
    return judge_freshness(inputs.arrivals, inputs.as_of, inputs.thresholds.event_age)


CHECK = HealthCheck(
    name=NAME,
    artifact="experiment_results",
    description="While the experiment runs, events of its environment arrive from senders and from every source.",
    judge=_judge,
    in_place=False,
)
