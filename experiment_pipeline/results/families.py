"""Families of comparisons: which are judged together, and at what level each of them (docs/adr/0027).

The level of a comparison depends on every p-value of its family, and its interval on its level. So each interval is
computed twice: at alpha for the p-value, then at its level for the verdict.
"""

from collections.abc import Mapping, Sequence

from experiment_pipeline.domain.metrics import AttachedMetric
from experiment_pipeline.stats.multiplicity import Levels, benjamini_hochberg_levels, holm_levels

PerComparison = Mapping[int, Mapping[str, float]]  # one number by metric id and treatment


def comparison_levels(metrics: Sequence[AttachedMetric], p_values: PerComparison, alpha: float) -> PerComparison:
    """Return the level of every comparison's anytime-valid interval, from its family.

    The primary metric and every guardrail are families of their own, their treatments judged by Holm's procedure; all
    other metrics are one family, judged by Benjamini and Hochberg's.

    Args:
        metrics: the attached metrics, the primary first.
        p_values: of every treatment on every metric; 1 where the comparison cannot be made yet.
        alpha: the level of each family.
    """
    primary, others = metrics[:1], metrics[1:]
    guardrails = [metric for metric in others if metric.expected_direction.is_guardrail]
    secondary = [metric for metric in others if not metric.expected_direction.is_guardrail]
    families: list[tuple[Levels, list[AttachedMetric]]] = [(holm_levels, [each]) for each in (*primary, *guardrails)]
    families.append((benjamini_hochberg_levels, secondary))
    levels: dict[int, dict[str, float]] = {}
    for levels_of, family in families:
        comparisons = [(each.metric.id, treatment) for each in family for treatment in p_values[each.metric.id]]
        family_p_values = [p_values[metric_id][treatment] for metric_id, treatment in comparisons]
        for (metric_id, treatment), level in zip(comparisons, levels_of(family_p_values, alpha), strict=True):
            levels.setdefault(metric_id, {})[treatment] = level
    return levels
