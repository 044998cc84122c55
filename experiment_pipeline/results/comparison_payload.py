"""Payloads of comparisons: variants, effects, lifts, and what a verdict is read from, JSON-ready."""

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import NotRequired  # pydantic reads no other TypedDict before Python 3.12

from typing_extensions import TypedDict

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.results.arms import Arm
from experiment_pipeline.results.model import (
    AdjustedReading,
    Comparison,
    FixedSampleTest,
    FrequentistReading,
    MarginComparison,
    Progress,
    Reading,
)
from experiment_pipeline.stats.bayesian import InformedLift
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.planned_looks import PlannedLooks
from experiment_pipeline.times import iso_utc

DAY = timedelta(days=1)


class VariantPayload(TypedDict):
    """A metric over the `n` identities of a variant; sums are null where they are too large for a float.

    Of version 1, `n` are all analysed identities. Of version 2 they are those that are in the metric, `value` is what
    its statistic comes to (null where it cannot be computed), and the sums are those of the values, of a ratio's
    numerator.
    """

    n: int
    sum: float | None
    sum_squares: float | None
    value: NotRequired[float | None]


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


class MarginPayload(TypedDict):
    """A treatment beside control at the margin of a guardrail, in the metric's unit; the verdict is read from it.

    `margin` is as declared: 0.02 is two per cent of control's mean. `value` is the treatment's mean less control's at
    the margin, with the interval that holds at every refresh at once: 0 is exactly at the margin. `level` and the
    p-values are as in `anytime`. What is withheld is null, and `reason` says why.
    """

    margin: float
    value: float | None
    p_value: float | None
    adjusted_p_value: float | None
    ci_low: float | None
    ci_high: float | None
    level: float | None
    reason: str | None


class PlannedLookPayload(TypedDict):
    """One planned look: the effect in standard errors beside its boundary, which is null where it spends nothing."""

    number: int
    as_of: str
    information_fraction: float
    boundary: float | None
    z: float
    crossed: bool


class PlannedLooksPayload(TypedDict):
    """The planned looks at a treatment, and how far its evidence has come: 1 at the planned end.

    Between looks the last boundary is in force, and nothing is compared with it. `reason` says why there is no look:
    none is due yet, or the design cannot plan how the metric's evidence accrues.
    """

    n_looks: int
    looks: list[PlannedLookPayload]
    information_fraction: float | None
    boundary_in_force: float | None
    reason: NotRequired[str]


class RiskPayload(TypedDict):
    """The expected loss per identity of each decision if it is the wrong one, in the metric's unit."""

    if_ship: float
    if_keep: float


class FrequentistPayload(TypedDict):
    """The fixed-sample test of a comparison as the metric is measured, for those who look exactly once.

    `test` is `welch_t` of means, which has `degrees_of_freedom`, `two_proportion_z` of shares of identities, or
    `wald_z` of ratios and quantiles. `p_value` and the interval, of the effect, are those of the comparison alone;
    `adjusted_p_value` is what its family makes of it. No verdict is read from any of them.
    """

    test: FixedSampleTest
    statistic: float
    degrees_of_freedom: NotRequired[float]
    p_value: float
    adjusted_p_value: float
    ci_low: float
    ci_high: float


class PosteriorPayload(TypedDict):
    """The lift under the prior that the experiment declares: normal, with its credible interval; in no verdict."""

    lift: float
    standard_deviation: float
    ci_low: float
    ci_high: float
    chance_to_win: float


class ProgressPayload(TypedDict):
    """Distance of a comparison from the end that the design plans.

    `information_fraction` is 1 there. `identities_needed` are those of control and the treatment together, if each
    brings as much evidence as each has so far; `days_left_at_current_traffic` takes the traffic since the start. What
    cannot be known is null, and `reason` says why.
    """

    information_fraction: float | None
    identities_needed: int | None
    days_left_at_current_traffic: float | None
    reason: NotRequired[str]


class AdjustedPayload(TypedDict):
    """A comparison adjusted for what identities did before their first exposure.

    `variance_reduction` is the share of the variance that this explains: at 0.5 half of the identities are enough. What
    is withheld is null, and `reason` says why.
    """

    effect: EffectPayload | None
    inference: LiftPayload | None
    standard_error: float | None
    variance_reduction: float | None
    reason: str | None


def variant_payload(identities: int, aggregate: VariantAggregate | None) -> VariantPayload:
    """Return a variant of a metric of version 1."""
    return {
        "n": identities,
        "sum": None if aggregate is None else _finite(aggregate.sum),
        "sum_squares": None if aggregate is None else _finite(aggregate.sum_squares),
    }


def arm_payload(arm: Arm) -> VariantPayload:
    """Return a variant of a metric of version 2, or of a part."""
    value = None if isinstance(arm.reduced, NotComputable) or arm.n == 0 else arm.reduced.mean
    return {**variant_payload(arm.n, arm.aggregate), "value": value}


def effect_payload(reading: Reading | NotComputable) -> EffectPayload | None:
    """Return the absolute effect; None where it is withheld."""
    if isinstance(reading, NotComputable):
        return None
    effect, chance = reading.effect, reading.chance_to_win
    return {"value": effect.value, "ci_low": effect.ci_low, "ci_high": effect.ci_high, "chance_to_win": chance}


