"""The lift under a declared prior: beside the one without, of the primary metric alone, and in no verdict."""

from dataclasses import replace
from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates, VariantAggregate
from experiment_pipeline.domain.experiments import Prior
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.metrics import AttachedMetric, Direction, ExpectedDirection
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import results_payload
from tests.results.subjects import PURCHASE, experiment, metric_payload, rate, results

ARMS = {"control": rate(10_000, 1_000), "b": rate(10_000, 1_100)}
SURE = Prior(mean=0.5, standard_deviation=0.001)


def measured(prior: Prior | None, direction: Direction = Direction.UP, **arms: VariantAggregate) -> dict[str, Any]:
    subject = replace(experiment(metric=replace(PURCHASE, direction=direction)), prior=prior)
    return metric_payload(results(subject, ARMS | arms))


def test_posterior__prior_as_wide_as_the_error__is_half_way_between_both() -> None:
    # relative error by the delta method: sqrt(var_t / n_t + (1 + lift)^2 var_c / n_c) / mean_c
    error = ((0.11 * 0.89 + 1.1**2 * 0.1 * 0.9) / 9_999) ** 0.5 / 0.1
    found = measured(Prior(mean=0.02, standard_deviation=error))["posterior"]["b"]
    assert found["lift"] == pytest.approx(0.06, rel=1e-9)
    assert found["standard_deviation"] == pytest.approx(error / 2**0.5, rel=1e-9)
    half = 1.959963984540054 * error / 2**0.5
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((0.06 - half, 0.06 + half), rel=1e-9)


def test_posterior__lower_is_better__wins_below_zero() -> None:
    assert measured(SURE)["posterior"]["b"]["chance_to_win"] > 0.99
    assert measured(SURE, Direction.DOWN)["posterior"]["b"]["chance_to_win"] < 0.01


def test_posterior__of_a_prior_that_is_sure__changes_nothing_else() -> None:
    """A prior that knows the answer wins where the data say nothing, and no verdict rests on it."""
    same = rate(10_000, 1_000)
    shown, without = measured(SURE, b=same), measured(None, b=same)
    assert shown.pop("posterior")["b"]["chance_to_win"] > 0.99
    assert "posterior" not in without
    assert shown == without
    assert shown["verdict"] == {"b": "inconclusive"}


def test_posterior__where_the_lift_is_withheld__is_null() -> None:
    assert measured(SURE, b=rate(40, 10))["posterior"] == {"b": None}


def test_posterior__secondary_metrics__have_none() -> None:
    attached = tuple(AttachedMetric(replace(PURCHASE, id=number), ExpectedDirection.INCREASE) for number in (7, 8))
    subject = replace(experiment(), metrics=attached, prior=SURE)
    aggregates = [MetricAggregates(number, dict(ARMS)) for number in (7, 8)]
    computed = compute_results(subject, dict.fromkeys(ARMS, 10_000), aggregates, Floors())
    assert ["posterior" in metric for metric in results_payload(computed)["metrics"]] == [True, False]
