"""Computation of an experiment's results from its aggregates: the split, effects, lifts and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest

from experiment_pipeline.domain.aggregates import (
    EMPTY,
    MetricAggregates,
    ValueSummary,
    VariantAggregate,
    are_unreadable,
)
from experiment_pipeline.domain.experiments import CONTROL, Design, Experiment, SharesUnknown, expected_shares
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.metrics import Aggregation, AttachedMetric
from experiment_pipeline.results.families import (
    Family,
    PerComparison,
    adjusted_p_values,
    comparison_levels,
    family_of,
)
from experiment_pipeline.results.model import (
    AnytimeReading,
    Comparison,
    ExperimentResults,
    MetricResults,
    Split,
    TrafficOutsideSplit,
)
from experiment_pipeline.stats.bayesian import chance_to_win, expected_loss
from experiment_pipeline.stats.confidence_sequence import AnytimeEffect, anytime_effect
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.evidence import Evidence, accrued_evidence
from experiment_pipeline.stats.late_values import widened_for_late_values
from experiment_pipeline.stats.lift import lift
from experiment_pipeline.stats.minimum_data import below_floor
from experiment_pipeline.stats.missing_values import missing_values_differ
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.srm import NEGLIGIBLE_SHARE, anytime_srm_test, srm_test
from experiment_pipeline.stats.verdict import decide

OUT_OF_RANGE = NotComputable("out_of_range")  # moments too large for a float
UNREADABLE_VALUES = NotComputable("unreadable_values")  # rule E5
MISSING_VALUES_DIFFER = NotComputable("missing_values_differ")  # rule M3
LISTED_UNKNOWN = 5  # of the variants that an experiment does not configure, those that a finding names


def compute_results(
    experiment: Experiment,
    identities: Mapping[str, int],
    aggregates: Sequence[MetricAggregates],
    floors: Floors,
) -> ExperimentResults:
    """Return the results of an experiment at one refresh.

    Args:
        experiment: its variants, attached metrics and design.
        identities: analysed identities per variant seen, holdout and unknown ones included (rule X6).
        aggregates: one per attached metric, in any order; a metric without one has no events and no identities.
        floors: how much data an arm needs before anything is inferred from it.

    Returns:
        The split and one `MetricResults` per attached metric, in the experiment's order.
    """
    split = _split(experiment, identities)
    by_metric = {metric.metric_id: metric for metric in aggregates}
    compared = [
        _compared(
            attached,
            by_metric.get(attached.metric.id) or MetricAggregates(attached.metric.id, {}),
            split,
            _design_of(attached, experiment),
            floors,
        )
        for attached in experiment.metrics
    ]
    p_values = _p_values(compared)
    judged = _Judged(
        levels=comparison_levels(experiment.metrics, p_values, experiment.design.alpha),
        adjusted_p_values=adjusted_p_values(experiment.metrics, p_values),
    )
    metrics = (
        _metric_results(metric, family_of(metric.attached, experiment.metrics), judged, split) for metric in compared
    )
    return ExperimentResults(split=split, metrics=tuple(metrics))


def _design_of(attached: AttachedMetric, experiment: Experiment) -> Design:
    """Return the design for one metric: the effect to detect is the primary metric's alone, for it is in its unit."""
    design = experiment.design
    return design if attached == experiment.metrics[0] else replace(design, mde=None, baseline=None)


def _split(experiment: Experiment, identities: Mapping[str, int]) -> Split:
    counts = {key: identities.get(key, 0) for key in experiment.compared_keys}
    shares = expected_shares(experiment.variants)
    if isinstance(shares, SharesUnknown):
        unknown = NotComputable(shares.reason)
        return Split(identities=counts, shares={}, fixed=unknown, anytime=unknown)
    return Split(
        identities=counts,
        shares=shares,
        fixed=srm_test(counts, shares),
        anytime=anytime_srm_test(counts, shares),
        outside=_traffic_outside(experiment, counts, shares, identities),
    )


