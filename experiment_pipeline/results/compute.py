"""Computation of an experiment's results from its aggregates: the split, effects, lifts and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from experiment_pipeline.domain.aggregates import EMPTY, MetricAggregates, VariantAggregate, are_unreadable
from experiment_pipeline.domain.experiments import CONTROL, Design, Experiment, SharesUnknown, expected_shares
from experiment_pipeline.domain.metrics import Aggregation, AttachedMetric, Direction
from experiment_pipeline.results.families import PerComparison, comparison_levels
from experiment_pipeline.results.model import Comparison, ExperimentResults, Floors, MetricResults, Split
from experiment_pipeline.stats.bayesian import chance_to_win, expected_loss
from experiment_pipeline.stats.confidence_sequence import AnytimeEffect, anytime_effect
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.evidence import Evidence, accrued_evidence
from experiment_pipeline.stats.lift import lift
from experiment_pipeline.stats.minimum_data import below_floor
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.srm import anytime_srm_test, srm_test
from experiment_pipeline.stats.verdict import Verdict, decide

OUT_OF_RANGE = NotComputable("out_of_range")  # moments too large for a float
UNREADABLE_VALUES = NotComputable("unreadable_values")  # rule E5


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
        floors: how many identities and conversions an arm needs before anything is inferred from it.

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
    levels = comparison_levels(experiment.metrics, _p_values(compared), experiment.design.alpha)
    return ExperimentResults(split=split, metrics=tuple(_metric_results(metric, levels, split) for metric in compared))


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
        identities=counts, shares=shares, fixed=srm_test(counts, shares), anytime=anytime_srm_test(counts, shares)
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """A treatment and control with enough data to be compared."""

    control: VariantAggregate
    treatment: VariantAggregate
    effect: Effect
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class _Compared:
    """A metric's design, its aggregates by analysed variant, and every treatment beside control.

    withheld: why the metric has no verdict on any treatment, whatever its numbers say
    """

    attached: AttachedMetric
    design: Design
    aggregates: dict[str, VariantAggregate | None]
    values: dict[str, int]
    invalid_values: dict[str, int]
    pairs: dict[str, _Pair | NotComputable]

    @property
    def withheld(self) -> NotComputable | None:
        arms = zip(self.values.values(), self.invalid_values.values(), strict=True)
        return UNREADABLE_VALUES if any(are_unreadable(*arm) for arm in arms) else None


def _compared(
    attached: AttachedMetric,
    found: MetricAggregates,
    split: Split,
    design: Design,
    floors: Floors,
) -> _Compared:
    aggregates = {key: found.by_variant.get(key, EMPTY) for key in split.identities}
    values = {key: found.values.get(key, 0) for key in aggregates}
    invalid_values = {key: found.invalid_values.get(key, 0) for key in aggregates}
    events = {key: _events(arm, attached, values[key] - invalid_values[key]) for key, arm in aggregates.items()}
    pairs = {
        key: _pair((aggregates[CONTROL], arm), (events[CONTROL], events[key]), attached, design, floors)
        for key, arm in aggregates.items()
        if key != CONTROL
    }
    return _Compared(attached, design, aggregates, values, invalid_values, pairs)


def _events(arm: VariantAggregate | None, attached: AttachedMetric, numeric_values: int) -> float:
    """Return the events of an arm that count: for sum and mean those with a number, otherwise all."""
    reads_values = attached.metric.aggregation in (Aggregation.SUM, Aggregation.MEAN)
    return numeric_values if reads_values or arm is None else arm.sum


def _pair(
    arms: tuple[VariantAggregate | None, VariantAggregate | None],
    events: tuple[float, float],
    attached: AttachedMetric,
    design: Design,
    floors: Floors,
) -> _Pair | NotComputable:
    control, treatment = arms
    if control is None or treatment is None:
        return OUT_OF_RANGE
    too_little = below_floor(
        control,
        treatment,
        attached.metric.aggregation,
        minimum_identities=floors.identities,
        minimum_conversions=floors.conversions,
    )
    difference = too_little or effect(control, treatment, alpha=design.alpha)
    if isinstance(difference, NotComputable):
        return difference
    evidence = accrued_evidence(attached.metric.aggregation, control, treatment, events, design)
    return _Pair(control, treatment, difference, evidence)


def _p_values(compared: Sequence[_Compared]) -> PerComparison:
    """Return the p-value of every comparison, 1 where it cannot be made yet, or where no verdict may rest on it.

    The interval that comes with it is dropped: only once every p-value of a family is known is the level known at
    which each interval of it is wanted, and `_metric_results` computes it then.
    """
    p_values: dict[int, dict[str, float]] = {}
    for metric in compared:
        found = {key: _anytime_effect(pair, metric.design.alpha) for key, pair in metric.pairs.items()}
        p_values[metric.attached.metric.id] = {
            key: 1.0 if metric.withheld or isinstance(each, NotComputable) else each.p_value
            for key, each in found.items()
        }
    return p_values


def _anytime_effect(pair: _Pair | NotComputable, alpha: float) -> AnytimeEffect | NotComputable:
    if isinstance(pair, NotComputable):
        return pair
    return anytime_effect(pair.effect, pair.control, pair.treatment, pair.evidence, alpha=alpha)


def _metric_results(metric: _Compared, levels: PerComparison, split: Split) -> MetricResults:
    attached, design, comparisons = metric.attached, metric.design, []
    for key, pair in metric.pairs.items():
        verdict = decide(
            _anytime_effect(pair, levels[attached.metric.id][key]),
            direction=attached.metric.direction,
            expected_direction=attached.expected_direction,
            trustworthy=split.trustworthy is True,
            readable=metric.withheld is None,
        )
        comparison = _comparison(key, pair, attached.metric.direction, design.alpha, verdict)
        comparisons.append(replace(comparison, withheld=metric.withheld))
    return MetricResults(attached, metric.aggregates, tuple(comparisons), metric.values, metric.invalid_values)


def _comparison(
    treatment: str, pair: _Pair | NotComputable, direction: Direction, alpha: float, verdict: Verdict
) -> Comparison:
    if isinstance(pair, NotComputable):
        return Comparison(treatment, pair, pair, chance_to_win=None, expected_loss=None, verdict=verdict)
    return Comparison(
        treatment=treatment,
        effect=pair.effect,
        lift=lift(pair.control, pair.treatment, alpha=alpha),
        chance_to_win=chance_to_win(pair.effect, direction),
        expected_loss=expected_loss(pair.effect, direction).if_ship,
        verdict=verdict,
    )
