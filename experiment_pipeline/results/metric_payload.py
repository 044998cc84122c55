"""The payload of a metric, JSON-ready.

Members that version 1 does not have are `NotRequired`, and a metric of version 1 is written without them.
"""

from collections.abc import Iterator
from typing import NotRequired  # pydantic reads no other TypedDict before Python 3.12

from typing_extensions import TypedDict

from experiment_pipeline.domain.aggregates import Bounds, Part
from experiment_pipeline.domain.metrics import Funnel, Maturity, Mean, Metric, Quantile, Ratio, Retention
from experiment_pipeline.results.comparison_payload import (
    AdjustedPayload,
    AnytimePayload,
    EffectPayload,
    FrequentistPayload,
    LiftPayload,
    MarginPayload,
    PlannedLooksPayload,
    PosteriorPayload,
    ProgressPayload,
    RiskPayload,
    VariantPayload,
    adjusted_payload,
    anytime_payload,
    arm_payload,
    effect_payload,
    frequentist_payload,
    lift_payload,
    margin_payloads,
    planned_looks_payloads,
    posterior_payload,
    progress_payload,
    risk_payload,
    standard_error,
    variant_payload,
)
from experiment_pipeline.results.families import Family
from experiment_pipeline.results.model import DecidedBy, MetricResults, PartResults, Split
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.post_stratification import PostStratified
from experiment_pipeline.stats.verdict import Verdict


class CappedPayload(TypedDict):
    """The bounds that values were held to, and how many identities each of them touched, by variant."""

    cap: float | None
    floor: float | None
    capped: dict[str, int]
    floored: dict[str, int]


class QuantilePayload(TypedDict):
    """The interval of a variant's quantile at 95 %; a bound is null where it lies beyond all values."""

    low: float | None
    high: float | None


class StepPayload(TypedDict):
    """A step of a funnel: the share of all identities that reach it, by variant, and each treatment beside control."""

    step: int
    event: str
    variants: dict[str, VariantPayload]
    effect: dict[str, EffectPayload | None]
    inference: dict[str, LiftPayload | None]
    reason: dict[str, str | None]


class PartPayload(TypedDict):
    """A metric for one value of a dimension, or for the events with one value of a property.

    `value` is null for identities or events without one, and where `other` is true: then it is all values beyond the
    largest ones. Its verdicts are a family of the metric's values of this kind, and no part of the decision.
    """

    value: str | None
    other: bool
    variants: dict[str, VariantPayload]
    effect: dict[str, EffectPayload | None]
    inference: dict[str, LiftPayload | None]
    anytime: dict[str, AnytimePayload | None]
    verdict: dict[str, Verdict]
    reason: dict[str, str | None]
    adjusted: NotRequired[dict[str, AdjustedPayload]]
    margin: NotRequired[dict[str, MarginPayload]]


class PostStratifiedPayload(TypedDict):
    """The effect made of those within the values of a dimension, each weighted by its share of all identities.

    `value` is treatment less control, with its interval and standard error; `cells` are the values that it is made of.
    They are null with a `reason` where there is none. The verdict is never about it.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    standard_error: float | None
    cells: int | None
    reason: str | None


class MetricPayload(TypedDict):
    """One metric: its aggregates by variant and, by treatment, how that compares with control.

    `inference` is the lift, `effect` the absolute difference, `standard_error` its error, `expected_loss` per identity,
    of shipping the treatment, and `risk` that of shipping it and of keeping control. `anytime` is what the verdict is
    read from, `frequentist` the test for those who look once. Its comparisons are judged in a `family`: the primary
    metric's, a guardrail's own, or that of all secondary metrics. `chance_to_be_best` has every variant, control
    included, and is null where a comparison is withheld. The primary metric has its `progress` against the design and,
    where the experiment declares a prior, its `posterior` lifts.
    What is withheld is null, and `reason` says why. By variant, `values` counts the events whose
    value the metric reads, and `invalid_values` those of them whose value is not a number: with over 1 % of these in
    any variant the metric has no verdict (`inconclusive`, reason `unreadable_values`). Of the identities, `nonzero`
    counts those whose value is not 0 (of a ratio, whose numerator is not; `nonzero_denominator` counts the others),
    `with_value` those that have one (of a mean those with a readable value, otherwise all), and `largest` is the
    largest value.

    Of version 2: `type` is the statistic, `unit` that of its values, and `identities` are all that were analysed, those
    without a value included; `identities_not_mature` wait for their window to end. `capped` has the bounds of the
    values, `capped_denominator` those of a ratio's denominator, and `capped_pre_period` those of the values before the
    exposure. `adjusted` has each comparison adjusted for what identities did before; `decided_by` says which of both
    readings `anytime` and `verdict` are about. `quantile` has each variant's interval, `steps` a funnel's steps,
    `slices` the metric by a property of its events, and `breakdown` by each dimension of the identities.
    `post_stratified` has the overall effect made of those within one dimension. `margin` has what the verdict of a
    guardrail with a margin is read from. `planned_looks` are those of the primary metric, where the design plans them:
    then the verdict is read from the last of them, and not from `anytime`.
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
    nonzero_denominator: NotRequired[dict[str, int]]
    with_value: NotRequired[dict[str, int]]
    largest: NotRequired[dict[str, float | None]]
    family: NotRequired[Family]
    added_after_start: NotRequired[bool]
    standard_error: NotRequired[dict[str, float | None]]
    anytime: NotRequired[dict[str, AnytimePayload | None]]
    margin: NotRequired[dict[str, MarginPayload]]
    frequentist: NotRequired[dict[str, FrequentistPayload | None]]
    planned_looks: NotRequired[dict[str, PlannedLooksPayload]]
    risk: NotRequired[dict[str, RiskPayload | None]]
    chance_to_be_best: NotRequired[dict[str, float] | None]
    posterior: NotRequired[dict[str, PosteriorPayload | None]]
    progress: NotRequired[dict[str, ProgressPayload]]
    type: NotRequired[str]
    unit: NotRequired[str]
    identities: NotRequired[dict[str, int]]
    identities_not_mature: NotRequired[dict[str, int]]
    capped: NotRequired[CappedPayload]
    capped_denominator: NotRequired[CappedPayload]
    capped_pre_period: NotRequired[CappedPayload]
    quantile: NotRequired[dict[str, QuantilePayload]]
    adjusted: NotRequired[dict[str, AdjustedPayload]]
    decided_by: NotRequired[dict[str, DecidedBy]]
    steps: NotRequired[list[StepPayload]]
    slices: NotRequired[list[PartPayload]]
    breakdown: NotRequired[dict[str, list[PartPayload]]]
    post_stratified: NotRequired[dict[str, PostStratifiedPayload]]


