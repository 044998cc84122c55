"""Live statistics: the primary metric of an experiment at one moment, for dashboards that follow it while it runs.

Made of the same aggregates by the same functions as the results payload, and published with it. Where the payload
withholds a comparison of too little data, its numbers are given from two identities on, marked `below_floor`.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NotRequired  # pydantic reads no other TypedDict before Python 3.12

from typing_extensions import TypedDict

from experiment_pipeline.domain.experiments import CONTROL, Experiment
from experiment_pipeline.domain.metrics import Direction, Metric, Quantile, Ratio
from experiment_pipeline.results.arms import Arm
from experiment_pipeline.results.comparison_payload import (
    EffectPayload,
    LiftPayload,
    adjusted_payload,
    effect_payload,
    lift_payload,
)
from experiment_pipeline.results.frequentist import fixed_sample_test, test_name
from experiment_pipeline.results.model import (
    AdjustedReading,
    Comparison,
    ExperimentResults,
    FixedSampleTest,
    MetricResults,
    Reading,
    Split,
)
from experiment_pipeline.results.sequential import SequentialBlock, sequential_block
from experiment_pipeline.stats.bayesian import chance_to_win, expected_loss
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.frequentist import WelchTest
from experiment_pipeline.stats.lift import Lift, lift
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.verdict import Verdict

DISCLAIMER = (
    "Tests, intervals and probabilities are those of a single look. Who follows them and stops at the first small "
    "p-value finds differences that are not there. Decide by `verdict`, which holds at every look."
)
NO_METRIC = NotComputable("no_metric")
NO_PRE_PERIOD = NotComputable("no_pre_period")


class MetricType(StrEnum):
    """The kind of a primary metric."""

    BINARY = "binary"
    CONTINUOUS = "continuous"
    RATIO = "ratio"
    QUANTILE = "quantile"


class SrmStatus(StrEnum):
    """The split of identities against its configuration."""

    OK = "ok"
    DETECTED = "srm_detected"
    INSUFFICIENT = "insufficient_data"


class ComparisonStatus(StrEnum):
    """The comparison of a treatment with control, or a lack of data for it."""

    OK = "ok"
    INSUFFICIENT = "insufficient_data"


class CupedStatus(StrEnum):
    """The primary metric is adjusted for a pre-period, or not."""

    AVAILABLE = "available"
    UNAVAILABLE = "unavailable"


class SrmBlock(TypedDict):
    """The test of the split; `is_srm` is the payload's `trustworthy` turned round, `p_value` of the fixed sample."""

    status: SrmStatus
    chi_square: float | None
    p_value: float | None
    is_srm: bool | None
    observed_counts: dict[str, int]
    expected_counts: dict[str, float]
    reason: str | None


class VariantStats(TypedDict):
    """One variant: its analysed identities, those with a counted event, and what the metric comes to."""

    exposed: int
    conversions: int
    value: float | None


class FrequentistStats(TypedDict):
    """The fixed-sample test and its interval of the effect; `adjusted_p_value` is null below the floors."""

    test: FixedSampleTest
    statistic: float
    degrees_of_freedom: NotRequired[float]
    p_value: float
    adjusted_p_value: float | None
    ci_low: float
    ci_high: float


class ComparisonBlock(TypedDict):
    """Control against one treatment.

    `probability_treatment_beats_control` is that of the larger value, whatever the better side is. With
    `below_floor` the results payload withholds the comparison, which has too little data.
    """

    treatment: str
    control: str
    status: ComparisonStatus
    reason: str | None
    below_floor: bool
    effect: EffectPayload | None
    lift: LiftPayload | None
    frequentist: FrequentistStats | None
    probability_treatment_beats_control: float | None
    verdict: Verdict


class CupedStats(TypedDict):
    """One treatment after adjustment for the pre-period, or why it is not adjusted."""

    effect: EffectPayload | None
    lift: LiftPayload | None
    variance_reduction: float | None
    probability_treatment_beats_control: float | None
    reason: str | None


class CupedBlock(TypedDict):
    """The primary metric after adjustment for the pre-period; available where any treatment is adjusted."""

    status: CupedStatus
    reason: str | None
    treatments: dict[str, CupedStats]


class LiveStatsPayload(TypedDict):
    """Live statistics of an experiment's primary metric. Holdouts take no part in them."""

    experiment_id: int
    phase: NotRequired[int]
    metric_type: MetricType | None
    primary_metric_name: str | None
    exposures_total: int
    conversions_total: int
    disclaimer: str
    variants: dict[str, VariantStats]
    srm: SrmBlock
    comparisons: list[ComparisonBlock]
    sequential: SequentialBlock
    cuped: CupedBlock


def live_stats(experiment: Experiment, results: ExperimentResults) -> LiveStatsPayload:
    """Return the live statistics of results; of an experiment without a metric, its split alone."""
    split, metric = results.split, next(iter(results.metrics), None)
    variants = {} if metric is None else {key: _variant(metric, key, split) for key in metric.arms}
    return {
        "experiment_id": experiment.id,
        "phase": experiment.phase,
        "metric_type": None if metric is None else metric_type(metric.attached.metric),
        "primary_metric_name": None if metric is None else metric.attached.metric.name,
        "exposures_total": sum(split.identities.values()),
        "conversions_total": sum(each["conversions"] for each in variants.values()),
        "disclaimer": DISCLAIMER,
        "variants": variants,
        "srm": _srm(split),
        "comparisons": [] if metric is None else list(_comparisons(metric, experiment.design.alpha)),
        "sequential": sequential_block(experiment, metric),
        "cuped": _unavailable(NO_METRIC) if metric is None else _cuped(metric),
    }


