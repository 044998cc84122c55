"""Whether events arrived, or were removed, after the results were final: the results stay as they are (rule R6).

Nothing is late while results are computed. Afterwards ingestion counts what arrives, and the finding is judged anew.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from experiment_pipeline.domain.late_events import LateEvents
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.times import iso_utc


def judge_late_events(late: LateEvents) -> Finding:
    """Return a warning with the number of late events, and what to do in the next experiment."""
    evidence = {
        "exposures": late.exposures,
        "metric_events": late.metric_events,
        "last_landed_at": None if late.last_landed_at is None else iso_utc(late.last_landed_at),
        "removed": late.removed,
    }
    if not late:
        detail = "No event of the experiment arrived, or was removed, after its results were final."
        return Finding("no_late_events", Severity.OK, "No late events", detail, evidence)
    left = (
        f"{late.removed:,} exposures and events that the results count have been removed since they were final: the "
        "results stay as they are."
    )
    if late.last_landed_at is None:
        return Finding("late_events", Severity.WARNING, "Removed events", left, evidence)
    detail = (
        f"Dated in the window, {late.exposures:,} exposures of the flag and {late.metric_events:,} events of its "
        "metrics, of identities that were exposed or not, arrived after the results were final, the last "
        f"{late.last_landed_at:%Y-%m-%d %H:%M} UTC: they do not count. Where events come that late, set a longer "
        "EXPERIMENT_PIPELINE_FINALITY_GRACE before the next experiment ends."
    )
    if late.removed:
        return Finding("late_events", Severity.WARNING, "Late and removed events", f"{detail} {left}", evidence)
    return Finding("late_events", Severity.WARNING, "Late events", detail, evidence)


def late_events_of(evidence: Mapping[str, Any]) -> LateEvents:
    """Return the numbers that a stored finding rests on."""
    landed = evidence["last_landed_at"]
    return LateEvents(
        evidence["exposures"],
        evidence["metric_events"],
        None if landed is None else datetime.fromisoformat(landed),
        evidence.get("removed", 0),  # an earlier release did not count them
    )


def _judge(_: HealthInputs) -> Finding:
    return judge_late_events(LateEvents())


CHECK = HealthCheck(
    name="no_late_events",
    artifact="experiment_results",
    description="No events of the experiment arrived, or were removed, after its results were final (rule R6).",
    judge=_judge,
    in_place=False,
)
