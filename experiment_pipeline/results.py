"""Results: aggregates of one experiment become SRM, effects, lifts and verdicts, and the payload that the API serves.

A number that cannot be given is withheld with its reason, never replaced (design: statistics).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiment_pipeline.aggregates import EMPTY, MetricAggregates, VariantAggregate
from experiment_pipeline.experiments import (
    CONTROL,
    AttachedMetric,
    Design,
    Direction,
    Experiment,
    SharesUnknown,
    expected_shares,
)
from experiment_pipeline.stats.anytime import AnytimeEffect, anytime_effect
from experiment_pipeline.stats.bayesian import chance_to_win, expected_loss
from experiment_pipeline.stats.comparisons import Levels, benjamini_hochberg_levels, holm_levels
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.floors import below_floor
from experiment_pipeline.stats.lift import Lift, lift
from experiment_pipeline.stats.outcomes import NotComputable
from experiment_pipeline.stats.srm import AnytimeSrmTest, SrmTest, anytime_srm_test, srm_test
from experiment_pipeline.stats.verdict import Verdict, decide

OUT_OF_RANGE = NotComputable("out_of_range")  # moments too large for a float


@dataclass(frozen=True, slots=True)
class Floors:
    """How much data an arm needs before anything is inferred from it."""

    identities: int = 50
    conversions: int = 5


@dataclass(frozen=True, slots=True)
class Split:
    """Whether traffic split as configured (rules S1-S3).

    identities:  analysed identities of control and every treatment
    shares:      what each should have got; empty where the configuration does not say
    fixed:       the fixed-sample test, for those who look once
    anytime:     the test that holds at every refresh; `trustworthy` is driven by it
    """

    identities: dict[str, int]
    shares: dict[str, float]
    fixed: SrmTest | NotComputable
    anytime: AnytimeSrmTest | NotComputable

    @property
    def trustworthy(self) -> bool | None:
        """False on a mismatch, None where the split could not be tested."""
        return None if isinstance(self.anytime, NotComputable) else not self.anytime.mismatch

    @property
    def reason(self) -> str | None:
        """Why the split could not be tested."""
        return self.fixed.reason if isinstance(self.fixed, NotComputable) else None

    @property
    def p_value(self) -> float | None:
        """Of the fixed-sample test; None where it could not be made."""
        return None if isinstance(self.fixed, NotComputable) else self.fixed.p_value

    @property
    def anytime_p_value(self) -> float | None:
        """Of the test that holds at every refresh; None where it could not be made."""
        return None if isinstance(self.anytime, NotComputable) else self.anytime.p_value

    def rows(self) -> list[dict[str, object]]:
        """One row per compared variant, for the `srm` frame."""
        return [
            {
                "variant": key,
                "identities": n,
                "expected_share": self.shares.get(key),
                "p_value": self.p_value,
                "anytime_p_value": self.anytime_p_value,
                "reason": self.reason,
            }
            for key, n in self.identities.items()
        ]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One treatment against control on one metric. What is withheld says why.

    chance_to_win: that the treatment is the better one; flipped where lower is better (rule M1)
    expected_loss: per identity, of shipping the treatment, in the metric's unit
    """

    treatment: str
    effect: Effect | NotComputable
    lift: Lift | NotComputable
    chance_to_win: float | None
    expected_loss: float | None
    verdict: Verdict

    @property
    def reason(self) -> str | None:
        """Why there is no effect or, where there is one, no lift."""
        for part in (self.effect, self.lift):
            if isinstance(part, NotComputable):
                return part.reason
        return None

    def row(self) -> dict[str, object]:
        """For the `bayesian_results` frame."""
        known = None if isinstance(self.effect, NotComputable) else self.effect
        relative = None if isinstance(self.lift, NotComputable) else self.lift
        return {
            "treatment": self.treatment,
            "effect": known and known.value,
            "effect_low": known and known.ci_low,
            "effect_high": known and known.ci_high,
            "lift": relative and relative.value,
            "lift_low": relative and relative.ci_low,
            "lift_high": relative and relative.ci_high,
            "chance_to_win": self.chance_to_win,
            "expected_loss": self.expected_loss,
            "reason": self.reason,
        }

    @property
    def absolute(self) -> dict[str, float | None] | None:
        """The effect as the payload has it, in the metric's unit."""
        if isinstance(self.effect, NotComputable):
            return None
        return {
            "value": self.effect.value,
            "ci_low": self.effect.ci_low,
            "ci_high": self.effect.ci_high,
            "chance_to_win": self.chance_to_win,
        }

    @property
    def inference(self) -> dict[str, float | None] | None:
        """The lift as the payload has it; 0.1 is ten percent more than control."""
        if isinstance(self.lift, NotComputable):
            return None
        return {
            "lift": self.lift.value,
            "ci_low": self.lift.ci_low,
            "ci_high": self.lift.ci_high,
            "chance_to_win": self.chance_to_win,
        }


