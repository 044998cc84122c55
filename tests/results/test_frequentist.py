"""The fixed-sample test of every comparison: which test, its numbers by scipy, and its family."""

from dataclasses import replace

import pytest
from scipy import stats

from experiment_pipeline.domain.aggregates import (
    MetricAggregates,
    PairAggregate,
    QuantileEstimate,
    VariantAggregate,
)
from experiment_pipeline.domain.experiments import Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection, Metric, Quantile, Ratio
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import results_payload
from tests.golden.files import cases
from tests.metrics import version_1
from tests.results.subjects import CONTROL, experiment, metric_payload, rate, results

SPENT = version_1(7, "prod", "spent", "purchase", Aggregation.SUM)
COUNT = Measure(Events("visit"), Aggregation.COUNT)


def test_frequentist__mean__is_welch_s_test() -> None:
    control, treatment = VariantAggregate(400, 10.0, 399 * 9.0), VariantAggregate(250, 10.4, 249 * 16.0)
    found = metric_payload(results(experiment(metric=SPENT), {"control": control, "b": treatment}))["frequentist"]["b"]
    expected = stats.ttest_ind_from_stats(10.4, 4.0, 250, 10.0, 3.0, 400, equal_var=False)
    a, b = 9 / 400, 16 / 250
    degrees = (a + b) ** 2 / (a**2 / 399 + b**2 / 249)  # Satterthwaite's
    half = stats.t.ppf(0.975, degrees) * (a + b) ** 0.5
    assert (found["test"], found["statistic"]) == ("welch_t", pytest.approx(expected.statistic, rel=1e-12))
    assert found["p_value"] == found["adjusted_p_value"] == pytest.approx(expected.pvalue, rel=1e-10)
    assert found["degrees_of_freedom"] == pytest.approx(degrees, rel=1e-12)
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((0.4 - half, 0.4 + half), rel=1e-10)


def test_frequentist__share_of_identities__is_the_test_of_two_proportions_of_statsmodels() -> None:
    case = cases("two_proportions")[0]
    (converted_c, n_c), (converted_t, n_t) = case["control"], case["treatment"]
    shown = metric_payload(results(experiment(), {"control": rate(n_c, converted_c), "b": rate(n_t, converted_t)}))
    test = shown["frequentist"]["b"]
    assert test["test"] == "two_proportion_z"
    for member in ("statistic", "p_value", "ci_low", "ci_high"):
        assert test[member] == pytest.approx(case[member], rel=1e-9)
    assert "degrees_of_freedom" not in test


def test_frequentist__ratio_and_quantile__are_wald_s_test_of_their_own_error() -> None:
    orders = PairAggregate(1_000, mean_x=2.0, mean_y=60.0, m2_x=2_000.0, m2_y=2e6, c_xy=60_000.0)
    larger = replace(orders, mean_y=60.6)
    moments = {
        key: VariantAggregate(1_000, each.mean_y, each.m2_y) for key, each in (("control", orders), ("b", larger))
    }
    ratio = MetricAggregates(
        7, dict(moments), joint={"control": orders, "b": larger}, nonzero_x=dict.fromkeys(moments, 1_000)
    )
    pages = {"control": QuantileEstimate(1_000, 2.0, 1.9, 2.1), "b": QuantileEstimate(1_000, 2.1, 2.0, 2.2)}
    quantile = MetricAggregates(7, {}, quantiles=dict(pages))
    for statistic, aggregates in ((Ratio(COUNT, COUNT), ratio), (Quantile(0.5, COUNT), quantile)):
        subject = experiment(metric=Metric(7, "prod", "m", statistic))
        shown = metric_payload(compute_results(subject, {"control": 1_000, "b": 1_000}, [aggregates], Floors()))
        test, effect = shown["frequentist"]["b"], shown["effect"]["b"]
        z = effect["value"] / shown["standard_error"]["b"]
        assert (test["test"], test["statistic"]) == ("wald_z", pytest.approx(z, rel=1e-12))
        assert test["p_value"] == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-10)
        assert (test["ci_low"], test["ci_high"]) == (effect["ci_low"], effect["ci_high"])


def test_frequentist__three_treatments__are_adjusted_by_holm_the_one_without_data_counted() -> None:
    treatments = [Variant(key, VariantRole.TREATMENT, 25) for key in ("b", "c", "d")]
    moments = {"control": rate(1_000, 100), "b": rate(1_000, 130), "c": rate(1_000, 140), "d": rate(10, 1)}
    shown = metric_payload(results(experiment((CONTROL, *treatments)), moments))["frequentist"]
    assert shown["d"] is None
    assert shown["c"]["adjusted_p_value"] == pytest.approx(3 * shown["c"]["p_value"])
    assert shown["b"]["adjusted_p_value"] == pytest.approx(2 * shown["b"]["p_value"])


def test_frequentist__secondary_metrics__are_one_family_and_the_primary_one_another() -> None:
    conversions = {7: 130, 8: 128, 9: 101}
    attached = tuple(
        AttachedMetric(version_1(id_, "prod", str(id_), "e", Aggregation.OCCURRENCE), ExpectedDirection.INCREASE)
        for id_ in conversions
    )
    aggregates = [
        MetricAggregates(id_, {"control": rate(1_000, 100), "b": rate(1_000, count)})
        for id_, count in conversions.items()
    ]
    subject = replace(experiment(), metrics=attached)
    payload = results_payload(compute_results(subject, {"control": 1_000, "b": 1_000}, aggregates, Floors()))
    primary, second, third = (metric["frequentist"]["b"] for metric in payload["metrics"])
    assert primary is not None
    assert second is not None
    assert third is not None
    assert primary["adjusted_p_value"] == primary["p_value"]
    adjusted = stats.false_discovery_control([second["p_value"], third["p_value"]])
    assert (second["adjusted_p_value"], third["adjusted_p_value"]) == pytest.approx(tuple(adjusted))


def test_frequentist__arms_that_are_constant__has_no_test() -> None:
    constant = VariantAggregate(1_000, 3.0, 0.0)
    shown = metric_payload(results(experiment(metric=SPENT), {"control": constant, "b": constant}))
    assert (shown["frequentist"], shown["standard_error"]) == ({"b": None}, {"b": 0.0})


def test_frequentist__where_no_verdict_may_rest_on_it__has_no_test__e5() -> None:
    moments = {"control": VariantAggregate(400, 10.0, 3_591.0), "b": VariantAggregate(400, 11.0, 3_591.0)}
    aggregates = MetricAggregates(7, dict(moments), dict.fromkeys(moments, 400), dict.fromkeys(moments, 40))
    computed = compute_results(experiment(metric=SPENT), dict.fromkeys(moments, 400), [aggregates], Floors())
    shown = metric_payload(computed)
    assert (shown["reason"], shown["frequentist"]) == ({"b": "unreadable_values"}, {"b": None})
    assert shown["effect"]["b"] is not None
