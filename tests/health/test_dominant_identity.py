"""The check of a dominant identity: what it passes, what it warns of, and what it shows."""

import json

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates, ValueSummary, VariantAggregate
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.health.dominant_identity import CHECK
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.results.compute import compute_results
from tests.metrics import version_1
from tests.results.subjects import experiment

USUAL = ValueSummary(nonzero=200, with_value=1000, largest=5.0, total=500.0)


def found(treatment: ValueSummary, arm: VariantAggregate | None = None) -> Finding:
    subject = experiment(metric=version_1(7, "prod", "revenue", "purchase", Aggregation.SUM))
    moments = {"control": VariantAggregate(1000, 0.5, 900.0), "b": arm}
    aggregates = (MetricAggregates(7, moments, of_identities={"control": USUAL, "b": treatment}),)
    computed = compute_results(subject, {"control": 1000, "b": 1000}, aggregates, Floors())
    return CHECK.judge(HealthInputs(subject, aggregates, computed))


@pytest.mark.parametrize(
    ("nonzero", "largest", "total", "warns"),
    [
        (200, 50.0, 500.0, False),  # just a tenth
        (200, 50.1, 500.0, True),
        (99, 400.0, 500.0, False),
        (100, 400.0, 500.0, True),
        (200, 1e6, 1e6 + 199, True),  # one value of 1e6 among units
        (200, 1e200, 1e200, True),  # its square is no float, and there are no moments
        (200, 5.0, -500.0, False),
        (200, None, None, False),
    ],
)
def test_largest__by_its_part_of_the_sum__is_found_to_be(
    nonzero: int, largest: float | None, total: float | None, warns: bool
) -> None:
    finding = found(ValueSummary(nonzero, 1000, largest, total))
    assert finding.code == ("dominant_identity" if warns else "no_dominant_identity")
    assert finding.severity is (Severity.WARNING if warns else Severity.OK)
    evidence = json.loads(json.dumps(finding.evidence, allow_nan=False))
    assert list(evidence["metrics"]) == (["revenue"] if warns else [])


def test_largest__with_most_of_the_sum__is_told_by_metric_arm_share_and_value() -> None:
    finding = found(ValueSummary(200, 1000, 1e6, 1_000_199.0))
    assert "revenue: one identity holds 100.0 % of the sum in b (1e+06)." in finding.detail
    (shown,) = finding.evidence["metrics"]["revenue"].values()
    assert shown == {"largest": 1e6, "share": pytest.approx(1e6 / 1_000_199)}