@dataclass(frozen=True, slots=True)
class MetricResults:
    """One attached metric: its aggregates by analysed variant, and every treatment against control.

    aggregates: None where the moments are too large for a float
    """

    attached: AttachedMetric
    aggregates: dict[str, VariantAggregate | None]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class ExperimentResults:
    """Everything that one refresh says of an experiment."""

    split: Split
    metrics: tuple[MetricResults, ...]

    def payload(self) -> dict[str, Any]:
        """As the API serves it: JSON-ready, nothing missing, null where something is withheld."""
        return {
            "srm_p_value": self.split.p_value,
            "trustworthy": self.split.trustworthy,
            "srm": {
                "anytime_p_value": self.split.anytime_p_value,
                "identities": self.split.identities,
                "expected_shares": self.split.shares,
                "reason": self.split.reason,
            },
            "metrics": [self._metric_payload(metric) for metric in self.metrics],
        }

    def rows(self) -> list[dict[str, object]]:
        """One row per metric and treatment, for the `bayesian_results` frame."""
        return [
            {"metric_id": metric.attached.metric.id, **comparison.row()}
            for metric in self.metrics
            for comparison in metric.comparisons
        ]

    def verdicts(self) -> dict[str, dict[str, str]]:
        """By metric name and treatment."""
        return {
            metric.attached.metric.name: {each.treatment: each.verdict.value for each in metric.comparisons}
            for metric in self.metrics
        }

    def _metric_payload(self, metric: MetricResults) -> dict[str, Any]:
        compared = {comparison.treatment: comparison for comparison in metric.comparisons}
        return {
            "metric_id": metric.attached.metric.id,
            "variants": {
                key: {
                    "n": self.split.identities[key],
                    "sum": _finite(aggregate.sum) if aggregate else None,
                    "sum_squares": _finite(aggregate.sum_squares) if aggregate else None,
                }
                for key, aggregate in metric.aggregates.items()
            },
            "inference": {key: comparison.inference for key, comparison in compared.items()},
            "effect": {key: comparison.absolute for key, comparison in compared.items()},
            "expected_loss": {key: comparison.expected_loss for key, comparison in compared.items()},
            "verdict": {key: comparison.verdict.value for key, comparison in compared.items()},
            "reason": {key: comparison.reason for key, comparison in compared.items()},
        }


def compute_results(
    experiment: Experiment,
    identities: Mapping[str, int],
    aggregates: Sequence[MetricAggregates],
    floors: Floors,
) -> ExperimentResults:
    """The results of an experiment.

    identities: analysed identities per variant seen, holdout and unknown ones included (rule X6)
    aggregates: one per attached metric, in any order; a metric without one has no events and no identities
    """
    split = _split(experiment, identities)
    by_metric = {metric.metric_id: metric.by_variant for metric in aggregates}
    compared = [
        _compared(attached, by_metric.get(attached.metric.id, {}), split, _design_of(attached, experiment), floors)
        for attached in experiment.metrics
    ]
    levels = _levels(compared, experiment.design.alpha)
    return ExperimentResults(split=split, metrics=tuple(_metric_results(metric, levels, split) for metric in compared))


