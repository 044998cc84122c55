"""The arms of a metric: what its statistic comes to in each variant, and what that rests on."""

from collections.abc import Iterable
from dataclasses import dataclass

from experiment_pipeline.domain.aggregates import (
    EMPTY,
    MetricAggregates,
    PairAggregate,
    ValueSummary,
    VariantAggregate,
)
from experiment_pipeline.domain.floors import Counted, counted_by
from experiment_pipeline.domain.metrics import Funnel, Mean, Metric, Quantile, Ratio, Retention
from experiment_pipeline.stats.effect import difference, squared_standard_error
from experiment_pipeline.stats.missing_values import missing_values_differ
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.quantile import quantile_aggregate
from experiment_pipeline.stats.ratio import ratio_aggregate

OUT_OF_RANGE = NotComputable("out_of_range")  # moments too large for a float
NO_VALUES = NotComputable("too_few_values")
CAP_IS_ZERO = NotComputable("cap_is_zero")  # rule M10
ONE_VALUE = NotComputable("bounds_leave_one_value")  # rule M10
OVERLAPS_EARLIER_PHASE = NotComputable("covariate_overlaps_earlier_phase")  # rule X11
MISSING_VALUES_DIFFER = NotComputable("missing_values_differ")  # rules M3, M6


@dataclass(frozen=True, slots=True)
class Arm:
    """One metric in one analysed variant.

    Attributes:
        aggregate: of the metric's values; of a ratio, of its numerator. None where they are too large for a float.
        reduced: what the metric's statistic comes to, as an aggregate that effect, lift and verdict work with.
        n: identities that are in the statistic.
        identities: all analysed identities whose window has ended, those without a value included (rule M6).
        values: the other numbers of the identities' values.
        counted: the identities that its floor is about (rule C4).
        events: those that count (rule C1).
        with_event: identities that have one; of a funnel, that reach its last step.
        pre_period: the metric with its pre-period, where it has one (rule M11).
    """

    aggregate: VariantAggregate | None
    reduced: VariantAggregate | NotComputable
    n: int
    identities: int
    values: ValueSummary
    counted: float
    events: float
    with_event: int
    pre_period: PairAggregate | None = None


def arms_of(metric: Metric, found: MetricAggregates, variants: Iterable[str]) -> dict[str, Arm]:
    """Return the arms of a metric, or of one part of it, in these variants."""
    withheld = _withheld_by_bounds(metric, found)
    return {key: _arm(metric, found, key, withheld) for key in variants}


def _arm(metric: Metric, found: MetricAggregates, variant: str, withheld: NotComputable | None) -> Arm:
    aggregate = found.by_variant.get(variant, EMPTY)
    values = found.of_identities.get(variant) or ValueSummary.of_moments(aggregate)
    reduced = withheld or _reduced(metric, found, variant)
    n = _identities_of(metric, found, variant)
    adjusts = isinstance(metric.statistic, Mean) and metric.statistic.covariate_before is not None
    return Arm(
        aggregate=aggregate,
        reduced=reduced,
        n=n,
        identities=found.identities.get(variant, n),
        values=values,
        counted=_counted(metric, found, variant, values),
        events=_events(metric, aggregate, found, variant),
        with_event=found.with_event.get(variant, values.nonzero),
        pre_period=found.joint.get(variant) if adjusts else None,
    )


def _reduced(metric: Metric, found: MetricAggregates, variant: str) -> VariantAggregate | NotComputable:
    """Return what a metric's statistic comes to in a variant, as an aggregate, or why it comes to nothing."""
    match metric.statistic:
        case Mean() | Retention() | Funnel():
            return found.by_variant.get(variant, EMPTY) or OUT_OF_RANGE
        case Ratio():
            joint = found.joint.get(variant, NO_PAIRS)
            return OUT_OF_RANGE if joint is None else ratio_aggregate(joint)
        case Quantile():
            estimate = found.quantiles.get(variant)
            return NO_VALUES if estimate is None else quantile_aggregate(estimate)


NO_PAIRS = PairAggregate(n=0, mean_x=0.0, mean_y=0.0, m2_x=0.0, m2_y=0.0, c_xy=0.0)


def _identities_of(metric: Metric, found: MetricAggregates, variant: str) -> int:
    """Return how many identities are in the statistic; 0 where it is not known, for moments too large for a float."""
    estimate = found.quantiles.get(variant) if isinstance(metric.statistic, Quantile) else None
    aggregate = estimate or found.by_variant.get(variant)
    return 0 if aggregate is None else aggregate.n


def _counted(metric: Metric, found: MetricAggregates, variant: str, values: ValueSummary) -> float:
    """Return how many identities an arm has of those that its floor is about."""
    aggregate = found.by_variant.get(variant) or EMPTY
    match counted_by(metric):
        case Counted.CONVERSIONS:
            return aggregate.sum
        case Counted.BEYOND_QUANTILE:
            q = metric.statistic.q if isinstance(metric.statistic, Quantile) else 0.0
            return _identities_of(metric, found, variant) * q * (1 - q)
        case Counted.NONZERO if isinstance(metric.statistic, Ratio):
            return min(values.nonzero, found.nonzero_x.get(variant, 0))
        case Counted.NONZERO:
            return values.nonzero


def _events(metric: Metric, arm: VariantAggregate | None, found: MetricAggregates, variant: str) -> float:
    """Return the events of an arm that count: where numbers are read, those with a number, otherwise all."""
    numeric = found.values.get(variant, 0) - found.invalid_values.get(variant, 0)
    reads_numbers = any(measure.aggregation.reads_numbers for measure in metric.measures)
    return numeric if reads_numbers or arm is None else arm.sum


def _withheld_by_bounds(metric: Metric, found: MetricAggregates) -> NotComputable | None:
    """Return why cap and floor leave nothing to compare, or None (rule M10).

    Those of a pre-period withhold nothing: the metric is only not adjusted.
    """
    bounds = [found.bounds, found.joint_bounds if isinstance(metric.statistic, Ratio) else None]
    given = [each for each in bounds if each is not None]
    if any(each.cap == 0 for each in given):
        return CAP_IS_ZERO
    if any(each.leaves_one_value for each in given):
        return ONE_VALUE
    is_touched = found.bounds is not None and any((*found.bounds.capped.values(), *found.bounds.floored.values()))
    return ONE_VALUE if is_touched and _has_one_value(metric, found) else None


def _has_one_value(metric: Metric, found: MetricAggregates) -> bool:
    """Return whether all identities of all variants have one value, or all quantiles lie at one bound."""
    match metric.statistic:
        case Ratio():
            return False  # where all numerators are one value, denominators may differ
        case Quantile():
            bounds = (None, None) if found.bounds is None else (found.bounds.cap, found.bounds.floor)
            values = {each.value for each in found.quantiles.values() if each is not None}
            return len(values) == 1 and not values.isdisjoint(bounds)
        case _:
            arms = [each for each in found.by_variant.values() if each is None or each.n]
            known = [each for each in arms if each is not None and each.n > 1 and not squared_standard_error(each)]
            return bool(arms) and len(known) == len(arms) and not any(difference(known[0], each) for each in known)


def withheld_for_missing_values(control: Arm, treatment: Arm, metric: Metric) -> NotComputable | None:
    """Return why a comparison of those who have a value is one of different people, or None."""
    if not any(measure.aggregation.may_lack_value for measure in metric.measures):
        return None
    if control.aggregate is None or treatment.aggregate is None:
        return None
    differ = missing_values_differ(
        (control.identities, control.values.with_value), (treatment.identities, treatment.values.with_value)
    )
    return MISSING_VALUES_DIFFER if differ else None
