"""Sensitivity: whether the primary metric would say something else, had it been declared in another way.

It is read with the other policy of rule X3, without its cap and floor, and without its adjustment for the pre-period.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import TypeAlias

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.results.comparisons import Compared, Judged, compared, comparisons, judged_at_margin
from experiment_pipeline.results.model import Comparison, OtherReading, Sensitivity
from experiment_pipeline.stats.multiplicity import holm, holm_levels
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.verdict import Verdict

UNADJUSTED = "unadjusted"
OPPOSITES = ({Verdict.WINNING, Verdict.LOSING}, {Verdict.OK, Verdict.HARMED})

VerdictAndEffect: TypeAlias = tuple[Verdict, float | None]  # None where the effect is withheld


def sensitivity_of(
    primary: Compared, found: MetricAggregates, declared: Iterable[Comparison], floors: Floors, *, trustworthy: bool
) -> Sensitivity | None:
    """Return the other readings of the primary metric, or None where there is none.

    Each is judged alone, by the interval that holds at every refresh and Holm's procedure over its treatments.

    Args:
        primary: the metric as it is declared.
        found: its aggregates, with those of the other readings.
        declared: its comparisons.
        floors: how much data an arm needs.
        trustworthy: whether the split is.
    """
    readings = {
        name: OtherReading(of.arms, comparisons(of, _judged(of), trustworthy=trustworthy))
        for name, of in _readings(primary, found, floors)
    }
    if not readings:
        return None
    every = [tuple(declared), *(reading.comparisons for reading in readings.values())]
    by_treatment = {each.treatment: [verdict_and_effect(each)] for each in every[0]}
    for reading in every[1:]:
        for each in reading:
            by_treatment[each.treatment].append(verdict_and_effect(each))
    return Sensitivity(readings, tuple(treatment for treatment, said in by_treatment.items() if contradicts(said)))


def contradicts(readings: Iterable[VerdictAndEffect]) -> bool:
    """Return whether readings of one metric disagree: opposite verdicts, or effects of different signs.

    `inconclusive` beside `winning` is no disagreement: that one reading decides sooner may be its purpose. Neither is
    an effect of 0, or one that is withheld, which has no sign.

    Example:
        >>> contradicts([(Verdict.WINNING, 0.02), (Verdict.INCONCLUSIVE, 0.01)])
        False
        >>> contradicts([(Verdict.WINNING, 0.02), (Verdict.INCONCLUSIVE, -0.01)])
        True
    """
    found = list(readings)
    effects = [effect for _, effect in found if effect is not None]
    differ_in_sign = min(effects, default=0.0) < 0 < max(effects, default=0.0)
    return differ_in_sign or any({one, other} in OPPOSITES for (one, _), (other, _) in combinations(found, 2))


def _readings(primary: Compared, found: MetricAggregates, floors: Floors) -> Iterator[tuple[str, Compared]]:
    for name, aggregates in sorted(found.sensitivity.items()):
        yield name, compared(primary.attached, aggregates, primary.arms, primary.design, floors)
    if primary.adjusted:
        yield UNADJUSTED, replace(primary, adjusted={})


def _judged(of: Compared) -> Judged:
    p_values = of.p_values()
    levels, adjusted = holm_levels(list(p_values.values()), of.design.alpha), holm(list(p_values.values()))
    return Judged(
        dict(zip(p_values, levels, strict=True)), dict(zip(p_values, adjusted, strict=True)), judged_at_margin(of)
    )


def verdict_and_effect(comparison: Comparison) -> VerdictAndEffect:
    """Return the two parts of a comparison by which readings are held beside each other."""
    reading = comparison.deciding
    return comparison.verdict, None if isinstance(reading, NotComputable) else reading.effect.value
