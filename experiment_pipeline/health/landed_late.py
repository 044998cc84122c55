"""Whether many events land long after they happened: results of these days change afterwards (rule E6)."""

from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.times import format_duration

ENOUGH_EVENTS = 100  # of fewer, one is a share


def judge_landing(inputs: HealthInputs) -> Finding:
    """Return a warning where the share of events that landed late is above the threshold."""
    timing, after = inputs.lake.timing, inputs.thresholds.late_after
    share = timing.late / timing.events if timing.events else 0.0
    evidence = {
        "events": timing.events,
        "late": timing.late,
        "share": share,
        "late_after_seconds": after.total_seconds(),
        "share_of_identities": timing.share,
    }
    told = (
        f"{timing.late:,} of {timing.events:,} events ({100 * share:.3g} %) landed more than {format_duration(after)} "
        "after they happened"
    )
    if share > inputs.thresholds.late and timing.events >= ENOUGH_EVENTS:
        detail = (
            f"{told}. Results of these days change afterwards, and what lands after the results are final does not "
            "count: see which sender holds events back, and set EXPERIMENT_PIPELINE_FINALITY_GRACE to the longest "
            "usual delay."
        )
        return Finding("events_land_late", Severity.WARNING, "Events land late", detail, evidence)
    return Finding("events_land_in_time", Severity.OK, "Events land in time", f"{told}.", evidence)


CHECK = HealthCheck(
    name="events_land_in_time",
    artifact="experiment_results",
    description="Few exposures and events of metrics land long after they happened (rules E6, R6).",
    judge=judge_landing,
    in_place=False,
)
