"""The arms of a metric: what its statistic comes to in each variant, and what that rests on."""

from collections.abc import Iterable
from dataclasses import dataclass

from experiment_pipeline.domain.aggregates import (
    EMPTY,
    Bounds,
    MetricAggregates,
    PairAggregate,
    ValueSummary,
    VariantAggregate,
)
from experiment_pipeline.domain.floors import Counted, counted_by
from experiment_pipeline.domain.metrics import Funnel, Mean, Metric, Quantile, Ratio, Retention
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.quantile import quantile_aggregate
from experiment_pipeline.stats.ratio import ratio_aggregate

OUT_OF_RANGE = NotComputable("out_of_range")  # moments too large for a float
NO_VALUES = NotComputable("too_few_values")
CAP_IS_ZERO = NotComputable("cap_is_zero")  # rule M10


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
    return {key: _arm(metric, found, key) for key in variants}


def _arm(metric: Metric, found: MetricAggregates, variant: str) -> Arm:
    aggregate = found.by_variant.get(variant, EMPTY)
    values = found.of_identities.get(variant) or ValueSummary.of_moments(aggregate)
    reduced = CAP_IS_ZERO if _has_zero_cap(metric, found) else _reduced(metric, found, variant)
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
            joint = found.joint.get(variant) or NO_PAIRS
            denominator = ValueSummary.of_moments(VariantAggregate(joint.n, joint.mean_x, joint.m2_x))
            return min(values.nonzero, denominator.nonzero)
        case Counted.NONZERO:
            return values.nonzero


def _events(metric: Metric, arm: VariantAggregate | None, found: MetricAggregates, variant: str) -> float:
    """Return the events of an arm that count: where numbers are read, those with a number, otherwise all."""
    numeric = found.values.get(variant, 0) - found.invalid_values.get(variant, 0)
    reads_numbers = any(measure.aggregation.reads_numbers for measure in metric.measures)
    return numeric if reads_numbers or arm is None else arm.sum


def _has_zero_cap(metric: Metric, found: MetricAggregates) -> bool:
    """Return whether a cap makes everybody 0; where it is that of a pre-period, the metric is only not adjusted."""
    bounds: list[Bounds | None] = [found.bounds]
    if isinstance(metric.statistic, Ratio):
        bounds.append(found.joint_bounds)
    return any(each is not None and each.cap == 0 for each in bounds)
