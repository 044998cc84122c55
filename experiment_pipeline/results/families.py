"""Families of comparisons: which are judged together, and at what level each of them (docs/adr/0027).

The level of a comparison depends on every p-value of its family, and its interval on its level. So each interval is
computed twice: at alpha for the p-value, then at its level for the verdict.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from experiment_pipeline.domain.metrics import AttachedMetric
from experiment_pipeline.stats.multiplicity import (
    benjamini_hochberg,
    benjamini_hochberg_levels,
    holm,
    holm_levels,
)

PerComparison = Mapping[int, Mapping[str, float]]  # one number by metric id and treatment
Procedure = Callable[[Sequence[float]], list[float]]  # from the p-values of a family to a number of each comparison


class Family(StrEnum):
    """The family that a metric's comparisons are judged in; each guardrail is one of its own."""

    PRIMARY = "primary"
    GUARDRAIL = "guardrail"
    SECONDARY = "secondary"
    LATER = "added_after_start"  # rule M22


JOINT = (Family.SECONDARY, Family.LATER)  # all metrics of one are judged together


def family_of(attached: AttachedMetric, metrics: Sequence[AttachedMetric]) -> Family:
    """Return the family of one of the attached metrics, of which the first is the primary one."""
    if attached == metrics[0]:
        return Family.PRIMARY
    if attached.added_after_start:
        return Family.LATER
    return Family.GUARDRAIL if attached.expected_direction.is_guardrail else Family.SECONDARY


def comparison_levels(metrics: Sequence[AttachedMetric], p_values: PerComparison, alpha: float) -> PerComparison:
    """Return the level of every comparison's anytime-valid interval, from its family.

    The primary metric and every guardrail are families of their own, their treatments judged by Holm's procedure; the
    secondary metrics are one family, judged by Benjamini and Hochberg's, and those that were added after the start are
    another one (rule M22).

    Args:
        metrics: the attached metrics, the primary first.
        p_values: of every treatment on every metric; 1 where the comparison cannot be made yet.
        alpha: the level of each family.
    """
    return _by_family(
        metrics,
        p_values,
        alone=lambda family: holm_levels(family, alpha),
        together=lambda family: benjamini_hochberg_levels(family, alpha),
    )


def adjusted_p_values(metrics: Sequence[AttachedMetric], p_values: PerComparison) -> PerComparison:
    """Return every comparison's p-value as its family adjusts it: at most alpha where its interval excludes zero."""
    return _by_family(metrics, p_values, alone=holm, together=benjamini_hochberg)


def _by_family(
    metrics: Sequence[AttachedMetric], p_values: PerComparison, *, alone: Procedure, together: Procedure
) -> PerComparison:
    """Return the outcome of one procedure on each metric that is a family alone, and of another on all the others."""
    families = [(alone, [each]) for each in metrics if family_of(each, metrics) not in JOINT]
    families += [(together, [each for each in metrics if family_of(each, metrics) is joint]) for joint in JOINT]
    found: dict[int, dict[str, float]] = {}
    for procedure, family in families:
        comparisons = [(each.metric.id, treatment) for each in family for treatment in p_values[each.metric.id]]
        outcome = procedure([p_values[metric_id][treatment] for metric_id, treatment in comparisons])
        for (metric_id, treatment), number in zip(comparisons, outcome, strict=True):
            found.setdefault(metric_id, {})[treatment] = number
    return found