def metric_type(metric: Metric) -> MetricType:
    """Return the kind of a metric: occurrence, retention and funnel are binary."""
    match metric.statistic:
        case Ratio():
            return MetricType.RATIO
        case Quantile():
            return MetricType.QUANTILE
        case _:
            return MetricType.BINARY if metric.is_proportion else MetricType.CONTINUOUS


def _variant(metric: MetricResults, key: str, split: Split) -> VariantStats:
    arm = metric.arms[key]
    value = None if isinstance(arm.reduced, NotComputable) or not arm.n else arm.reduced.mean
    return {"exposed": split.identities[key], "conversions": arm.with_event, "value": value}


def _srm(split: Split) -> SrmBlock:
    trustworthy, total = split.trustworthy, sum(split.identities.values())
    statuses = {True: SrmStatus.OK, False: SrmStatus.DETECTED, None: SrmStatus.INSUFFICIENT}
    return {
        "status": statuses[trustworthy],
        "chi_square": split.chi_square,
        "p_value": split.p_value,
        "is_srm": None if trustworthy is None else not trustworthy,
        "observed_counts": split.identities,
        "expected_counts": {key: share * total for key, share in split.shares.items()},
        "reason": split.reason,
    }


def _comparisons(metric: MetricResults, alpha: float) -> Iterator[ComparisonBlock]:
    control = metric.arms[CONTROL]
    for comparison in metric.comparisons:
        treatment = comparison.treatment
        block: ComparisonBlock = {
            "treatment": treatment,
            "control": CONTROL,
            "status": ComparisonStatus.OK,
            "reason": None if comparison.withheld is None else comparison.withheld.reason,
            "below_floor": False,
            "effect": None,
            "lift": None,
            "frequentist": None,
            "probability_treatment_beats_control": None,
            "verdict": comparison.verdict,
        }
        withheld = _add_numbers(block, metric, comparison, (control, metric.arms[treatment]), alpha)
        if withheld is not None:
            block |= {"status": ComparisonStatus.INSUFFICIENT, "reason": withheld.reason}
        yield block


def _add_numbers(
    block: ComparisonBlock, metric: MetricResults, comparison: Comparison, arms: tuple[Arm, Arm], alpha: float
) -> NotComputable | None:
    """Add the numbers of a comparison, or return why there are none."""
    control, treatment = (arm.reduced for arm in arms)
    if isinstance(control, NotComputable):
        return control
    if isinstance(treatment, NotComputable):
        return treatment
    difference = effect(control, treatment, alpha=alpha)
    if isinstance(difference, NotComputable):
        return difference
    test = fixed_sample_test(metric.attached.metric, control, treatment, difference, alpha)
    if isinstance(test, NotComputable):
        return test
    found = _reading(metric, comparison, difference, lift(control, treatment, alpha=alpha))
    adjusted = metric.frequentist.get(comparison.treatment)
    numbers: FrequentistStats = {
        "test": test_name(test),
        "statistic": test.statistic,
        "p_value": test.p_value,
        "adjusted_p_value": None if adjusted is None else adjusted.adjusted_p_value,
        "ci_low": test.ci_low,
        "ci_high": test.ci_high,
    }
    if isinstance(test, WelchTest):
        numbers["degrees_of_freedom"] = test.dof
    block |= {
        "below_floor": isinstance(comparison.reading, NotComputable),
        "effect": effect_payload(found),
        "lift": lift_payload(found),
        "frequentist": numbers,
        "probability_treatment_beats_control": chance_to_win(difference, Direction.UP),
    }
    return None


def _reading(metric: MetricResults, comparison: Comparison, found: Effect, of: Lift | NotComputable) -> Reading:
    """Return the numbers of the payload, or the same where it withholds them."""
    if not isinstance(comparison.reading, NotComputable):
        return comparison.reading
    better = metric.attached.better_direction
    return Reading(found, of, chance_to_win(found, better), expected_loss(found, better))


def _cuped(metric: MetricResults) -> CupedBlock:
    found = {each.treatment: each.adjusted for each in metric.comparisons if each.adjusted is not None}
    if not found:
        return _unavailable(NO_PRE_PERIOD)
    withheld = [each for each in found.values() if isinstance(each, NotComputable)]
    is_available = len(withheld) < len(found)
    return {
        "status": CupedStatus.AVAILABLE if is_available else CupedStatus.UNAVAILABLE,
        "reason": None if is_available else withheld[0].reason,
        "treatments": {key: _cuped_stats(each) for key, each in found.items()},
    }


def _cuped_stats(adjusted: AdjustedReading | NotComputable) -> CupedStats:
    payload, chance = adjusted_payload(adjusted), None
    if isinstance(adjusted, AdjustedReading):
        chance = chance_to_win(adjusted.reading.effect, Direction.UP)
    return {
        "effect": payload["effect"],
        "lift": payload["inference"],
        "variance_reduction": payload["variance_reduction"],
        "probability_treatment_beats_control": chance,
        "reason": payload["reason"],
    }


def _unavailable(why: NotComputable) -> CupedBlock:
    return {"status": CupedStatus.UNAVAILABLE, "reason": why.reason, "treatments": {}}