def metric_payload(metric: MetricResults, split: Split) -> MetricPayload:
    """Return a metric with everything that its version and its kind have."""
    compared = {comparison.treatment: comparison for comparison in metric.comparisons}
    readings = {key: comparison.reading for key, comparison in compared.items()}
    payload: MetricPayload = {
        "metric_id": metric.attached.metric.id,
        "name": metric.attached.metric.name,
        "variants": {key: variant_payload(split.identities[key], each) for key, each in metric.aggregates.items()},
        "inference": {key: lift_payload(reading) for key, reading in readings.items()},
        "effect": {key: effect_payload(reading) for key, reading in readings.items()},
        "expected_loss": {key: comparison.expected_loss for key, comparison in compared.items()},
        "verdict": {key: comparison.verdict for key, comparison in compared.items()},
        "reason": {key: comparison.reason for key, comparison in compared.items()},
        "values": metric.values,
        "invalid_values": metric.invalid_values,
        "nonzero": {key: each.nonzero for key, each in metric.of_identities.items()},
        "with_value": {key: each.with_value for key, each in metric.of_identities.items()},
        "largest": {key: each.largest for key, each in metric.of_identities.items()},
        "family": metric.family,
        "standard_error": {key: standard_error(reading) for key, reading in readings.items()},
        "anytime": {key: anytime_payload(comparison) for key, comparison in compared.items()},
        "frequentist": {key: frequentist_payload(each) for key, each in metric.frequentist.items()},
        "risk": {key: risk_payload(reading) for key, reading in readings.items()},
        "chance_to_be_best": None if isinstance(metric.chance_to_be_best, NotComputable) else metric.chance_to_be_best,
    }
    if metric.posterior:
        payload["posterior"] = {key: posterior_payload(each) for key, each in metric.posterior.items()}
    if metric.progress:
        payload["progress"] = {key: progress_payload(each) for key, each in metric.progress.items()}
    if metric.attached.metric.version > 1:
        _add_version_2(payload, metric)
    if breakdown := dict(_breakdown(metric)):
        payload["breakdown"] = breakdown
    if metric.post_stratified:
        payload["post_stratified"] = {key: _post_stratified(each) for key, each in metric.post_stratified.items()}
    if at_margin := margin_payloads(metric.attached.margin, metric.comparisons):
        payload["margin"] = at_margin
    if planned := planned_looks_payloads(metric.comparisons):
        payload["planned_looks"] = planned
    if metric.attached.added_after_start:
        payload["added_after_start"] = True
    return payload


