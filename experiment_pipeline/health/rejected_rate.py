"""Whether many records of the environment were rejected while the experiment ran: they count nowhere (rule E3)."""

from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs

ENOUGH_RECORDS = 100  # of fewer, one is a share


def judge_rejected(inputs: HealthInputs) -> Finding:
    """Return a warning where the share of rejected records is above the threshold."""
    delivered, limit = inputs.lake.delivered, inputs.thresholds.rejected
    rejected, reason = delivered.all_rejected, delivered.most_frequent_reason
    records = delivered.events + rejected
    share = rejected / records if records else 0.0
    evidence = {
        "records": records,
        "rejected": rejected,
        "share": share,
        "most_frequent_reason": reason,
        "of_this_reason": delivered.rejected[reason] if reason else 0,
        "batches": delivered.batches,
        "uncounted_batches": delivered.uncounted,
    }
    if not delivered.batches:
        detail = f"No counted batch arrived while the experiment ran.{delivered.without_uncounted}"
        return Finding("rejected_not_judged", Severity.OK, "Rejected records not judged", detail, evidence)
    told = (
        f"{rejected:,} of {records:,} records of the environment ({100 * share:.3g} %) that arrived while the "
        "experiment ran were rejected"
    )
    if share > limit and records >= ENOUGH_RECORDS:
        detail = (
            f"{told}, over {100 * limit:.3g} %, most often for {reason} ({evidence['of_this_reason']:,}): no result "
            "counts them. `experiment-pipeline lake rejected` shows them; correct the sender, and where the cause is "
            f"gone, take them in again with `lake rejected --retry`.{delivered.without_uncounted}"
        )
        return Finding("many_rejected", Severity.WARNING, "Many records rejected", detail, evidence)
    detail = f"{told}.{delivered.without_uncounted}"
    return Finding("few_rejected", Severity.OK, "Few records rejected", detail, evidence)


CHECK = HealthCheck(
    name="few_rejected",
    artifact="experiment_results",
    description="Few records of the environment were rejected while the experiment ran (rule E3).",
    judge=judge_rejected,
    in_place=False,
)
