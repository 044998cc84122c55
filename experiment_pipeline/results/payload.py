"""Payloads: exposures and results as the API serves them, JSON-ready, and the rows of the small frames.

A payload is stored when it is published and served as it is for as long as it stands. Members that a newer version
added are `NotRequired`: what an older version stored has none of them.
"""

import math
from typing import NotRequired  # pydantic reads no other TypedDict before Python 3.12

from typing_extensions import TypedDict

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.exposures import ExposuresPoint, ExposuresSummary, Granularity
from experiment_pipeline.results.families import Family
from experiment_pipeline.results.model import Comparison, ExperimentResults, MetricResults, Split
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.verdict import Verdict
from experiment_pipeline.times import iso_utc


class PointPayload(TypedDict):
    """New identities by variant in the hour or day that begins at `bucket` (ISO-8601, UTC).

    `unlisted_identities` saw a variant that is not listed; it is left out where there are none.
    """

    bucket: str
    new_identities: dict[str, int]
    unlisted_identities: NotRequired[int]


class TimeseriesPayload(TypedDict):
    """Exposures over time; points are sparse and sorted by bucket (rule X4)."""

    granularity: Granularity
    points: list[PointPayload]


class ExposuresPayload(TypedDict):
    """Exposed identities over time (rule X7); `excluded_identities` saw several variants and are counted only here.

    Of the variants that the experiment does not configure the largest are listed (rule X6); `unlisted_variants` is how
    many others there are, and is left out where there are none.
    """

    excluded_identities: int
    unlisted_variants: NotRequired[int]
    timeseries: TimeseriesPayload


class SplitPayload(TypedDict):
    """Identities by compared variant beside the shares that were configured (rules S1-S3).

    `chi_square`, with `degrees_of_freedom`, is of the fixed-sample test, whose p-value is `srm_p_value`;
    `anytime_p_value` is of the test that holds at every refresh. They are null with a `reason` where they could not be
    made. `traffic_in_arm_without_share` and `unknown_variants` are the reasons of a split that is not trustworthy
    whatever these tests say (rule S2).
    """

    chi_square: NotRequired[float | None]
    degrees_of_freedom: NotRequired[int | None]
    anytime_p_value: float | None
    identities: dict[str, int]
    expected_shares: dict[str, float]
    reason: str | None


class VariantPayload(TypedDict):
    """A metric over the `n` analysed identities of a variant; sums are null where they are too large for a float."""

    n: int
    sum: float | None
    sum_squares: float | None


class LiftPayload(TypedDict):
    """The effect relative to control, with its credible interval; 0.1 is ten percent more than control."""

    lift: float
    ci_low: float
    ci_high: float
    chance_to_win: float


class EffectPayload(TypedDict):
    """Treatment less control in the metric's unit, with its credible interval."""

    value: float
    ci_low: float
    ci_high: float
    chance_to_win: float


class AnytimePayload(TypedDict):
    """The basis of the verdict: an interval of the effect that holds at every refresh at once.

    It is in the metric's unit. `level` is the probability with which it may miss, as the family of comparisons leaves
    it; it excludes 0 where `adjusted_p_value` is at most the design's alpha. `p_value` is of the comparison alone.
    """

    p_value: float
    adjusted_p_value: float
    ci_low: float
    ci_high: float
    level: float


class RiskPayload(TypedDict):
    """The expected loss per identity of each decision if it is the wrong one, in the metric's unit."""

    if_ship: float
    if_keep: float


class MetricPayload(TypedDict):
    """One metric: its aggregates by variant and, by treatment, how that compares with control.

    `inference` is the lift, `effect` the absolute difference, `standard_error` its error, `expected_loss` per identity,
    of shipping the treatment, and `risk` that of shipping it and of keeping control. `anytime` is what the verdict is
    read from. Its comparisons are judged in a `family`: the primary metric's, a guardrail's own, or that of all
    secondary metrics.
    What is withheld is null, and `reason` says why. By variant, `values` counts the events whose
    value the metric reads, and `invalid_values` those of them whose value is not a number: with over 1 % of these in
    any variant the metric has no verdict (`inconclusive`, reason `unreadable_values`). Of the identities, `nonzero`
    counts those whose value is not 0, `with_value` those that have one (of a mean those with a readable value,
    otherwise all), and `largest` is the largest value.
    """

    metric_id: int
    name: NotRequired[str]
    variants: dict[str, VariantPayload]
    inference: dict[str, LiftPayload | None]
    effect: dict[str, EffectPayload | None]
    expected_loss: dict[str, float | None]
    verdict: dict[str, Verdict]
    reason: dict[str, str | None]
    values: NotRequired[dict[str, int]]
    invalid_values: NotRequired[dict[str, int]]
    nonzero: NotRequired[dict[str, int]]
    with_value: NotRequired[dict[str, int]]
    largest: NotRequired[dict[str, float | None]]
    family: NotRequired[Family]
    standard_error: NotRequired[dict[str, float | None]]
    anytime: NotRequired[dict[str, AnytimePayload | None]]
    risk: NotRequired[dict[str, RiskPayload | None]]


class ResultsPayload(TypedDict):
    """Results of one experiment at one refresh.

    `trustworthy` is false on a sample ratio mismatch by the test of `srm`, null where the split could not be tested;
    `srm_p_value` is of the fixed-sample test, for those who look once.
    """

    srm_p_value: float | None
    trustworthy: bool | None
    srm: SplitPayload
    metrics: list[MetricPayload]


