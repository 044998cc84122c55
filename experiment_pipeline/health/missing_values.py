"""Whether as many identities lack a value in one arm as in the other (rules M3, M6)."""

from experiment_pipeline.domain.experiments import CONTROL
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.results.arms import Arm, withheld_for_missing_values
from experiment_pipeline.results.model import MetricResults
from experiment_pipeline.stats.missing_values import MISSING_ALPHA


def judge_missing(inputs: HealthInputs) -> Finding:
    """Return a warning where the anytime-valid test of both shares says that they differ: the verdict is withheld."""
    found = {metric.attached.metric.name: _differing(metric) for metric in inputs.results.metrics}
    evidence = {
        "level": MISSING_ALPHA,
        "metrics": {name: {arm: _evidence(each) for arm, each in arms.items()} for name, arms in found.items() if arms},
    }
    if not evidence["metrics"]:
        detail = "Identities without a value are as frequent in every variant as in control, as far as a test can tell."
        return Finding("values_missing_alike", Severity.OK, "Values missing alike", detail, evidence)
    told = "; ".join(f"{printable(name)}: {_told(arms)}" for name, arms in found.items() if arms)
    detail = (
        f"{told}. Those who have a value are other people in each variant, so there is no verdict. Measure what "
        "everybody has, such as a sum, or see whether events of one variant are lost."
    )
    return Finding("missing_values_differ", Severity.WARNING, "Values missing in one variant", detail, evidence)


def _differing(metric: MetricResults) -> dict[str, Arm]:
    """Return the treatments whose identities lack a value more or less often than control's, control first."""
    control = metric.arms[CONTROL]
    differing = {
        key: arm
        for key, arm in metric.arms.items()
        if key != CONTROL and withheld_for_missing_values(control, arm, metric.attached.metric)
    }
    return {CONTROL: control, **differing} if differing else {}


def _evidence(arm: Arm) -> dict[str, int]:
    return {"identities": arm.identities, "with_value": arm.values.with_value}


def _told(arms: dict[str, Arm]) -> str:
    return ", ".join(
        f"{arm.values.with_value:,} of {arm.identities:,} identities have a value in {printable(key)}"
        for key, arm in arms.items()
    )


CHECK = HealthCheck(
    name="values_missing_alike",
    artifact="bayesian_results",
    description="Identities without a value are as frequent in every variant as in control (rules M3, M6).",
    judge=judge_missing,
)
