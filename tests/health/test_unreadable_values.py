"""The check of unreadable values: what it passes, warns of and fails, and what it shows (rule E5)."""

import json

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates, VariantAggregate
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.health.unreadable_values import CHECK
from experiment_pipeline.results.compute import compute_results
from tests.metrics import version_1
from tests.results.subjects import experiment

REVENUE = version_1(7, "prod", "revenue", "purchase", Aggregation.SUM)


def found(values: dict[str, int], invalid: dict[str, int]) -> Finding:
    subject = experiment(metric=REVENUE)
    aggregates = (MetricAggregates(7, {"b": VariantAggregate(120, 2.0, 40.0)}, values, invalid),)
    computed = compute_results(subject, {"control": 120, "b": 120}, aggregates, Floors())
    return CHECK.judge(HealthInputs(subject, aggregates, computed))


@pytest.mark.parametrize(
    ("invalid", "code", "severity"),
    [
        ({}, "values_readable", Severity.OK),
        ({"control": 10, "b": 0}, "some_unreadable_values", Severity.WARNING),
        ({"control": 0, "b": 11}, "unreadable_values", Severity.ERROR),
        ({"other": 1000}, "values_readable", Severity.OK),
    ],
)
def test_values__by_how_many_are_no_numbers__are_found_to_be(
    invalid: dict[str, int], code: str, severity: Severity
) -> None:
    values = {"control": 1000, "b": 1000, "other": 1000}
    finding = found(values, invalid)
    assert (finding.code, finding.severity, finding.passed) == (code, severity, severity is Severity.OK)
    evidence = json.loads(json.dumps(finding.evidence, allow_nan=False))
    shown = {"values": {"control": 1000, "b": 1000}, "invalid_values": {"control": 0, "b": 0} | invalid}
    assert evidence == {"metrics": {} if severity is Severity.OK else {"revenue": shown}}


def test_values__that_are_no_numbers__are_counted_by_metric_and_variant_beside_what_to_do() -> None:
    detail = found({"control": 1200, "b": 1200}, {"control": 1, "b": 1086}).detail
    assert "revenue: 1 of 1,200 values in control are no numbers, 1,086 of 1,200 values in b are no numbers." in detail
    assert "such as 1250.00" in detail
