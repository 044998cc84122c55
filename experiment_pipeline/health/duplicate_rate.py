"""Whether many events of the environment were delivered more than once while the experiment ran (rule E4).

They count once all the same. Redelivery is normal; much of it costs, and may hide that ids are not of one event each.
"""

from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs

ENOUGH_EVENTS = 100  # of fewer, one is a share


def judge_duplicates(inputs: HealthInputs) -> Finding:
    """Return a warning where the share of events that had been delivered before is above the threshold."""
    delivered, limit = inputs.lake.delivered, inputs.thresholds.duplicates
    share = delivered.duplicates / delivered.events if delivered.events else 0.0
    evidence = {
        "events": delivered.events,
        "duplicates": delivered.duplicates,
        "share": share,
        "batches": delivered.batches,
        "uncounted_batches": delivered.uncounted,
    }
    if not delivered.batches:
        detail = f"No counted batch arrived while the experiment ran.{delivered.without_uncounted}"
        return Finding("duplicates_not_judged", Severity.OK, "Duplicates not judged", detail, evidence)
    told = (
        f"{delivered.duplicates:,} of {delivered.events:,} events of the environment ({100 * share:.3g} %) that "
        "arrived while the experiment ran had been delivered before, and count once"
    )
    if share > limit and delivered.events >= ENOUGH_EVENTS:
        detail = (
            f"{told}: over {100 * limit:.3g} %. See whether a sender repeats what was received, an object was read "
            "again, or a source reads the same rows; where different events are taken for one, send each with an "
            f"event_id of its own.{delivered.without_uncounted}"
        )
        return Finding("many_duplicates", Severity.WARNING, "Many duplicates", detail, evidence)
    return Finding("few_duplicates", Severity.OK, "Few duplicates", f"{told}.{delivered.without_uncounted}", evidence)


CHECK = HealthCheck(
    name="few_duplicates",
    artifact="experiment_results",
    description="Few events of the environment were delivered more than once while the experiment ran (rule E4).",
    judge=judge_duplicates,
    in_place=False,
)
