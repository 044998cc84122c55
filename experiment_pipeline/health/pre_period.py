"""Whether the arms differed before the experiment: the pre-period of a metric says so where it has one (rule M11)."""

from collections.abc import Iterator
from dataclasses import dataclass

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.domain.experiments import CONTROL, Design
from experiment_pipeline.domain.measures import Clock
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.stats.confidence_sequence import anytime_effect
from experiment_pipeline.stats.effect import effect
from experiment_pipeline.stats.evidence import accrued_evidence
from experiment_pipeline.stats.multiplicity import holm
from experiment_pipeline.stats.not_computable import NotComputable

BIAS_ALPHA = 0.001  # of all metrics and treatments together, at every refresh: as rare as a false alarm of the split


@dataclass(frozen=True, slots=True)
class Before:
    """The pre-period of one metric in control and in one treatment; means are in the metric's unit."""

    metric: str
    treatment: str
    control: VariantAggregate
    treated: VariantAggregate
    p_value: float


def judge_pre_period(inputs: HealthInputs) -> Finding:
    """Return a warning with the means before the exposure, where they differ by the anytime-valid test and Holm."""
    tested = list(_tested(inputs))
    adjusted = holm([each.p_value for each in tested])
    biased = [(each, p_value) for each, p_value in zip(tested, adjusted, strict=True) if p_value <= BIAS_ALPHA]
    evidence = {
        "level": BIAS_ALPHA,
        "tested": len(tested),
        "differences": [_evidence(each, p_value) for each, p_value in biased],
    }
    if not biased:
        detail = (
            "No metric differed between the variants before the experiment, as far as a test can tell."
            if tested
            else "No metric has a pre-period with enough data to be compared."
        )
        return Finding("pre_period_alike", Severity.OK, "Alike before the experiment", detail, evidence)
    told = "; ".join(
        f"{printable(each.metric)}: a mean of {each.control.mean:,.6g} in control and {each.treated.mean:,.6g} in "
        f"{printable(each.treatment)}"
        for each, _ in biased
    )
    detail = (
        f"Before their first exposure identities differed already, by more than chance explains: {told}. The effect on "
        "other metrics is not only the treatment's. See who gets which variant: a rule of the flag, an earlier "
        "experiment, a rollout by region. Then restart with a new split."
    )
    return Finding("pre_period_differs", Severity.WARNING, "Different before the experiment", detail, evidence)


def _tested(inputs: HealthInputs) -> Iterator[Before]:
    """Yield every treatment beside control in every pre-period that has enough identities that are not 0 (rule C4)."""
    for metric in inputs.results.metrics:
        control = metric.arms[CONTROL].pre_period
        enough = {key for key, n in metric.found.nonzero_x.items() if n >= inputs.floors.nonzero}
        for key, arm in metric.arms.items():
            if key == CONTROL or control is None or arm.pre_period is None or not {CONTROL, key} <= enough:
                continue
            before = _before(control), _before(arm.pre_period)
            difference = effect(*before)
            if not isinstance(difference, NotComputable):
                evidence = accrued_evidence(Clock.IDENTITIES, *before, (0, 0), Design())
                p_value = anytime_effect(difference, *before, evidence, alpha=BIAS_ALPHA).p_value
                yield Before(metric.attached.metric.name, key, *before, p_value)


def _before(pair: PairAggregate) -> VariantAggregate:
    return VariantAggregate(pair.n, pair.mean_x, pair.m2_x)


def _evidence(each: Before, adjusted: float) -> dict[str, object]:
    return {
        "metric": each.metric,
        "treatment": each.treatment,
        "control_mean": each.control.mean,
        "treatment_mean": each.treated.mean,
        "p_value": each.p_value,
        "adjusted_p_value": adjusted,
    }


CHECK = HealthCheck(
    name="alike_before_experiment",
    artifact="bayesian_results",
    description="No metric's pre-period differs between the variants, by an anytime-valid test at 0.001 (rule M11).",
    judge=judge_pre_period,
)