def _traffic_outside(
    experiment: Experiment, counts: Mapping[str, int], shares: Mapping[str, float], identities: Mapping[str, int]
) -> TrafficOutsideSplit:
    """Return the identities that the split does not provide for (rule S2)."""
    ignored, configured = set(experiment.ignored_variants), set(experiment.variant_keys)
    unknown = {key: n for key, n in identities.items() if key not in configured and key not in ignored}
    return TrafficOutsideSplit(
        without_share={
            key: n for key, n in counts.items() if n and shares[key] <= NEGLIGIBLE_SHARE and key not in ignored
        },
        unknown=sum(unknown.values()),
        largest=dict(nsmallest(LISTED_UNKNOWN, unknown.items(), key=lambda item: (-item[1], item[0]))),
        counted=sum(counts.values()) + sum(unknown.values()),
    )


@dataclass(frozen=True, slots=True)
class _Arm:
    """One metric in one analysed variant; `aggregate` is None where the moments are too large for a float.

    events: that count (rule C1)
    """

    aggregate: VariantAggregate | None
    values: ValueSummary
    events: float


@dataclass(frozen=True, slots=True)
class _Pair:
    """A treatment and control with enough data to be compared."""

    control: VariantAggregate
    treatment: VariantAggregate
    effect: Effect
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class _Compared:
    """A metric's design, its analysed variants, and every treatment beside control.

    withheld: why there is no verdict on a treatment, whatever the numbers say; None where there may be one
    """

    attached: AttachedMetric
    design: Design
    arms: dict[str, _Arm]
    values: dict[str, int]
    invalid_values: dict[str, int]
    pairs: dict[str, _Pair | NotComputable]
    withheld: dict[str, NotComputable | None]


@dataclass(frozen=True, slots=True)
class _Judged:
    """The outcome of the families for every comparison."""

    levels: PerComparison
    adjusted_p_values: PerComparison


def _compared(
    attached: AttachedMetric,
    found: MetricAggregates,
    split: Split,
    design: Design,
    floors: Floors,
) -> _Compared:
    values = {key: found.values.get(key, 0) for key in split.identities}
    invalid_values = {key: found.invalid_values.get(key, 0) for key in split.identities}
    arms = {key: _arm(found, key, attached, values[key] - invalid_values[key]) for key in split.identities}
    treatments = {key: arm for key, arm in arms.items() if key != CONTROL}
    pairs = {key: _pair(arms[CONTROL], arm, attached, design, floors) for key, arm in treatments.items()}
    unreadable = any(are_unreadable(values[key], invalid_values[key]) for key in arms)
    withheld = {
        key: UNREADABLE_VALUES if unreadable else _withheld_for_missing_values(arms[CONTROL], arm, attached)
        for key, arm in treatments.items()
    }
    return _Compared(attached, design, arms, values, invalid_values, pairs, withheld)


def _withheld_for_missing_values(control: _Arm, treatment: _Arm, attached: AttachedMetric) -> NotComputable | None:
    if attached.metric.aggregation is not Aggregation.MEAN or not (control.aggregate and treatment.aggregate):
        return None
    differ = missing_values_differ(
        (control.aggregate.n, control.values.with_value), (treatment.aggregate.n, treatment.values.with_value)
    )
    return MISSING_VALUES_DIFFER if differ else None


def _arm(found: MetricAggregates, variant: str, attached: AttachedMetric, numeric_values: int) -> _Arm:
    aggregate = found.by_variant.get(variant, EMPTY)
    events = _events(aggregate, attached, numeric_values)
    return _Arm(aggregate, found.of_identities.get(variant) or ValueSummary.of_moments(aggregate), events)


def _events(arm: VariantAggregate | None, attached: AttachedMetric, numeric_values: int) -> float:
    """Return the events of an arm that count: for sum and mean those with a number, otherwise all."""
    reads_values = attached.metric.aggregation in (Aggregation.SUM, Aggregation.MEAN)
    return numeric_values if reads_values or arm is None else arm.sum


