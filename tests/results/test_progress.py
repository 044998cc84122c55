"""Progress against the design: the fraction of the planned evidence, who is needed, and how long that takes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates, PairAggregate, VariantAggregate
from experiment_pipeline.domain.experiments import Design, Experiment, Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection, Mean, Metric
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.decision import Rule, decide_experiment
from experiment_pipeline.results.payload import results_payload
from experiment_pipeline.stats.power import sample_size
from tests.results.subjects import CONTROL, EVEN, PURCHASE, experiment, rate

START = datetime(2026, 3, 1, tzinfo=UTC)
AFTER_TEN_DAYS = START + timedelta(days=10)
DESIGN = Design(mde=0.1, baseline=0.1)
PLANNED = sample_size(standard_deviation=0.3, effect=0.01).control  # 14,128 an arm
NO_DAYS = {"days_left_at_current_traffic": None}


def progress(
    design: Design = DESIGN,
    variants: tuple[Variant, ...] = EVEN,
    *,
    n: int = PLANNED // 4,
    converted: float = 0.1,
    as_of: datetime | None = AFTER_TEN_DAYS,
    **changes: Any,
) -> dict[str, Any]:
    """Return the progress of every treatment when each arm has n identities, this share of them converted."""
    subject = replace(experiment(variants, design=design, started_at=START), **changes)
    moments = {variant.key or "": rate(n, round(n * converted)) for variant in variants}
    found = MetricAggregates(7, dict(moments))
    computed = compute_results(subject, dict.fromkeys(moments, n), [found], Floors(), as_of=as_of)
    shown: Any = results_payload(computed)["metrics"][0]
    return dict(shown["progress"])


def test_progress__a_quarter_of_the_planned_sample__needs_the_rest_in_three_times_the_time() -> None:
    shown = progress()["b"]
    assert shown["information_fraction"] == pytest.approx(0.25, rel=1e-3)
    assert shown["identities_needed"] == pytest.approx(2 * PLANNED, rel=1e-3)
    assert shown["days_left_at_current_traffic"] == pytest.approx(30, rel=2e-3)
    assert "reason" not in shown


def test_progress__the_planned_sample__is_the_planned_end() -> None:
    shown = progress(n=PLANNED + 10)["b"]
    assert shown["information_fraction"] == pytest.approx(1, rel=2e-3)
    assert shown["days_left_at_current_traffic"] == 0


def test_progress__power_of_the_design__plans_the_sample__c6() -> None:
    needed = sample_size(standard_deviation=0.3, effect=0.01, power=0.9).control
    assert progress(replace(DESIGN, power=0.9))["b"]["identities_needed"] == pytest.approx(2 * needed, rel=1e-3)


def test_progress__of_an_effect_that_no_sample_finds__says_so() -> None:
    shown = progress(Design(mde=1e-8, baseline=0.1))["b"]
    assert (shown["identities_needed"], shown["reason"]) == (None, "effect_too_small")


def test_progress__two_treatments__share_alpha() -> None:
    variants = (CONTROL, *(Variant(key, VariantRole.TREATMENT, 33) for key in ("b", "c")))
    needed = sample_size(standard_deviation=0.3, effect=0.01, alpha=0.025).control
    shown = progress(variants=variants)
    assert [shown[key]["identities_needed"] for key in ("b", "c")] == pytest.approx([2 * needed] * 2, rel=1e-3)


@pytest.mark.parametrize("design", [Design(), Design(mde=0.1), Design(mde=0.1, baseline=0.1, alpha=0.2, power=0.1)])
def test_progress__incomplete_design__is_unknown(design: Design) -> None:
    nothing = {"information_fraction": None, "identities_needed": None, **NO_DAYS}
    assert progress(design) == {"b": {**nothing, "reason": "design_incomplete"}}


def test_progress__comparison_that_is_withheld__has_its_reason() -> None:
    assert progress(n=40)["b"]["reason"] == "below_minimum_identities"
    assert progress(n=40)["b"]["information_fraction"] is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"as_of": None}, "no_traffic_yet"), ({"ended_at": AFTER_TEN_DAYS}, "experiment_ended")],
)
def test_progress__traffic_that_cannot_be_continued__leaves_the_days_unknown(
    changes: dict[str, Any], reason: str
) -> None:
    shown = progress(**changes)["b"]
    assert shown["identities_needed"] == pytest.approx(2 * PLANNED, rel=1e-3)
    assert (shown["days_left_at_current_traffic"], shown["reason"]) == (None, reason)


def measured(metric: Metric, arm: VariantAggregate, **found: Any) -> dict[str, Any]:
    subject: Experiment = experiment(metric=metric, design=Design(mde=0.1, baseline=4.0), started_at=START)
    aggregates = MetricAggregates(7, {"control": arm, "b": arm}, **found)
    identities = dict.fromkeys(("control", "b"), arm.n)
    payload = results_payload(
        compute_results(subject, identities, [aggregates], Floors(nonzero=0), as_of=AFTER_TEN_DAYS)
    )
    shown: Any = payload["metrics"][0]["progress"]["b"]
    return dict(shown)


@pytest.mark.parametrize("saturating", [Aggregation.DAYS, Aggregation.WEEKS, Aggregation.DISTINCT])
def test_progress__clock_that_no_design_knows__is_unknown__c7(saturating: Aggregation) -> None:
    metric = Metric(7, "prod", "metric", Mean(Measure(Events("open"), saturating)))
    assert measured(metric, VariantAggregate(500, 4.0, 2_000.0))["reason"] == "evidence_not_planned"


def test_progress__mean_of_zero__needs_nobody_knows_how_many() -> None:
    count = Metric(7, "prod", "count", Mean(Measure(Events("open"), Aggregation.COUNT)))
    shown = measured(count, VariantAggregate(500, 0.0, 0.0))
    assert (shown["information_fraction"], shown["identities_needed"]) == (0, None)
    assert shown["reason"] == "no_evidence_yet"


def test_progress__adjusted_reading__is_that_of_the_reading_that_decides__c8() -> None:
    """The pre-period explains 90 % of the variance: a tenth of the identities is needed."""
    joint = PairAggregate(500, mean_x=2.0, mean_y=4.0, m2_x=1_000.0, m2_y=1_000.0, c_xy=900.0)
    explained = 0.9**2
    covered = Mean(Measure(Events("open"), Aggregation.COUNT), covariate_before=timedelta(days=14))
    plain = Mean(Measure(Events("open"), Aggregation.COUNT))
    arm = VariantAggregate(500, 4.0, 1_000.0)
    adjusted = measured(Metric(7, "prod", "m", covered), arm, joint={"control": joint, "b": joint})
    unadjusted = measured(Metric(7, "prod", "m", plain), arm)
    ratio = unadjusted["identities_needed"] / adjusted["identities_needed"]
    assert ratio == pytest.approx(1 / (1 - explained), rel=0.02)


def test_progress__secondary_metrics__have_none() -> None:
    second = replace(PURCHASE, id=8, name="second")
    attached = (
        AttachedMetric(PURCHASE, ExpectedDirection.INCREASE),
        AttachedMetric(second, ExpectedDirection.INCREASE),
    )
    payload = results_payload(compute_results(replace(experiment(), metrics=attached), {}, [], Floors()))
    assert ["progress" in metric for metric in payload["metrics"]] == [True, False]


@pytest.mark.parametrize("mde", [0.1, None])
def test_progress__guardrail_with_a_margin__is_planned_by_the_margin__c9(mde: float | None) -> None:
    """The design's mde is a lift that nobody looks for there: with it 900 identities an arm were 37 planned ends."""
    planned = sample_size(standard_deviation=100, effect=0.02 * 800).control
    metric = Metric(7, "prod", "price", Mean(Measure(Events("order"), Aggregation.SUM)))
    subject = experiment(EVEN, metric, ExpectedDirection.NOT_DECREASE, started_at=START)
    attached = (replace(subject.metrics[0], margin=0.02),)
    subject = replace(subject, metrics=attached, design=Design(mde=mde, baseline=800.0, standard_deviation=100.0))
    arm = VariantAggregate(planned, 800.0, 100.0**2 * (planned - 1))
    aggregates = MetricAggregates(7, {"control": arm, "b": arm})
    computed = compute_results(
        subject, dict.fromkeys(("control", "b"), planned), [aggregates], Floors(nonzero=0), as_of=AFTER_TEN_DAYS
    )
    shown: Any = results_payload(computed)["metrics"][0]
    at_margin = (1 + 0.98**2) / 2
    assert shown["progress"]["b"]["information_fraction"] == pytest.approx(1 / at_margin, rel=0.01)
    decision = decide_experiment(subject, computed)
    assert decision is not None
    assert decision.rule in (Rule.EVIDENCE_ACCRUES, Rule.PRIMARY_WINNING)
