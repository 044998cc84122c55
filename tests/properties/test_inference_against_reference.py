"""Statistics of version 2 against the plain-Python reference: identities' values in, the payload out (M9, M11, C12)."""

import math
from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.aggregates import MetricAggregates, PairAggregate, QuantileEstimate, VariantAggregate
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import Mean, Metric, Quantile, Ratio, Statistic
from experiment_pipeline.results.compute import compute_results
from tests.reference import estimates, quantiles
from tests.reference.inference import chance_to_win, lift_interval
from tests.results.subjects import experiment, metric_payload

COUNT = Measure(Events("e"), Aggregation.COUNT)
NO_FLOORS = Floors(identities=2, conversions=0, nonzero=0, beyond_quantile=0)
NUMBERS = st.integers(-20, 60).map(lambda number: Fraction(number, 4))
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=40)
VALUES = st.lists(st.sampled_from([Fraction(value) for value in (0, 1, 2, 4, 7, 9, 15)]), min_size=12, max_size=60)
Estimates = tuple[estimates.Estimate, estimates.Estimate]


def measured(statistic: Statistic, n: Mapping[str, int], found: MetricAggregates) -> dict[str, Any]:
    subject = experiment(metric=Metric(7, "prod", "m", statistic))
    return metric_payload(compute_results(subject, dict(n), [found], NO_FLOORS))


def of_pairs(control: estimates.Pairs, treatment: estimates.Pairs, statistic: Statistic) -> dict[str, Any]:
    joint = {
        key: PairAggregate.of([(float(x), float(y)) for x, y in arm])
        for key, arm in (("control", control), ("b", treatment))
    }
    moments = {key: VariantAggregate(each.n, each.mean_y, each.m2_y) for key, each in joint.items()}
    n = {key: each.n for key, each in joint.items()}
    return measured(statistic, n, MetricAggregates(7, dict(moments), joint=dict(joint)))


def assert_agrees(reading: Mapping[str, Any], expected: Estimates) -> None:
    """Effect, its error, lift and chance to win of a comparison are those of the reference's estimates."""
    control, treatment = expected
    error = estimates.standard_error(control, treatment)
    assert reading["effect"]["value"] == pytest.approx(float(treatment.mean - control.mean), rel=1e-9, abs=1e-12)
    assert reading["standard_error"] == pytest.approx(error, rel=1e-9, abs=1e-9)
    if error < 1e-6:
        return  # what rounding leaves of no variance decides between all and nothing
    chance = chance_to_win(control, treatment, lower_is_better=False)
    assert reading["effect"]["chance_to_win"] == pytest.approx(chance, abs=1e-9)
    interval, lift = lift_interval(control, treatment), reading["inference"]
    if interval is not None and lift is not None and math.hypot(*interval) < 1e3:
        assert (lift["ci_low"], lift["ci_high"]) == pytest.approx(interval, rel=1e-6, abs=1e-9)
    else:
        assert interval is None or lift is None or math.hypot(*interval) >= 1e3


def plain(metric: dict[str, Any]) -> dict[str, Any]:
    return {member: metric[member]["b"] for member in ("effect", "inference", "standard_error")}


@given(PAIRS, PAIRS)
def test_ratio__any_identities__is_the_reference_s__m9(control: estimates.Pairs, treatment: estimates.Pairs) -> None:
    metric = of_pairs(control, treatment, Ratio(COUNT, COUNT))
    expected = estimates.of_ratio(control), estimates.of_ratio(treatment)
    if expected[0] is None or expected[1] is None:
        assert metric["reason"] == {"b": "denominator_not_positive"}
    else:
        assert metric["variants"]["control"]["value"] == pytest.approx(float(expected[0].mean), rel=1e-12)
        assert_agrees(plain(metric), (expected[0], expected[1]))


@given(PAIRS, PAIRS)
def test_adjusted__any_identities__is_the_reference_s__m11(
    control: estimates.Pairs, treatment: estimates.Pairs
) -> None:
    metric = of_pairs(control, treatment, Mean(COUNT, covariate_before=timedelta(7)))
    means = [estimates.of_mean([y for _, y in arm]) for arm in (control, treatment)]
    assert_agrees(plain(metric), (means[0], means[1]))
    expected, adjusted = estimates.adjusted(control, treatment), metric["adjusted"]["b"]
    if expected is None:
        assert (adjusted["reason"], metric["decided_by"]) == ("pre_period_without_variance", {"b": "plain"})
    else:
        assert_agrees(adjusted, (expected.control, expected.treatment))
        assert adjusted["variance_reduction"] == pytest.approx(float(expected.variance_reduction), abs=1e-9)
        assert metric["decided_by"] == {"b": "adjusted"}


@given(VALUES, VALUES, st.sampled_from([0.5, 0.75]))
def test_quantile__any_identities__is_the_reference_s__c12(
    control: list[Fraction], treatment: list[Fraction], q: float
) -> None:
    found = {
        key: quantiles.of_identities(arm, quantiles.share(q)) for key, arm in (("control", control), ("b", treatment))
    }
    engine = {
        key: None
        if each is None
        else QuantileEstimate(
            each.n, float(each.value), *(None if end is None else float(end) for end in (each.low, each.high))
        )
        for key, each in found.items()
    }
    n = {"control": len(control), "b": len(treatment)}
    metric = measured(Quantile(q, COUNT), n, MetricAggregates(7, {}, quantiles=engine))
    expected = estimates.of_quantile(found["control"]), estimates.of_quantile(found["b"])
    if expected[0] is None or expected[1] is None:
        assert metric["reason"] == {"b": "too_few_values"}
    else:
        assert_agrees(plain(metric), (expected[0], expected[1]))
