"""Guardrails with a margin: every treatment beside control as it would be at the margin (rules M16, C9)."""

from dataclasses import dataclass

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.measures import Clock
from experiment_pipeline.domain.metrics import AttachedMetric
from experiment_pipeline.results.arms import Arm
from experiment_pipeline.stats.cuped import cuped
from experiment_pipeline.stats.evidence import Evidence
from experiment_pipeline.stats.guardrail import MarginReading, at_margin, margin_evidence, margin_reading
from experiment_pipeline.stats.late_values import widened_for_late_values
from experiment_pipeline.stats.not_computable import NotComputable


@dataclass(frozen=True, slots=True)
class BesideMargin:
    """A treatment and control as it would be at the margin, with enough data to be compared."""

    control_at_margin: VariantAggregate
    treatment: VariantAggregate
    evidence: Evidence

    def reading(self, alpha: float) -> MarginReading | NotComputable:
        """Return how far the treatment is from the margin, at a level."""
        return margin_reading(self.control_at_margin, self.treatment, self.evidence, alpha=alpha)

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
    return BesideMargin(control_at_margin, compared, evidence)
