"""Guardrails with a margin: every treatment beside control as it would be at the margin (rules M16, C9)."""

from dataclasses import dataclass

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.measures import Clock
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection, Quantile
from experiment_pipeline.results.arms import Arm
from experiment_pipeline.stats.cuped import cuped
from experiment_pipeline.stats.evidence import Evidence
from experiment_pipeline.stats.guardrail import (
    TIED_VALUES,
    MarginReading,
    at_margin,
    is_within_margin,
    margin_evidence,
    margin_reading,
)
from experiment_pipeline.stats.late_values import widened_for_late_values
from experiment_pipeline.stats.not_computable import NotComputable


@dataclass(frozen=True, slots=True)
class BesideMargin:
    """A treatment and control as it would be at the margin, with enough data to be compared.

    Attributes:
        tied: of a quantile that lies at a tie in either arm, what is expected of the guardrail; None otherwise.
    """

    control_at_margin: VariantAggregate
    treatment: VariantAggregate
    evidence: Evidence
    tied: ExpectedDirection | None = None

    def reading(self, alpha: float) -> MarginReading | NotComputable:
        """Return how far the treatment is from the margin, at a level.

        Withheld: as in `margin_reading`; and `tied_values`, where a quantile whose interval has no width is within the
        margin. No shift that is smaller than the step to the next value could be seen there (docs/adr/0040).
        """
        found = margin_reading(self.control_at_margin, self.treatment, self.evidence, alpha=alpha)
        if self.tied is None or isinstance(found, NotComputable):
            return found
        return TIED_VALUES if is_within_margin(found.effect.value, self.tied) else found

    def p_value(self, alpha: float) -> float:
        """Return the anytime-valid p-value of "exactly at the margin"; 1 where it cannot be made."""
        found = self.reading(alpha)
        return 1.0 if isinstance(found, NotComputable) else found.anytime.p_value


def beside_margin(
    attached: AttachedMetric,
    arms: tuple[Arm, Arm],
    deciding: tuple[VariantAggregate, VariantAggregate],
    clock: Clock,
    *,
    adjusted: bool,
) -> BesideMargin | NotComputable:
    """Return the two arms that a guardrail with a margin is judged on.

    Args:
        attached: the guardrail; it has a margin.
        arms: control and treatment.
        deciding: the same as the verdict reads them: adjusted for the pre-period where the metric has one (rule C8).
        clock: how the metric's evidence accrues.
        adjusted: whether they are adjusted.

    Raises:
        ValueError: the metric has no margin, or one that its expected direction cannot have.
    """
    expected, margin = attached.expected_direction, attached.margin
    if margin is None:
        raise ValueError("attached: has no margin")
    control, treatment = arms
    control_at_margin, compared = at_margin(deciding[0], expected, margin), deciding[1]
    if adjusted and control.pre_period is not None and treatment.pre_period is not None:
        adjustment = cuped(at_margin(control.pre_period, expected, margin), treatment.pre_period)
        if isinstance(adjustment, NotComputable):
            return adjustment
        control_at_margin, compared = adjustment.control, adjustment.treatment
    evidence = margin_evidence(clock, *deciding, (control.events, treatment.events), margin)
    if any(measure.counts_missing_as_zero for measure in attached.metric.measures):
        with_value = control.values.with_value, treatment.values.with_value
        evidence = widened_for_late_values(evidence, *deciding, with_value)
    is_tied = isinstance(attached.metric.statistic, Quantile) and 0 in (control_at_margin.m2, compared.m2)
    return BesideMargin(control_at_margin, compared, evidence, expected if is_tied else None)
