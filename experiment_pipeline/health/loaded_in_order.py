"""Whether a warehouse's rows stay as they were below a data version that was read (rule N4)."""

from experiment_pipeline.domain.texts import printable
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs

NAME = "loaded_in_order"


def judge_loaded_in_order(inputs: HealthInputs) -> Finding:
    """Return a warning with how many rows came, or went, among those that the look before had read."""
    found = inputs.warehouse
    if found is None:
        return Finding("events_in_lake", Severity.OK, "Events are in the lake", "Batches of the lake stay.", {})
    evidence = {"engine": found.engine, **found.read, "rejected": dict(found.rejected), "cost": dict(found.cost)}
    left_out = ""
    if found.rejected:
        told = ", ".join(f"{printable(reason)} {count:,}" for reason, count in sorted(found.rejected.items()))
        left_out = f" Rows that were left out, by reason: {told}."
    if found.counted_before is None or found.counted_again is None:
        detail = (
            f"{found.rows:,} rows of the flag and the metrics are read; nothing is there to compare with.{left_out}"
        )
        return Finding("loading_not_compared", Severity.OK, "Loading not compared yet", detail, evidence)
    evidence |= {"counted_before": found.counted_before, "counted_again": found.counted_again}
    if found.counted_again == found.counted_before:
        detail = f"All {found.counted_before:,} rows that the look before had read are there, and no others.{left_out}"
        return Finding(NAME, Severity.OK, "Loaded in order", detail, evidence)
    detail = (
        f"The look before had read {found.counted_before:,} rows, and {found.counted_again:,} are there now with load "
        "times that it covered: its numbers cannot be computed again. Give each row the time at which it is loaded, "
        f"and change none; where transactions take longer, raise EXPERIMENT_PIPELINE_WAREHOUSE_SETTLE.{left_out}"
    )
    return Finding("rows_below_data_version", Severity.WARNING, "Rows changed that were read", detail, evidence)


CHECK = HealthCheck(
    name=NAME,
    artifact="experiment_results",
    description="Rows of a warehouse stay as they were when a look had read them; what it costs stands here, too.",
    judge=judge_loaded_in_order,
)
