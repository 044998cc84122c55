"""Every statistic is reduced to an aggregate that effect, lift and verdict are computed from (rules M6-M14, C4)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import (
    Bounds,
    MetricAggregates,
    PairAggregate,
    QuantileEstimate,
    ValueSummary,
    VariantAggregate,
)
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Clock, Events, Measure, MeasureWindow, Missing
from experiment_pipeline.domain.metrics import Funnel, Maturity, Mean, Metric, Quantile, Ratio, Retention, Statistic
from experiment_pipeline.results.clocks import clock_of
from experiment_pipeline.results.compute import compute_results
from tests.results.subjects import experiment, metric_payload, rate

PURCHASE = Events("purchase")
SUM, COUNT = Measure(PURCHASE, Aggregation.SUM), Measure(PURCHASE, Aggregation.COUNT)
ORDER_VALUE, SLOW = Ratio(SUM, COUNT), Quantile(0.9, Events("page"))
N = 1_000


def measured(
    statistic: Statistic, found: MetricAggregates, *, maturity: Maturity = Maturity.ALL, unit: str = ""
) -> dict[str, Any]:
    """Return the payload of a metric of a running experiment with these aggregates."""
    metric = Metric(7, "prod", "m", statistic, maturity=maturity, unit=unit)
    identities = dict.fromkeys(("control", "b"), N)
    return metric_payload(compute_results(experiment(metric=metric), identities, [found], Floors()))


def arms(**by_variant: VariantAggregate | None) -> dict[str, VariantAggregate | None]:
    return dict(by_variant)


def of_pairs(joint: Mapping[str, PairAggregate | None]) -> MetricAggregates:
    """Return the aggregates of a ratio, whose numerator is y."""
    moments = {
        key: None if pair is None else VariantAggregate(pair.n, pair.mean_y, pair.m2_y) for key, pair in joint.items()
    }
    nonzero_x = {key: N if pair is None or pair.mean_x else 0 for key, pair in joint.items()}
    return MetricAggregates(7, moments, joint=dict(joint), nonzero_x=nonzero_x, values=dict.fromkeys(joint, N))


ORDERS = PairAggregate(N, mean_x=2.0, mean_y=60.0, m2_x=2_000.0, m2_y=2e6, c_xy=60_000.0)
LARGER = PairAggregate(N, mean_x=2.0, mean_y=66.0, m2_x=2_000.0, m2_y=2.4e6, c_xy=66_000.0)


def test_ratio__of_two_arms__is_compared_by_the_delta_method__m9() -> None:
    metric = measured(ORDER_VALUE, of_pairs({"control": ORDERS, "b": LARGER}), unit="EUR")
    assert (metric["type"], metric["unit"]) == ("ratio", "EUR")
    assert [metric["variants"][key]["value"] for key in ("control", "b")] == [30.0, 33.0]
    assert metric["variants"]["control"]["sum"] == 60_000.0, "of the numerator"
    assert metric["effect"]["b"]["value"] == pytest.approx(3.0)
    # (m2_y - 2 R c_xy + R^2 m2_x) / mean_x^2 / (n - 1) / n in each arm
    squares = (2e6 - 2 * 30 * 6e4 + 30**2 * 2e3) / 4, (2.4e6 - 2 * 33 * 6.6e4 + 33**2 * 2e3) / 4
    assert metric["standard_error"]["b"] == pytest.approx((sum(squares) / 999 / N) ** 0.5, rel=1e-12)
    assert metric["inference"]["b"]["lift"] == pytest.approx(0.1)
    assert metric["verdict"] == {"b": "winning"}


@pytest.mark.parametrize(
    ("joint", "reason"),
    [
        (PairAggregate(N, -2.0, 60.0, 2e3, 2e6, 0.0), "denominator_not_positive"),
        (PairAggregate(N, 0.0, 60.0, 0.0, 2e6, 0.0), "below_minimum_nonzero"),
        (PairAggregate(N, 2.0, 0.0, 2e3, 0.0, 0.0), "below_minimum_nonzero"),
        (PairAggregate(49, 2.0, 60.0, 2e3, 2e6, 0.0), "below_minimum_identities"),
        (None, "out_of_range"),
    ],
)
def test_ratio__that_cannot_be_given__says_why(joint: PairAggregate | None, reason: str) -> None:
    metric = measured(ORDER_VALUE, of_pairs({"control": ORDERS, "b": joint}))
    assert (metric["reason"], metric["verdict"]) == ({"b": reason}, {"b": "collecting_data"})
    assert metric["effect"] == {"b": None}


def quantiles(control: QuantileEstimate | None, treatment: QuantileEstimate | None) -> MetricAggregates:
    found = {"control": control, "b": treatment}
    return MetricAggregates(7, arms(control=VariantAggregate(N, 9.0, 9.0), b=None), quantiles=found)


def test_quantile__of_two_arms__is_compared_by_the_widths_of_their_intervals__c12() -> None:
    found = quantiles(QuantileEstimate(N, 2.0, 1.9, 2.1), QuantileEstimate(N, 3.0, 2.9, 3.15))
    metric = measured(SLOW, found)
    assert (metric["type"], metric["quantile"]["b"]) == ("quantile", {"low": 2.9, "high": 3.15})
    assert metric["variants"]["b"] == {"n": N, "sum": None, "sum_squares": None, "value": 3.0}
    assert metric["effect"]["b"]["value"] == pytest.approx(1.0)
    squared = ((0.2 / 2) ** 2 + (0.25 / 2) ** 2) / 1.959963984540054**2
    assert metric["standard_error"]["b"] == pytest.approx(squared**0.5, rel=1e-12)
    assert metric["verdict"] == {"b": "winning"}


@pytest.mark.parametrize("treatment", [None, QuantileEstimate(N, 3.0, None, 4.0), QuantileEstimate(N, 3.0, 2.0, None)])
def test_quantile__whose_interval_reaches_beyond_all_values__is_withheld(treatment: QuantileEstimate | None) -> None:
    metric = measured(SLOW, quantiles(QuantileEstimate(N, 2.0, 1.9, 2.1), treatment))
    expected = "below_minimum_identities" if treatment is None else "too_few_values"
    assert (metric["reason"], metric["verdict"]) == ({"b": expected}, {"b": "collecting_data"})


@pytest.mark.parametrize(("n", "reason"), [(111, "too_few_values"), (112, None)])
def test_quantile__floor__is_ten_values_beyond_it__c4(n: int, reason: str | None) -> None:
    arm = QuantileEstimate(n, 2.0, 1.9, 2.1)
    assert measured(SLOW, quantiles(arm, arm))["reason"] == {"b": reason}


@pytest.mark.parametrize(
    ("statistic", "name"),
    [
        (Retention(Measure(Events("open", window=MeasureWindow()), Aggregation.OCCURRENCE)), "retention"),
        (Funnel((Events("cart"), Events("buy"))), "funnel"),
    ],
)
def test_share_of_identities__has_the_floor_of_conversions__c4(statistic: Statistic, name: str) -> None:
    metric = measured(statistic, MetricAggregates(7, arms(control=rate(N, 100), b=rate(N, 200))))
    assert (metric["type"], metric["verdict"]) == (name, {"b": "winning"})
    assert metric["variants"]["b"]["value"] == pytest.approx(0.2)
    few = measured(statistic, MetricAggregates(7, arms(control=rate(N, 100), b=rate(N, 4))))
    assert few["reason"] == {"b": "below_minimum_conversions"}


@pytest.mark.parametrize("missing", list(Missing))
@pytest.mark.parametrize("aggregation", [each for each in Aggregation if each.may_lack_value])
def test_mean__of_values_that_one_arm_lacks_more_often__has_no_verdict__m6(
    aggregation: Aggregation, missing: Missing
) -> None:
    with_value = {"control": 900, "b": 600}
    found = MetricAggregates(
        7,
        {key: VariantAggregate(n, 10.0, 100.0) for key, n in with_value.items()},
        of_identities={key: ValueSummary(n, n, 12.0, 10.0 * n) for key, n in with_value.items()},
        values=with_value,
        identities=dict.fromkeys(with_value, N),
    )
    metric = measured(Mean(Measure(PURCHASE, aggregation, missing)), found)
    assert (metric["verdict"], metric["reason"]) == ({"b": "inconclusive"}, {"b": "missing_values_differ"})
    assert metric["variants"]["b"]["n"] == metric["with_value"]["b"] == 600
    assert metric["identities"] == {"control": N, "b": N}


def test_mean__of_identities_that_all_have_a_value__keeps_its_verdict__m6() -> None:
    found = MetricAggregates(
        7,
        arms(control=VariantAggregate(900, 10.0, 1e4), b=VariantAggregate(910, 12.0, 1e4)),
        values={"control": 900, "b": 910},
        identities={"control": N, "b": N},
    )
    metric = measured(Mean(Measure(PURCHASE, Aggregation.MAX)), found)
    assert (metric["verdict"], metric["reason"]) == ({"b": "winning"}, {"b": None})


def test_bounds__of_both_measures_of_a_ratio__are_shown_by_variant__m10() -> None:
    found = of_pairs({"control": ORDERS, "b": LARGER})
    of_sum, of_count = Bounds(99.5, None, {"control": 3}, {}), Bounds(None, 1.0, {}, {"b": 4})
    metric = measured(ORDER_VALUE, replace(found, bounds=of_sum, joint_bounds=of_count))
    capped = {"cap": 99.5, "floor": None, "capped": {"control": 3, "b": 0}, "floored": {"control": 0, "b": 0}}
    assert metric["capped"] == capped
    assert metric["capped_denominator"]["floored"] == {"control": 0, "b": 4}


def test_bounds__of_a_pre_period__are_shown_apart_and_a_cap_of_zero_withholds_nothing__m11() -> None:
    found = of_pairs({"control": ORDERS, "b": LARGER})
    bounds = Bounds(0.0, None, {"control": 7}, {})
    metric = measured(Mean(Measure(PURCHASE, Aggregation.SUM), timedelta(days=7)), replace(found, joint_bounds=bounds))
    assert metric["capped_pre_period"]["capped"] == {"control": 7, "b": 0}
    assert "capped_denominator" not in metric
    assert metric["reason"] == {"b": None}


@pytest.mark.parametrize("cap", [0.0, -0.0])
def test_cap__that_is_zero__withholds_the_metric__m10(cap: float) -> None:
    found = arms(control=VariantAggregate(N, 0.0, 0.0), b=VariantAggregate(N, 0.0, 0.0))
    metric = measured(Mean(SUM), MetricAggregates(7, found, bounds=Bounds(cap, None, {"b": 9}, {})))
    assert (metric["reason"], metric["verdict"]) == ({"b": "cap_is_zero"}, {"b": "collecting_data"})
    assert metric["capped"]["capped"] == {"control": 0, "b": 9}
    assert metric["variants"]["b"]["value"] is None


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (-5.0, Bounds(-5.0, None, {"control": N, "b": N}, {})),
        (10.0, Bounds(None, 10.0, {}, {"control": N, "b": N})),
        (5.0, Bounds(5.0, 8.0, {"control": 3}, {"b": 990})),
    ],
)
def test_bounds__that_leave_one_value__withhold_the_metric__m10(value: float, bounds: Bounds) -> None:
    found = arms(control=VariantAggregate(N, value, 0.0), b=VariantAggregate(N, value, 1e-27))
    metric = measured(Mean(SUM), MetricAggregates(7, found, values=dict.fromkeys(found, N), bounds=bounds))
    assert (metric["reason"], metric["verdict"]) == ({"b": "bounds_leave_one_value"}, {"b": "collecting_data"})
    assert metric["variants"]["b"]["value"] is None


def test_bounds__a_quantile_that_lies_at_the_cap__is_withheld__m10() -> None:
    at_cap = QuantileEstimate(N, 5.0, 5.0, 5.0)
    of_cap = replace(quantiles(at_cap, at_cap), bounds=Bounds(5.0, None, {"control": 200, "b": 190}, {}))
    assert measured(Quantile(0.9, SUM), of_cap)["reason"] == {"b": "bounds_leave_one_value"}


def test_bounds__that_touch_nobody__leave_equal_values_as_they_are__m10() -> None:
    found = arms(control=VariantAggregate(N, 1.0, 0.0), b=VariantAggregate(N, 1.0, 0.0))
    metric = measured(Mean(COUNT), MetricAggregates(7, found, bounds=Bounds(500.0, None, {"b": 0}, {})))
    assert (metric["reason"], metric["effect"]["b"]["value"]) == ({"b": None}, 0)


def test_identities_that_are_not_mature__are_counted_where_they_are_left_out__m8() -> None:
    found = MetricAggregates(7, arms(control=rate(N, 100), b=rate(N, 200)), not_mature={"control": 17})
    statistic = Retention(Measure(Events("open"), Aggregation.OCCURRENCE))
    assert measured(statistic, found, maturity=Maturity.COMPLETE)["identities_not_mature"] == {"control": 17, "b": 0}
    assert "identities_not_mature" not in measured(statistic, found)


@pytest.mark.parametrize(
    ("statistic", "clock", "when_complete"),
    [
        (Mean(SUM), Clock.EVENTS, Clock.EVENTS),
        (Mean(Measure(PURCHASE, Aggregation.DAYS)), Clock.SATURATING, Clock.SATURATING),
        (Mean(Measure(PURCHASE, Aggregation.WEEKS)), Clock.SATURATING, Clock.SATURATING),
        (Mean(Measure(PURCHASE, Aggregation.DISTINCT)), Clock.SATURATING, Clock.SATURATING),
        (Mean(Measure(PURCHASE, Aggregation.OCCURRENCE)), Clock.ODDS, Clock.ODDS),
        (Funnel((PURCHASE, PURCHASE)), Clock.ODDS, Clock.ODDS),
        (Mean(Measure(PURCHASE, Aggregation.FIRST)), Clock.IDENTITIES, Clock.IDENTITIES),
        (Mean(Measure(PURCHASE, Aggregation.MIN)), Clock.EXTREMES, Clock.IDENTITIES),
        (Mean(Measure(PURCHASE, Aggregation.LAST)), Clock.REPLACED, Clock.IDENTITIES),
        (ORDER_VALUE, Clock.INFORMATION, Clock.INFORMATION),
        (Ratio(Measure(PURCHASE, Aggregation.LAST), COUNT), Clock.REPLACED, Clock.INFORMATION),
        (SLOW, Clock.INFORMATION, Clock.INFORMATION),
        (Quantile(0.5, Measure(PURCHASE, Aggregation.MAX)), Clock.EXTREMES, Clock.INFORMATION),
    ],
)
def test_clock__of_a_statistic__is_how_its_values_change__c1(
    statistic: Statistic, clock: Clock, when_complete: Clock
) -> None:
    assert clock_of(Metric(1, "prod", "m", statistic)) is clock
    assert clock_of(Metric(1, "prod", "m", statistic, maturity=Maturity.COMPLETE)) is when_complete
