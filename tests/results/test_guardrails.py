"""Guardrails with a margin: within it, beyond it, or neither is shown (rules M16, C9)."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from experiment_pipeline.domain.aggregates import (
    Group,
    MetricAggregates,
    PairAggregate,
    Part,
    QuantileEstimate,
    VariantAggregate,
)
from experiment_pipeline.domain.experiments import Experiment, Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import Direction, ExpectedDirection, Mean, Metric, Quantile
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import results_payload
from tests.results.subjects import CONTROL, EVEN, PURCHASE, experiment, rate, results
from tests.results.subjects import metric_payload as payload_of

NOT_DECREASE, NOT_INCREASE = ExpectedDirection.NOT_DECREASE, ExpectedDirection.NOT_INCREASE


def guardrail(
    margin: float | None,
    expected: ExpectedDirection = NOT_DECREASE,
    variants: tuple[Variant, ...] = EVEN,
    metric: Metric = PURCHASE,
) -> Experiment:
    subject = experiment(variants, metric, expected)
    return replace(subject, metrics=(replace(subject.metrics[0], margin=margin),))


def judged(subject: Experiment, **moments: VariantAggregate) -> dict[str, Any]:
    return payload_of(results(subject, moments))


@pytest.mark.parametrize(
    ("expected", "conversions", "verdict"),
    [
        (NOT_DECREASE, 10_000, "ok"),
        (NOT_DECREASE, 9_000, "inconclusive"),
        (NOT_DECREASE, 7_500, "harmed"),
        (NOT_INCREASE, 10_000, "ok"),
        (NOT_INCREASE, 11_000, "inconclusive"),
        (NOT_INCREASE, 12_500, "harmed"),
    ],
)
def test_margin__of_ten_per_cent__says_what_is_shown_of_it__c9(
    expected: ExpectedDirection, conversions: int, verdict: str
) -> None:
    metric = judged(guardrail(0.1, expected), control=rate(20_000, 10_000), b=rate(20_000, conversions))
    assert metric["verdict"] == {"b": verdict}
    found = metric["margin"]["b"]
    at_margin = 0.45 if expected is NOT_DECREASE else 0.55
    assert (found["margin"], found["reason"]) == (0.1, None)
    assert found["value"] == pytest.approx(conversions / 20_000 - at_margin)
    is_shown = found["ci_low"] > 0 or found["ci_high"] < 0
    assert is_shown is (verdict != "inconclusive") is (found["adjusted_p_value"] < 0.05)
    assert metric["anytime"]["b"]["ci_low"] < conversions / 20_000 - 0.5 < metric["anytime"]["b"]["ci_high"]


def test_margin__none__is_as_ever() -> None:
    moments = {"control": rate(1_000, 500), "b": rate(1_000, 500)}
    metric = judged(guardrail(None), **moments)
    assert (metric["verdict"], "margin" in metric) == ({"b": "ok"}, False)
    with_margin = judged(guardrail(0.02), **moments)
    assert with_margin["verdict"] == {"b": "inconclusive"}
    assert {name: with_margin[name] for name in metric if name != "verdict"} == {
        name: value for name, value in metric.items() if name != "verdict"
    }


def test_margin__split_that_is_not_trustworthy__withholds_ok_and_not_harmed__s3() -> None:
    ok = judged(guardrail(0.1), control=rate(20_000, 10_000), b=rate(23_000, 11_500))
    harmed = judged(guardrail(0.1), control=rate(20_000, 10_000), b=rate(23_000, 8_500))
    assert (ok["verdict"], harmed["verdict"]) == ({"b": "inconclusive"}, {"b": "harmed"})


def test_margin__control_mean_that_is_not_positive__is_withheld_with_its_reason__c9() -> None:
    profit = Metric(7, "prod", "profit", Mean(Measure(Events("order"), Aggregation.SUM)))
    aggregates = {"control": VariantAggregate(1_000, -1.0, 900.0), "b": VariantAggregate(1_000, -1.0, 900.0)}
    metric = judged(guardrail(0.1, metric=profit), **aggregates)
    assert (metric["verdict"], metric["reason"]) == ({"b": "inconclusive"}, {"b": "control_mean_not_positive"})
    numbers = {name: value for name, value in metric["margin"]["b"].items() if name not in ("margin", "reason")}
    assert metric["margin"]["b"]["reason"] == "control_mean_not_positive"
    assert set(numbers.values()) == {None}


@pytest.mark.parametrize(
    ("control", "treatment", "verdict", "reason"),
    [
        ((2.0, 2.0, 2.0), (2.0, 2.0, 2.0), "inconclusive", "tied_values"),
        ((2.0, 2.0, 2.0), (2.0, 1.9, 2.1), "inconclusive", "tied_values"),
        ((2.0, 1.99, 2.01), (2.0, 1.99, 2.01), "ok", None),
        ((2.0, 2.0, 2.0), (3.0, 3.0, 3.0), "harmed", None),
    ],
)
def test_margin__quantile_at_a_value_that_many_share__is_not_shown_to_be_kept__c12(
    control: tuple[float, float, float], treatment: tuple[float, float, float], verdict: str, reason: str | None
) -> None:
    slow = Metric(7, "prod", "slow", Quantile(0.5, Measure(Events("page"), Aggregation.COUNT)), Direction.DOWN)
    estimates = {"control": QuantileEstimate(5_000, *control), "b": QuantileEstimate(5_000, *treatment)}
    moments: dict[str, VariantAggregate | None] = dict.fromkeys(estimates, VariantAggregate(5_000, 2.0, 5_000.0))
    found = MetricAggregates(7, moments, quantiles={**estimates})
    subject = guardrail(0.1, NOT_INCREASE, metric=slow)
    metric = payload_of(compute_results(subject, dict.fromkeys(estimates, 5_000), [found], Floors()))
    assert (metric["verdict"], metric["margin"]["b"]["reason"]) == ({"b": verdict}, reason)
    assert (metric["margin"]["b"]["adjusted_p_value"] is None) is (reason is not None)


@pytest.mark.parametrize(
    ("expected", "control", "treatment", "verdict", "reason"),
    [
        (ExpectedDirection.DECREASE, (3.0, 3.0, 3.0), (2.0, 2.0, 2.0), "inconclusive", "tied_values"),
        (ExpectedDirection.DECREASE, (2.0, 2.0, 2.0), (3.0, 3.0, 3.0), "inconclusive", "tied_values"),
        (ExpectedDirection.DECREASE, (3.0, 3.0, 3.0), (2.0, 1.99, 2.01), "winning", None),
        (ExpectedDirection.DECREASE, (2.0, 2.0, 2.0), (2.0, 2.0, 2.0), "inconclusive", None),
        (NOT_INCREASE, (2.0, 2.0, 2.0), (3.0, 3.0, 3.0), "harmed", None),
    ],
)
def test_quantiles__on_two_values_that_many_share__are_not_told_apart__c12(
    expected: ExpectedDirection,
    control: tuple[float, float, float],
    treatment: tuple[float, float, float],
    verdict: str,
    reason: str | None,
) -> None:
    slow = Metric(7, "prod", "slow", Quantile(0.5, Measure(Events("page"), Aggregation.COUNT)), Direction.DOWN)
    estimates = {"control": QuantileEstimate(5_000, *control), "b": QuantileEstimate(5_000, *treatment)}
    moments: dict[str, VariantAggregate | None] = dict.fromkeys(estimates, VariantAggregate(5_000, 2.0, 5_000.0))
    found = MetricAggregates(7, moments, quantiles={**estimates})
    subject = experiment(EVEN, slow, expected)
    metric = payload_of(compute_results(subject, dict.fromkeys(estimates, 5_000), [found], Floors()))
    assert (metric["verdict"], metric["reason"]) == ({"b": verdict}, {"b": reason})
    assert (metric["anytime"]["b"] is None) is (reason is not None)


def test_margin__below_a_floor__is_collecting_data() -> None:
    metric = judged(guardrail(0.1), control=rate(40, 20), b=rate(40, 20))
    assert metric["verdict"] == {"b": "collecting_data"}
    assert metric["margin"]["b"]["reason"] == metric["reason"]["b"] == "below_minimum_identities"


def test_margin__values_that_are_not_readable__withholds_harmed_too__e5() -> None:
    spent = Metric(7, "prod", "spent", Mean(Measure(Events("order"), Aggregation.SUM)))
    moments: dict[str, VariantAggregate | None] = {
        "control": VariantAggregate(5_000, 10.0, 5_000.0), "b": VariantAggregate(5_000, 5.0, 5_000.0)
    }  # fmt: skip
    values, unreadable = dict.fromkeys(moments, 5_000), {"control": 0, "b": 500}
    found = MetricAggregates(7, moments, values, unreadable)
    subject = guardrail(0.1, metric=spent)
    metric = payload_of(compute_results(subject, dict.fromkeys(moments, 5_000), [found], Floors()))
    assert metric["verdict"] == {"b": "inconclusive"}
    assert (metric["margin"]["b"]["value"], metric["margin"]["b"]["reason"]) == (None, "unreadable_values")


def test_margin__two_treatments__share_alpha_by_holm() -> None:
    three = (CONTROL, *(Variant(key, VariantRole.TREATMENT, 100 / 3) for key in "bc"))
    metric = judged(
        guardrail(0.1, variants=three), control=rate(20_000, 10_000), b=rate(20_000, 10_000), c=rate(20_000, 9_000)
    )
    assert metric["verdict"] == {"b": "ok", "c": "inconclusive"}
    assert {key: found["level"] for key, found in metric["margin"].items()} == {"b": 0.025, "c": 0.05}
    assert metric["margin"]["b"]["adjusted_p_value"] == pytest.approx(2 * metric["margin"]["b"]["p_value"])


def test_margin__metric_with_a_pre_period__is_judged_on_the_adjusted_arms__c8() -> None:
    visits = Mean(Measure(Events("visit"), Aggregation.COUNT), covariate_before=timedelta(14))
    joint = {key: _adjustable(seed) for seed, key in enumerate(("control", "b"))}
    moments: dict[str, VariantAggregate | None] = {
        key: VariantAggregate(each.n, each.mean_y, each.m2_y) for key, each in joint.items()
    }
    widths, values = [], []
    for found in (MetricAggregates(7, moments, joint=dict(joint)), MetricAggregates(7, moments)):
        subject = guardrail(0.05, metric=Metric(7, "prod", "visits", visits))
        metric = payload_of(compute_results(subject, dict.fromkeys(joint, 2_000), [found], Floors()))
        widths.append(metric["margin"]["b"]["ci_high"] - metric["margin"]["b"]["ci_low"])
        values.append(metric["margin"]["b"]["value"])
    assert widths[0] < 0.4 * widths[1]
    control, treatment = joint.values()
    slope = (0.95 * control.c_xy + treatment.c_xy) / (control.m2_x + treatment.m2_x)
    before = slope * (treatment.mean_x - control.mean_x)
    assert abs(slope - 1) > 0.02, "of the difference from the margin, not of the plain one"
    assert values == [
        pytest.approx(treatment.mean_y - before - 0.95 * control.mean_y, rel=1e-9),
        pytest.approx(treatment.mean_y - 0.95 * control.mean_y, rel=1e-9),
    ]


def _adjustable(seed: int) -> PairAggregate:
    rng = np.random.default_rng(seed)
    before = rng.standard_gamma(2.0, 2_000)
    return PairAggregate.of(zip(before.tolist(), (before + rng.normal(5, 0.3, 2_000)).tolist(), strict=True))


def test_margin__values_of_a_dimension__are_judged_by_it_in_their_own_family__m15() -> None:
    whole = {"control": rate(40_000, 20_000), "b": rate(40_000, 19_000)}
    parts = {
        Group(Part.DIMENSION, "country", "DE"): {"control": rate(20_000, 10_000), "b": rate(20_000, 10_000)},
        Group(Part.DIMENSION, "country", "AT"): {"control": rate(20_000, 10_000), "b": rate(20_000, 9_000)},
    }
    found = MetricAggregates(
        7, dict(whole), groups={key: MetricAggregates(7, dict(part)) for key, part in parts.items()}
    )
    computed = compute_results(guardrail(0.1), dict.fromkeys(whole, 40_000), [found], Floors())
    (metric,) = json.loads(json.dumps(results_payload(computed)))["metrics"]
    by_value = {part["value"]: part for part in metric["breakdown"]["country"]}
    assert {value: part["verdict"]["b"] for value, part in by_value.items()} == {"DE": "ok", "AT": "inconclusive"}
    assert {part["margin"]["b"]["level"] for part in by_value.values()} == {0.025}
