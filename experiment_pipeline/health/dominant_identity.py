"""Whether one identity holds a large part of a metric's sum: an effect on the metric is then mostly its own."""

from collections.abc import Iterator

from experiment_pipeline.domain.aggregates import ValueSummary
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.results.model import MetricResults

LARGEST_PART = 0.1  # of an arm's sum
ENOUGH_NONZERO = 100  # of fewer identities, one may well hold a tenth


def judge_largest(inputs: HealthInputs) -> Finding:
    """Return a warning where one identity holds more than 10 % of an arm's sum, of 100 identities that are not 0."""
    found = {metric.attached.metric.name: dict(_dominated(metric)) for metric in inputs.results.metrics}
    evidence = {
        "metrics": {
            name: {arm: {"largest": each.largest, "share": each.largest_share} for arm, each in arms.items()}
            for name, arms in found.items()
            if arms
        }
    }
    if not evidence["metrics"]:
        detail = "No identity holds more than 10 % of a metric's sum."
        return Finding("no_dominant_identity", Severity.OK, "No dominant identity", detail, evidence)
    told = "; ".join(_told(name, arm, each) for name, arms in found.items() for arm, each in arms.items())
    detail = f"{told}. An effect on such a metric is mostly that of one identity: see where its value comes from."
    return Finding("dominant_identity", Severity.WARNING, "Dominant identity", detail, evidence)


def _dominated(metric: MetricResults) -> Iterator[tuple[str, ValueSummary]]:
    for arm, each in metric.of_identities.items():
        if each.nonzero >= ENOUGH_NONZERO and (each.largest_share or 0) > LARGEST_PART:
            yield arm, each


def _told(metric: str, arm: str, each: ValueSummary) -> str:
    share, where = 100 * (each.largest_share or 0), printable(arm)
    return f"{printable(metric)}: one identity holds {share:,.1f} % of the sum in {where} ({each.largest:,.6g})"


CHECK = HealthCheck(
    name="no_dominant_identity",
    artifact="bayesian_results",
    description="No identity holds more than 10 % of a metric's sum in any variant, of 100 or more that are not 0.",
    judge=judge_largest,
)