def lift_payload(reading: Reading | NotComputable) -> LiftPayload | None:
    """Return the lift; None where it is withheld."""
    if isinstance(reading, NotComputable) or isinstance(reading.lift, NotComputable):
        return None
    lift, chance = reading.lift, reading.chance_to_win
    return {"lift": lift.value, "ci_low": lift.ci_low, "ci_high": lift.ci_high, "chance_to_win": chance}


def standard_error(reading: Reading | NotComputable) -> float | None:
    """Return the standard error of the effect; None where it is withheld."""
    return None if isinstance(reading, NotComputable) else reading.effect.standard_error


def risk_payload(reading: Reading | NotComputable) -> RiskPayload | None:
    """Return the expected losses; None where they are withheld."""
    if isinstance(reading, NotComputable):
        return None
    return {"if_ship": reading.risk.if_ship, "if_keep": reading.risk.if_keep}


def anytime_payload(comparison: Comparison) -> AnytimePayload | None:
    """Return what the verdict is read from; None where it is read from nothing."""
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


def planned_looks_payloads(comparisons: Iterable[Comparison]) -> dict[str, PlannedLooksPayload]:
    """Return the planned looks of each treatment; nothing where the design plans none for the metric."""
    return {each.treatment: _planned_looks(each.planned) for each in comparisons if each.planned is not None}


def _planned_looks(planned: PlannedLooks) -> PlannedLooksPayload:
    payload: PlannedLooksPayload = {
        "n_looks": planned.n_looks,
        "looks": [
            {
                "number": look.number,
                "as_of": iso_utc(look.as_of),
                "information_fraction": look.information_fraction,
                "boundary": look.boundary,
                "z": look.z,
                "crossed": look.crossed,
            }
            for look in planned.looks
        ],
        "information_fraction": planned.information_fraction,
        "boundary_in_force": planned.looks[-1].boundary if planned.looks else None,
    }
    if planned.withheld is not None:
        payload["reason"] = planned.withheld.reason
    return payload


def margin_payloads(margin: float | None, comparisons: Iterable[Comparison]) -> dict[str, MarginPayload]:
    """Return each treatment beside control at the margin of a guardrail; nothing without a margin."""
    if margin is None:
        return {}
    return {each.treatment: _margin(margin, each.margin) for each in comparisons if each.margin is not None}


def _margin(margin: float, found: MarginComparison | NotComputable) -> MarginPayload:
    if isinstance(found, NotComputable):
        return {
            "margin": margin,
            "value": None,
            "p_value": None,
            "adjusted_p_value": None,
            "ci_low": None,
            "ci_high": None,
            "level": None,
            "reason": found.reason,
        }
    anytime = found.anytime
    return {
        "margin": margin,
        "value": found.effect.value,
        "p_value": anytime.p_value,
        "adjusted_p_value": anytime.adjusted_p_value,
        "ci_low": anytime.ci_low,
        "ci_high": anytime.ci_high,
        "level": anytime.level,
        "reason": None,
    }


def frequentist_payload(found: FrequentistReading | None) -> FrequentistPayload | None:
    """Return the fixed-sample test; None where there is none."""
    if found is None:
        return None
    payload: FrequentistPayload = {
        "test": found.test,
        "statistic": found.statistic,
        "p_value": found.p_value,
        "adjusted_p_value": found.adjusted_p_value,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
    }
    if found.degrees_of_freedom is not None:
        payload["degrees_of_freedom"] = found.degrees_of_freedom
    return payload


def posterior_payload(found: InformedLift | NotComputable) -> PosteriorPayload | None:
    """Return the lift under the prior; None where the lift is withheld."""
    if isinstance(found, NotComputable):
        return None
    return {
        "lift": found.value,
        "standard_deviation": found.standard_deviation,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "chance_to_win": found.chance_to_win,
    }


def progress_payload(found: Progress | NotComputable) -> ProgressPayload:
    """Return how far a comparison is from its planned end, or why that is unknown."""
    if isinstance(found, NotComputable):
        return {
            "information_fraction": None,
            "identities_needed": None,
            "days_left_at_current_traffic": None,
            "reason": found.reason,
        }
    needed, left = found.identities_needed, found.left
    payload: ProgressPayload = {
        "information_fraction": found.information_fraction,
        "identities_needed": None if isinstance(needed, NotComputable) else needed,
        "days_left_at_current_traffic": None if isinstance(left, NotComputable) else left / DAY,
    }
    if isinstance(left, NotComputable):  # it is so wherever the identities that are needed are unknown
        payload["reason"] = left.reason
    return payload


def adjusted_payload(adjusted: AdjustedReading | NotComputable) -> AdjustedPayload:
    """Return the adjusted comparison, or why there is none."""
    if isinstance(adjusted, NotComputable):
        nothing: AdjustedPayload = {
            "effect": None,
            "inference": None,
            "standard_error": None,
            "variance_reduction": None,
            "reason": adjusted.reason,
        }
        return nothing
    lift = adjusted.reading.lift
    return {
        "effect": effect_payload(adjusted.reading),
        "inference": lift_payload(adjusted.reading),
        "standard_error": standard_error(adjusted.reading),
        "variance_reduction": adjusted.variance_reduction,
        "reason": lift.reason if isinstance(lift, NotComputable) else None,
    }


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


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
