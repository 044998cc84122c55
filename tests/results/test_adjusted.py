"""Metrics with a pre-period: both readings are shown, and the adjusted one decides (rules M11, C8)."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates, PairAggregate, VariantAggregate
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import Mean, Metric
from experiment_pipeline.results.compute import compute_results
from tests.results.subjects import experiment, metric_payload

VISITS = Mean(Measure(Events("visit"), Aggregation.COUNT), covariate_before=timedelta(14))
N = 2_000


def arm(seed: int, gain: float, *, habit: float = 1.0) -> PairAggregate:
    """Return identities whose visits after the exposure are those before, some noise, and a gain."""
    rng = np.random.default_rng(seed)
    before = habit * rng.standard_gamma(2.0, N)
    return PairAggregate.of(zip(before.tolist(), (before + rng.normal(5 + gain, 0.3, N)).tolist(), strict=True))


def measured(control: PairAggregate, treatment: PairAggregate, statistic: Mean = VISITS) -> dict[str, Any]:
    joint = {"control": control, "b": treatment}
    moments = {key: VariantAggregate(each.n, each.mean_y, each.m2_y) for key, each in joint.items()}
    found = MetricAggregates(7, dict(moments), joint=dict(joint))
    metric = Metric(7, "prod", "visits", statistic)
    return metric_payload(compute_results(experiment(metric=metric), dict.fromkeys(joint, N), [found], Floors()))


def test_adjusted__beside_the_plain_reading__decides__c8() -> None:
    metric = measured(arm(1, 0.0), arm(2, 0.06))
    plain, adjusted = metric["effect"]["b"], metric["adjusted"]["b"]
    assert metric["decided_by"] == {"b": "adjusted"}
    assert adjusted["variance_reduction"] == pytest.approx(1 - 0.09 / 2.09, abs=0.01)
    assert adjusted["standard_error"] < 0.25 * metric["standard_error"]["b"]
    assert adjusted["effect"]["value"] == pytest.approx(0.06, abs=0.03)
    assert adjusted["inference"]["lift"] == pytest.approx(adjusted["effect"]["value"] / 7, rel=0.02)
    assert plain["ci_low"] < 0, "the plain reading does not find it"
    assert (metric["verdict"], metric["reason"]) == ({"b": "winning"}, {"b": None})
    middle = (metric["anytime"]["b"]["ci_low"] + metric["anytime"]["b"]["ci_high"]) / 2
    assert middle == pytest.approx(adjusted["effect"]["value"])


def test_adjusted__plain_reading_alone_that_differs__does_not_decide__c8() -> None:
    """The arms differ by what they were before; the treatment did nothing."""
    metric = measured(arm(1, 0.0), arm(2, 0.0, habit=1.5))
    assert metric["effect"]["b"]["ci_low"] > 0.5
    assert metric["verdict"] == {"b": "inconclusive"}


def test_adjusted__pre_period_without_variance__falls_back_and_says_so__m11() -> None:
    metric = measured(arm(1, 0.0, habit=0.0), arm(2, 1.0, habit=0.0))
    nothing = dict.fromkeys(("effect", "inference", "standard_error", "variance_reduction"))
    assert metric["adjusted"] == {"b": {**nothing, "reason": "pre_period_without_variance"}}
    assert (metric["decided_by"], metric["verdict"]) == ({"b": "plain"}, {"b": "winning"})


def test_adjusted__below_a_floor__says_so_too() -> None:
    few = PairAggregate.of([(1.0, 2.0), (2.0, 3.0)])
    metric = measured(few, few)
    assert metric["adjusted"]["b"]["reason"] == metric["reason"]["b"] == "below_minimum_identities"


def test_adjusted__metric_without_a_pre_period__has_no_such_reading() -> None:
    metric = measured(arm(1, 0.0), arm(2, 0.1), Mean(VISITS.measure))
    assert not {"adjusted", "decided_by"} & set(metric)