def exposures_payload(summary: ExposuresSummary) -> ExposuresPayload:
    """Return the exposures payload; bucket starts are ISO-8601 with `Z`."""
    series = summary.timeseries
    payload: ExposuresPayload = {
        "excluded_identities": summary.excluded_identities,
        "timeseries": {"granularity": series.granularity, "points": [_point(point) for point in series.points]},
    }
    if summary.unlisted_variants:
        payload["unlisted_variants"] = summary.unlisted_variants
    return payload


def results_payload(results: ExperimentResults) -> ResultsPayload:
    """Return the results payload: nothing missing, null where something is withheld."""
    split = results.split
    return {
        "srm_p_value": split.p_value,
        "trustworthy": split.trustworthy,
        "srm": {
            "chi_square": split.chi_square,
            "degrees_of_freedom": split.degrees_of_freedom,
            "anytime_p_value": split.anytime_p_value,
            "identities": split.identities,
            "expected_shares": split.shares,
            "reason": split.reason,
        },
        "metrics": [_metric(metric, split) for metric in results.metrics],
    }


def split_rows(split: Split) -> list[dict[str, object]]:
    """Return one row per compared variant, for the `srm` frame."""
    return [
        {
            "variant": key,
            "identities": n,
            "expected_share": split.shares.get(key),
            "p_value": split.p_value,
            "anytime_p_value": split.anytime_p_value,
            "reason": split.reason,
        }
        for key, n in split.identities.items()
    ]


def comparison_rows(results: ExperimentResults) -> list[dict[str, object]]:
    """Return one row per metric and treatment, for the `bayesian_results` frame."""
    return [
        {"metric_id": metric.attached.metric.id, **_row(comparison)}
        for metric in results.metrics
        for comparison in metric.comparisons
    ]


def effect_columns(effect: EffectPayload | None, lift: LiftPayload | None) -> dict[str, object]:
    """Return effect and lift, each with its interval, as columns of a flat table; null where one is withheld."""
    return {
        "effect": effect and effect["value"],
        "effect_low": effect and effect["ci_low"],
        "effect_high": effect and effect["ci_high"],
        "lift": lift and lift["lift"],
        "lift_low": lift and lift["ci_low"],
        "lift_high": lift and lift["ci_high"],
    }


def _point(point: ExposuresPoint) -> PointPayload:
    payload: PointPayload = {"bucket": iso_utc(point.bucket), "new_identities": point.new_identities}
    if point.unlisted_identities:
        payload["unlisted_identities"] = point.unlisted_identities
    return payload


def _metric(metric: MetricResults, split: Split) -> MetricPayload:
    compared = {comparison.treatment: comparison for comparison in metric.comparisons}
    return {
        "metric_id": metric.attached.metric.id,
        "name": metric.attached.metric.name,
        "variants": {key: _variant(split.identities[key], each) for key, each in metric.aggregates.items()},
        "inference": {key: _lift(comparison) for key, comparison in compared.items()},
        "effect": {key: _effect(comparison) for key, comparison in compared.items()},
        "expected_loss": {key: comparison.expected_loss for key, comparison in compared.items()},
        "verdict": {key: comparison.verdict for key, comparison in compared.items()},
        "reason": {key: comparison.reason for key, comparison in compared.items()},
        "values": metric.values,
        "invalid_values": metric.invalid_values,
        "nonzero": {key: each.nonzero for key, each in metric.of_identities.items()},
        "with_value": {key: each.with_value for key, each in metric.of_identities.items()},
        "largest": {key: each.largest for key, each in metric.of_identities.items()},
        "family": metric.family,
        "standard_error": {key: _standard_error(comparison) for key, comparison in compared.items()},
        "anytime": {key: _anytime(comparison) for key, comparison in compared.items()},
        "risk": {key: _risk(comparison) for key, comparison in compared.items()},
    }


def _variant(identities: int, aggregate: VariantAggregate | None) -> VariantPayload:
    return {
        "n": identities,
        "sum": None if aggregate is None else _finite(aggregate.sum),
        "sum_squares": None if aggregate is None else _finite(aggregate.sum_squares),
    }


def _lift(comparison: Comparison) -> LiftPayload | None:
    lift, chance = comparison.lift, comparison.chance_to_win
    if isinstance(lift, NotComputable) or chance is None:
        return None
    return {"lift": lift.value, "ci_low": lift.ci_low, "ci_high": lift.ci_high, "chance_to_win": chance}


def _effect(comparison: Comparison) -> EffectPayload | None:
    effect, chance = comparison.effect, comparison.chance_to_win
    if isinstance(effect, NotComputable) or chance is None:
        return None
    return {"value": effect.value, "ci_low": effect.ci_low, "ci_high": effect.ci_high, "chance_to_win": chance}


def _standard_error(comparison: Comparison) -> float | None:
    return None if isinstance(comparison.effect, NotComputable) else comparison.effect.standard_error


def _anytime(comparison: Comparison) -> AnytimePayload | None:
    found = comparison.anytime
    if found is None:
        return None
    return {
        "p_value": found.p_value,
        "adjusted_p_value": found.adjusted_p_value,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "level": found.level,
    }


def _risk(comparison: Comparison) -> RiskPayload | None:
    found = comparison.risk
    return None if found is None else {"if_ship": found.if_ship, "if_keep": found.if_keep}


def _row(comparison: Comparison) -> dict[str, object]:
    return {
        "treatment": comparison.treatment,
        **effect_columns(_effect(comparison), _lift(comparison)),
        "chance_to_win": comparison.chance_to_win,
        "expected_loss": comparison.expected_loss,
        "reason": comparison.reason,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
