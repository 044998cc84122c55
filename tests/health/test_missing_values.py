"""The check of missing values: as frequent in every variant or not, by an anytime-valid test (rules M3, M6)."""

import json

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates, ValueSummary, VariantAggregate
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.health.missing_values import CHECK
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.stats.missing_values import missing_values_differ
from tests.metrics import version_1
from tests.results.subjects import experiment

N, WITH_VALUE = 10_000, 5_000


def found(with_value: int, aggregation: Aggregation = Aggregation.MEAN) -> Finding:
    subject = experiment(metric=version_1(7, "prod", "load_time", "page", aggregation))
    arms = {"control": VariantAggregate(N, 0.5, 900.0), "b": VariantAggregate(N, 0.5, 900.0)}
    summaries = {
        "control": ValueSummary(WITH_VALUE, WITH_VALUE, 5.0, 5000.0),
        "b": ValueSummary(with_value, with_value, 5.0, 5000.0),
    }
    aggregates = (MetricAggregates(7, dict(arms), of_identities=summaries),)
    results = compute_results(subject, {"control": N, "b": N}, aggregates, Floors())
    return CHECK.judge(HealthInputs(subject, aggregates, results))


def test_missing_values__just_below_and_above_the_test__are_found_to_be__m6() -> None:
    fewest = next(
        each for each in range(WITH_VALUE, N) if missing_values_differ((N, WITH_VALUE), (N, each))
    )  # a difference that the test tells
    below, above = found(fewest - 1), found(fewest)
    assert (below.code, below.severity) == ("values_missing_alike", Severity.OK)
    assert (above.code, above.severity) == ("missing_values_differ", Severity.WARNING)
    assert 100 < fewest - WITH_VALUE < 400


@pytest.mark.parametrize("aggregation", [Aggregation.SUM, Aggregation.COUNT, Aggregation.OCCURRENCE])
def test_missing_values__of_metrics_without_any__are_not_judged(aggregation: Aggregation) -> None:
    assert found(9_000, aggregation).code == "values_missing_alike"


def test_missing_values__in_one_arm__are_told_by_metric_with_what_to_do() -> None:
    finding = found(6_000)
    told = "load_time: 5,000 of 10,000 identities have a value in control, 6,000 of 10,000 identities have a value in b"
    assert told in finding.detail
    assert "Measure what everybody has" in finding.detail
    assert json.loads(json.dumps(finding.evidence, allow_nan=False))["metrics"] == {
        "load_time": {
            "control": {"identities": N, "with_value": 5_000},
            "b": {"identities": N, "with_value": 6_000},
        }
    }
