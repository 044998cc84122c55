"""The self-check of one metric: the test of its results, applied to halves of the control arm, which do not differ.

The splits are made by the engine, where the values of identities are; it passes moments of halves to `count_calls` and
returns the number alone. (Moments of 200 known halves would give away the values of an arm of fewer identities.)
"""

from collections.abc import Iterable
from typing import TypeAlias

from experiment_pipeline.domain.aggregates import MetricAggregates, PairAggregate, VariantAggregate
from experiment_pipeline.domain.floors import Counted, Floors, counted_by
from experiment_pipeline.domain.metrics import Metric, Quantile
from experiment_pipeline.domain.self_check import SelfCheck
from experiment_pipeline.results.arms import Arm, arms_of
from experiment_pipeline.results.frequentist import AnyTest, fixed_sample_test
from experiment_pipeline.stats.cuped import CupedAdjustment, cuped
from experiment_pipeline.stats.effect import effect
from experiment_pipeline.stats.frequentist import welch_test
from experiment_pipeline.stats.minimum_data import below_floor
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.self_check import LEAST_OF_EITHER, LEVEL

Half: TypeAlias = VariantAggregate | PairAggregate | None  # None where moments are too large for a float

OF_QUANTILES = "no_self_check_of_quantiles"
ONE, OTHER = "one", "other"


def checks_itself(metric: Metric) -> bool:
    """Return whether a metric can be checked: its test needs moments alone, which those of a quantile are not."""
    return not isinstance(metric.statistic, Quantile)


def count_calls(metric: Metric, splits: Iterable[tuple[Half, Half]]) -> SelfCheck:
    """Return how many splits a test at 5 % calls different.

    Args:
        metric: of a quantile there is no self-check.
        splits: both halves of each: joint moments where the metric is a ratio or has a pre-period.
    """
    if not checks_itself(metric):
        return SelfCheck(None, OF_QUANTILES)
    calls = 0
    for halves in splits:
        test = _test(metric, *halves)
        if isinstance(test, NotComputable):
            return SelfCheck(None, test.reason)
        calls += test.p_value < LEVEL
    return SelfCheck(calls)


def checked_above_floors(metric: Metric, found: SelfCheck, arm: Arm, floors: Floors) -> SelfCheck:
    """Return the self-check, or that it is skipped, since control has not enough data to be two arms.

    It needs twice the floors. Of shares it also needs 100 identities of the rarer outcome: with fewer there are so few
    outcomes of a split that the test of two proportions has a level of 2 to 8 % instead of 5.
    """
    if not checks_itself(metric):
        return found
    kind, counted = counted_by(metric), arm.counted / 2
    if kind is Counted.CONVERSIONS:
        rarer = min(arm.counted, arm.n - arm.counted)
        counted = counted if rarer >= LEAST_OF_EITHER else 0
    half = arm.n // 2
    too_little = below_floor((half, half), (counted, counted), kind, floors)
    return found if too_little is None else SelfCheck(None, too_little.reason)


def _test(metric: Metric, one: Half, other: Half) -> AnyTest | NotComputable:
    """Return the test of the reading that decides: the adjusted one where the metric has a pre-period (rule C8)."""
    arms = arms_of(metric, _aggregates(metric, {ONE: one, OTHER: other}), (ONE, OTHER))
    control, treatment = arms[ONE], arms[OTHER]
    if control.pre_period is not None and treatment.pre_period is not None:
        adjusted = cuped(control.pre_period, treatment.pre_period)
        if isinstance(adjusted, CupedAdjustment):
            return welch_test(adjusted.control, adjusted.treatment, alpha=LEVEL)
    if isinstance(control.reduced, NotComputable):
        return control.reduced
    if isinstance(treatment.reduced, NotComputable):
        return treatment.reduced
    difference = effect(control.reduced, treatment.reduced, alpha=LEVEL)
    if isinstance(difference, NotComputable):
        return difference
    return fixed_sample_test(metric, control.reduced, treatment.reduced, difference, LEVEL)


def _aggregates(metric: Metric, halves: dict[str, Half]) -> MetricAggregates:
    joint = {key: half for key, half in halves.items() if not isinstance(half, VariantAggregate)}
    return MetricAggregates(
        metric.id,
        by_variant={
            key: VariantAggregate(half.n, half.mean_y, half.m2_y) if isinstance(half, PairAggregate) else half
            for key, half in halves.items()
        },
        joint=joint,
    )
