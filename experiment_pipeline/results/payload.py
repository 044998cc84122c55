"""Payloads: exposures and results as the API serves them, JSON-ready, and the rows of the small frames.

A payload is stored when it is published and served as it is for as long as it stands. Members that a newer version
added are `NotRequired`: what an older version stored has none of them.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NotRequired  # pydantic reads no other TypedDict before Python 3.12

from typing_extensions import TypedDict

from experiment_pipeline.domain.exposures import ExposuresPoint, ExposuresSummary, Granularity
from experiment_pipeline.domain.looks import Movement
from experiment_pipeline.results.comparison_payload import effect_columns, effect_payload, lift_payload
from experiment_pipeline.results.decision import Action, Decision, Rule
from experiment_pipeline.results.looks import LookPayload, look_payload
from experiment_pipeline.results.metric_payload import MetricPayload, metric_payload
from experiment_pipeline.results.model import Comparison, ExperimentResults, Split
from experiment_pipeline.results.sensitivity_payload import SensitivityPayload, sensitivity_payload
from experiment_pipeline.stats.not_computable import NotComputable
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

    phase: NotRequired[int]
    excluded_identities: int
    unlisted_variants: NotRequired[int]
    timeseries: TimeseriesPayload


class SplitPayload(TypedDict):
    """Identities by compared variant beside the shares that were configured (rules S1-S3).

    `chi_square`, with `degrees_of_freedom`, is of the fixed-sample test, whose p-value is `srm_p_value`;
    `anytime_p_value` is of the test that holds at every refresh. They are null with a `reason` where they could not be
    made. `traffic_in_arm_without_share` and `unknown_variants` are the reasons of a split that is not trustworthy
    whatever these tests say (rule S2). `before_entry` has the same of all who were exposed, where only those are
    analysed who entered (rule M19).
    """

    chi_square: NotRequired[float | None]
    degrees_of_freedom: NotRequired[int | None]
    anytime_p_value: float | None
    identities: dict[str, int]
    expected_shares: dict[str, float]
    reason: str | None
    before_entry: NotRequired["SplitPayload"]


class TreatmentDecisionPayload(TypedDict):
    """The decision on one treatment, the rule that makes it (docs/statistics.md), and why in one sentence."""

    action: Action
    rule: Rule
    why: str


class DecisionPayload(TypedDict):
    """The decision on the experiment, as that on a treatment; `treatment` is the one to ship, null for none."""

    action: Action
    treatment: str | None
    rule: Rule
    why: str
    by_treatment: dict[str, TreatmentDecisionPayload]


class FoundPayload(TypedDict):
    """A health check that did not pass when the payload was published; `GET .../health/` has the present findings."""

    check: str
    code: str
    severity: Literal["warning", "error"]
    title: str


class EnginePayload(TypedDict):
    """The warehouse that has computed results where events lie, and what is not computed there (docs/engines.md)."""

    name: str
    not_computed: list[str]
    rejected: dict[str, int]


class ResultsPayload(TypedDict):
    """Results of one experiment at one refresh.

    `trustworthy` is false on a sample ratio mismatch by the test of `srm`, null where the split could not be tested;
    `srm_p_value` is of the fixed-sample test, for those who look once. `look` has its number among the experiment's
    looks, and what moved since the one before. `sensitivity` has the primary metric as it would be under other
    declarations. `decision` is left out without any metric; `health` has what was found wrong. Everything is of one
    `phase` of the experiment (rule X10); `earlier_phases` is how many came before, each of which has spent its own
    alpha (rule X11). `engine` is left out of what the embedded engine has computed.
    """

    phase: NotRequired[int]
    earlier_phases: NotRequired[int]
    srm_p_value: float | None
    trustworthy: bool | None
    srm: SplitPayload
    metrics: list[MetricPayload]
    sensitivity: NotRequired[SensitivityPayload]
    look: NotRequired[LookPayload]
    decision: NotRequired[DecisionPayload]
    health: NotRequired[list[FoundPayload]]
    engine: NotRequired[EnginePayload]


def exposures_payload(summary: ExposuresSummary, phase: int = 1) -> ExposuresPayload:
    """Return the exposures payload of a phase; bucket starts are ISO-8601 with `Z`."""
    series = summary.timeseries
    payload: ExposuresPayload = {
        "phase": phase,
        "excluded_identities": summary.excluded_identities,
        "timeseries": {"granularity": series.granularity, "points": [_point(point) for point in series.points]},
    }
    if summary.unlisted_variants:
        payload["unlisted_variants"] = summary.unlisted_variants
    return payload


def results_payload(
    results: ExperimentResults,
    movement: Movement | None = None,
    decision: Decision | None = None,
    health: Sequence[FoundPayload] | None = None,
    engine: EnginePayload | None = None,
) -> ResultsPayload:
    """Return the results payload: nothing missing, null where something is withheld.

    Args:
        results: of one refresh.
        movement: what moved since the look before; None where it is not going to be a look.
        decision: what to do; None where nothing is decided.
        health: the checks that did not pass; None where none was made.
        engine: the warehouse that computed them; None for the embedded engine.
    """
    split = results.split
    payload: ResultsPayload = {
        "phase": results.phase,
        "earlier_phases": results.phase - 1,
        "srm_p_value": split.p_value,
        "trustworthy": split.trustworthy,
        "srm": _split(split),
        "metrics": [metric_payload(metric, split) for metric in results.metrics],
    }
    if results.sensitivity is not None:
        payload["sensitivity"] = sensitivity_payload(results.metrics[0].attached.metric.id, results.sensitivity)
    if movement is not None:
        payload["look"] = look_payload(movement)
    if decision is not None:
        payload["decision"] = _decision(decision)
    if health is not None:
        payload["health"] = list(health)
    if engine is not None:
        payload["engine"] = engine
    return payload


def error_titles(health: Iterable[FoundPayload]) -> list[str]:
    """Return the titles of the errors: a decision names them (rule 3 of docs/statistics.md)."""
    return [found["title"] for found in health if found["severity"] == "error"]


def _decision(decision: Decision) -> DecisionPayload:
    return {
        "action": decision.action,
        "treatment": decision.treatment,
        "rule": decision.rule,
        "why": decision.why,
        "by_treatment": {
            key: {"action": each.action, "rule": each.rule, "why": each.why}
            for key, each in decision.by_treatment.items()
        },
    }


def _split(split: Split) -> SplitPayload:
    payload: SplitPayload = {
        "chi_square": split.chi_square,
        "degrees_of_freedom": split.degrees_of_freedom,
        "anytime_p_value": split.anytime_p_value,
        "identities": split.identities,
        "expected_shares": split.shares,
        "reason": split.reason,
    }
    if split.before_entry is not None:
        payload["before_entry"] = _split(split.before_entry)
    return payload


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


def _point(point: ExposuresPoint) -> PointPayload:
    payload: PointPayload = {"bucket": iso_utc(point.bucket), "new_identities": point.new_identities}
    if point.unlisted_identities:
        payload["unlisted_identities"] = point.unlisted_identities
    return payload


def _row(comparison: Comparison) -> dict[str, object]:
    reading = comparison.reading
    return {
        "treatment": comparison.treatment,
        **effect_columns(effect_payload(reading), lift_payload(reading)),
        "chance_to_win": None if isinstance(reading, NotComputable) else reading.chance_to_win,
        "expected_loss": comparison.expected_loss,
        "reason": comparison.reason,
    }
