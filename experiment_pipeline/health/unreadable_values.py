"""Check that the values which metrics read are numbers (rule E5)."""

from collections.abc import Iterator

from experiment_pipeline.domain.texts import printable
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.results.model import MetricResults


def judge_values(inputs: HealthInputs) -> Finding:
    """Return an error where unreadable values cost a metric its verdict, a warning where they are only few."""
    affected = [metric for metric in inputs.results.metrics if any(metric.invalid_values.values())]
    evidence = {
        "metrics": {
            metric.attached.metric.name: {"values": metric.values, "invalid_values": metric.invalid_values}
            for metric in affected
        }
    }
    if not affected:
        return Finding("values_readable", Severity.OK, "Values readable", "Every value is a number.", evidence)
    counts = "; ".join(_counts(metric) for metric in affected)
    if any(metric.has_unreadable_values for metric in affected):
        detail = (
            f"{counts}. They do not count, and a metric with over 1 % of them in any variant has no verdict. "
            "Send values as plain decimal numbers, such as 1250.00."
        )
        return Finding("unreadable_values", Severity.ERROR, "Unreadable values", detail, evidence)
    detail = f"{counts}. They do not count; over 1 % of them in any variant would withhold the verdict."
    return Finding("some_unreadable_values", Severity.WARNING, "Some unreadable values", detail, evidence)


def _counts(metric: MetricResults) -> str:
    return f"{printable(metric.attached.metric.name)}: {', '.join(_arms(metric))}"


def _arms(metric: MetricResults) -> Iterator[str]:
    for variant, invalid in metric.invalid_values.items():
        if invalid:
            yield f"{invalid:,} of {metric.values[variant]:,} values in {printable(variant)} are no numbers"


CHECK = HealthCheck(
    name="values_readable",
    artifact="bayesian_results",
    description="At most 1 % of the values that a metric reads are not numbers, in any variant (rule E5).",
    judge=judge_values,
)