def _design_of(attached: AttachedMetric, experiment: Experiment) -> Design:
    """What was planned for a metric: the effect to detect is the primary one's, in its unit."""
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


@dataclass(frozen=True, slots=True)
class _Compared:
    """A metric's design, its aggregates by analysed variant, and every treatment beside control."""

    attached: AttachedMetric
    design: Design
    aggregates: dict[str, VariantAggregate | None]
    pairs: dict[str, _Pair | NotComputable]


Key = tuple[int, str]  # metric id and treatment


def _compared(
    attached: AttachedMetric,
    by_variant: Mapping[str, VariantAggregate | None],
    split: Split,
    design: Design,
    floors: Floors,
) -> _Compared:
    aggregates = {key: by_variant.get(key, EMPTY) for key in split.identities}
    pairs = {
        key: _pair(aggregates[CONTROL], arm, attached, design.alpha, floors)
        for key, arm in aggregates.items()
        if key != CONTROL
    }
    return _Compared(attached, design, aggregates, pairs)


def _pair(
    control: VariantAggregate | None,
    treatment: VariantAggregate | None,
    attached: AttachedMetric,
    alpha: float,
    floors: Floors,
) -> _Pair | NotComputable:
    if control is None or treatment is None:
        return OUT_OF_RANGE
    too_little = below_floor(
        control,
        treatment,
        attached.metric.aggregation,
        minimum_identities=floors.identities,
        minimum_conversions=floors.conversions,
    )
    difference = too_little or effect(control, treatment, alpha=alpha)
    return difference if isinstance(difference, NotComputable) else _Pair(control, treatment, difference)


def _levels(compared: Sequence[_Compared], alpha: float) -> dict[Key, float]:
    """The level of every comparison's any-time interval, from its family (docs/adr/0027).

    The primary metric and every guardrail are families of their own, their treatments judged by Holm's procedure; all
    other metrics are one family, judged by Benjamini and Hochberg's.
    """
    primary, others = compared[:1], compared[1:]
    guardrails = [metric for metric in others if metric.attached.expected_direction.is_guardrail]
    secondary = [metric for metric in others if not metric.attached.expected_direction.is_guardrail]
    families: list[tuple[Levels, list[_Compared]]] = [(holm_levels, [metric]) for metric in (*primary, *guardrails)]
    families.append((benjamini_hochberg_levels, secondary))
    levels: dict[Key, float] = {}
    for levels_of, family in families:
        intervals = {
            (metric.attached.metric.id, key): _anytime_effect(pair, metric.design, alpha)
            for metric in family
            for key, pair in metric.pairs.items()
        }
        p_values = [1.0 if isinstance(found, NotComputable) else found.p_value for found in intervals.values()]
        levels |= zip(intervals, levels_of(p_values, alpha), strict=True)
    return levels


def _anytime_effect(pair: _Pair | NotComputable, design: Design, alpha: float) -> AnytimeEffect | NotComputable:
    if isinstance(pair, NotComputable):
        return pair
    return anytime_effect(pair.effect, pair.control, pair.treatment, design, alpha=alpha)


def _metric_results(metric: _Compared, levels: Mapping[Key, float], split: Split) -> MetricResults:
    attached, design, comparisons = metric.attached, metric.design, []
    for key, pair in metric.pairs.items():
        verdict = decide(
            _anytime_effect(pair, design, levels[attached.metric.id, key]),
            direction=attached.metric.direction,
            expected_direction=attached.expected_direction,
            trustworthy=split.trustworthy is True,
        )
        comparisons.append(_comparison(key, pair, attached.metric.direction, design.alpha, verdict))
    return MetricResults(attached=attached, aggregates=metric.aggregates, comparisons=tuple(comparisons))


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


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
