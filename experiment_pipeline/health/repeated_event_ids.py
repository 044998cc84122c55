"""Whether event ids came again with another time or value: such events count apart (rule E4)."""

from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs


def judge_event_ids(inputs: HealthInputs) -> Finding:
    """Return a warning with the number of such ids and of their events."""
    found = inputs.lake.repeated_ids
    evidence = {"ids": found.ids, "events": found.events, "share_of_identities": found.share}
    if not found.ids:
        detail = "No event_id of the metrics' events came with another time or value."
        return Finding("event_ids_sent_once", Severity.OK, "Event ids of one event each", detail, evidence)
    where = "" if found.share == 1 else f" among {100 * found.share:.2g} % of the identities"
    detail = (
        f"{found.ids:,} event ids stand on {found.events:,} different events of the same identity{where}: each event "
        "counts, for events are one only when time and value are the same, too. Send an event again with the time and "
        "the value that it had."
    )
    return Finding("repeated_event_ids", Severity.WARNING, "Event ids of several events", detail, evidence)


CHECK = HealthCheck(
    name="event_ids_sent_once",
    artifact="bayesian_results",
    description="No event_id of the metrics' events came with another time or value, which counts twice (rule E4).",
    judge=judge_event_ids,
    in_place=False,
)