def _pair(
    control: _Arm, treatment: _Arm, attached: AttachedMetric, design: Design, floors: Floors
) -> _Pair | NotComputable:
    if control.aggregate is None or treatment.aggregate is None:
        return OUT_OF_RANGE
    too_little = below_floor(
        control.aggregate,
        treatment.aggregate,
        attached.metric.aggregation,
        nonzero=(control.values.nonzero, treatment.values.nonzero),
        minimum_identities=floors.identities,
        minimum_conversions=floors.conversions,
        minimum_nonzero=floors.nonzero,
    )
    difference = too_little or effect(control.aggregate, treatment.aggregate, alpha=design.alpha)
    if isinstance(difference, NotComputable):
        return difference
    evidence = accrued_evidence(
        attached.metric.aggregation,
        control.aggregate,
        treatment.aggregate,
        (control.events, treatment.events),
        design,
    )
    if attached.metric.aggregation is Aggregation.MEAN:
        with_value = (control.values.with_value, treatment.values.with_value)
        evidence = widened_for_late_values(evidence, control.aggregate, treatment.aggregate, with_value)
    return _Pair(control.aggregate, treatment.aggregate, difference, evidence)


def _p_values(compared: Sequence[_Compared]) -> PerComparison:
    """Return the p-value of every comparison, 1 where it cannot be made yet, or where no verdict may rest on it.

    The interval that comes with it is dropped: only once every p-value of a family is known is the level known at
    which each interval of it is wanted, and `_metric_results` computes it then.
    """
    p_values: dict[int, dict[str, float]] = {}
    for metric in compared:
        found = {key: _anytime_effect(pair, metric.design.alpha) for key, pair in metric.pairs.items()}
        p_values[metric.attached.metric.id] = {
            key: 1.0 if metric.withheld[key] or isinstance(each, NotComputable) else each.p_value
            for key, each in found.items()
        }
    return p_values


def _anytime_effect(pair: _Pair | NotComputable, alpha: float) -> AnytimeEffect | NotComputable:
    if isinstance(pair, NotComputable):
        return pair
    return anytime_effect(pair.effect, pair.control, pair.treatment, pair.evidence, alpha=alpha)


def _metric_results(metric: _Compared, family: Family, judged: _Judged, split: Split) -> MetricResults:
    return MetricResults(
        attached=metric.attached,
        family=family,
        aggregates={key: arm.aggregate for key, arm in metric.arms.items()},
        comparisons=tuple(_comparison(metric, key, judged, split) for key in metric.pairs),
        values=metric.values,
        invalid_values=metric.invalid_values,
        of_identities={key: arm.values for key, arm in metric.arms.items()},
    )


def _comparison(metric: _Compared, treatment: str, judged: _Judged, split: Split) -> Comparison:
    attached, pair, withheld = metric.attached, metric.pairs[treatment], metric.withheld[treatment]
    level = judged.levels[attached.metric.id][treatment]
    anytime = _anytime_effect(pair, level)
    verdict = decide(
        anytime,
        direction=attached.metric.direction,
        expected_direction=attached.expected_direction,
        trustworthy=split.trustworthy is True,
        readable=withheld is None,
    )
    if isinstance(pair, NotComputable):
        return Comparison(treatment, pair, pair, chance_to_win=None, risk=None, verdict=verdict, withheld=withheld)
    reading = None
    if withheld is None and not isinstance(anytime, NotComputable):
        adjusted = judged.adjusted_p_values[attached.metric.id][treatment]
        reading = AnytimeReading(anytime.p_value, adjusted, anytime.ci_low, anytime.ci_high, level)
    return Comparison(
        treatment=treatment,
        effect=pair.effect,
        lift=lift(pair.control, pair.treatment, alpha=metric.design.alpha),
        chance_to_win=chance_to_win(pair.effect, attached.better_direction),
        risk=expected_loss(pair.effect, attached.better_direction),
        verdict=verdict,
        anytime=reading,
        withheld=withheld,
    )