def _add_version_2(payload: MetricPayload, metric: MetricResults) -> None:
    """Add what a metric of version 2 has, each only where it applies."""
    found, of = metric.found, metric.attached.metric
    payload["type"] = type_of(of)
    payload["variants"] = {key: arm_payload(arm) for key, arm in metric.arms.items()}
    payload["identities"] = {key: arm.identities for key, arm in metric.arms.items()}
    if of.unit:
        payload["unit"] = of.unit
    if of.maturity is Maturity.COMPLETE:
        payload["identities_not_mature"] = {key: found.not_mature.get(key, 0) for key in metric.arms}
    if found.bounds is not None:
        payload["capped"] = _capped(found.bounds, metric)
    if found.joint_bounds is not None:
        of_x = _capped(found.joint_bounds, metric)
        payload["capped_denominator" if isinstance(of.statistic, Ratio) else "capped_pre_period"] = of_x
    if isinstance(of.statistic, Ratio):
        payload["nonzero_denominator"] = {key: found.nonzero_x.get(key, 0) for key in metric.arms}
    if isinstance(of.statistic, Quantile):
        payload["quantile"] = dict(_quantiles(metric))
    adjusted = {each.treatment: each.adjusted for each in metric.comparisons if each.adjusted is not None}
    if adjusted:
        payload["adjusted"] = {key: adjusted_payload(each) for key, each in adjusted.items()}
        payload["decided_by"] = {each.treatment: each.decided_by for each in metric.comparisons}
    if isinstance(of.statistic, Funnel):
        payload["steps"] = [_step(each, of.statistic) for each in metric.parts if each.group.part is Part.STEP]
    if slices := [_part(each, metric.attached.margin) for each in metric.parts if each.group.part is Part.SLICE]:
        payload["slices"] = slices


def type_of(metric: Metric) -> str:
    """Return the name of a metric's statistic, as it is declared."""
    match metric.statistic:
        case Mean():
            return "mean"
        case Ratio():
            return "ratio"
        case Quantile():
            return "quantile"
        case Retention():
            return "retention"
        case Funnel():
            return "funnel"


def _post_stratified(found: PostStratified | NotComputable) -> PostStratifiedPayload:
    if isinstance(found, NotComputable):
        return {
            "value": None,
            "ci_low": None,
            "ci_high": None,
            "standard_error": None,
            "cells": None,
            "reason": found.reason,
        }
    effect = found.effect
    return {
        "value": effect.value,
        "ci_low": effect.ci_low,
        "ci_high": effect.ci_high,
        "standard_error": effect.standard_error,
        "cells": found.cells,
        "reason": None,
    }


def _capped(bounds: Bounds, metric: MetricResults) -> CappedPayload:
    return {
        "cap": bounds.cap,
        "floor": bounds.floor,
        "capped": {key: bounds.capped.get(key, 0) for key in metric.arms},
        "floored": {key: bounds.floored.get(key, 0) for key in metric.arms},
    }


def _quantiles(metric: MetricResults) -> Iterator[tuple[str, QuantilePayload]]:
    for key in metric.arms:
        found = metric.found.quantiles.get(key)
        yield key, {"low": None, "high": None} if found is None else {"low": found.low, "high": found.high}


def _step(part: PartResults, funnel: Funnel) -> StepPayload:
    step, readings = int(part.group.name), {each.treatment: each.reading for each in part.comparisons}
    return {
        "step": step,
        "event": funnel.steps[step - 1].name,
        "variants": {key: arm_payload(arm) for key, arm in part.arms.items()},
        "effect": {key: effect_payload(reading) for key, reading in readings.items()},
        "inference": {key: lift_payload(reading) for key, reading in readings.items()},
        "reason": {each.treatment: each.reason for each in part.comparisons},
    }


def _breakdown(metric: MetricResults) -> Iterator[tuple[str, list[PartPayload]]]:
    parts = [each for each in metric.parts if each.group.part is Part.DIMENSION]
    for name in dict.fromkeys(each.group.name for each in parts):
        yield name, [_part(each, metric.attached.margin) for each in parts if each.group.name == name]


def _part(part: PartResults, margin: float | None) -> PartPayload:
    readings = {each.treatment: each.reading for each in part.comparisons}
    payload: PartPayload = {
        "value": part.group.value,
        "other": part.group.is_other,
        "variants": {key: arm_payload(arm) for key, arm in part.arms.items()},
        "effect": {key: effect_payload(reading) for key, reading in readings.items()},
        "inference": {key: lift_payload(reading) for key, reading in readings.items()},
        "anytime": {each.treatment: anytime_payload(each) for each in part.comparisons},
        "verdict": {each.treatment: each.verdict for each in part.comparisons},
        "reason": {each.treatment: each.reason for each in part.comparisons},
    }
    adjusted = {each.treatment: each.adjusted for each in part.comparisons if each.adjusted is not None}
    if adjusted:
        payload["adjusted"] = {key: adjusted_payload(each) for key, each in adjusted.items()}
    if at_margin := margin_payloads(margin, part.comparisons):
        payload["margin"] = at_margin
    return payload
