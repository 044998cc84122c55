"""The split check: what it passes, what it fails, and what it shows (rules S1-S3)."""

import json
from collections.abc import Mapping

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus, Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.health.finding import Severity
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.health.split import CHECK
from experiment_pipeline.results.compute import compute_results

CHECKOUT = Experiment(
    id=1,
    environment_key="prod",
    key="checkout",
    partition_key="checkout-1",
    name="Checkout",
    feature="checkout",
    status=ExperimentStatus.RUNNING,
    variants=(Variant("control", VariantRole.CONTROL), Variant("b", VariantRole.TREATMENT, 50)),
    metrics=(),
)


def inputs(identities: Mapping[str, int]) -> HealthInputs:
    aggregates: tuple[MetricAggregates, ...] = ()
    return HealthInputs(CHECKOUT, aggregates, compute_results(CHECKOUT, identities, aggregates, Floors()))


@pytest.mark.parametrize(
    ("identities", "code", "severity"),
    [
        ({"control": 400, "b": 390}, "split_as_configured", Severity.OK),
        ({"control": 400, "b": 150}, "sample_ratio_mismatch", Severity.ERROR),
        ({"control": 9, "b": 1}, "split_not_tested", Severity.OK),
        ({}, "split_not_tested", Severity.OK),
    ],
)
def test_split__by_identities__is_found_to_be(identities: dict[str, int], code: str, severity: Severity) -> None:
    finding = CHECK.judge(inputs(identities))
    assert (finding.code, finding.severity, finding.passed) == (code, severity, severity is Severity.OK)
    assert finding.title
    assert json.loads(json.dumps(finding.evidence, allow_nan=False)) == {
        "identities": {"control": 0, "b": 0, **identities},
        "expected_shares": {"control": 0.5, "b": 0.5},
        "reason": "fewer_than_100_identities" if code == "split_not_tested" else "tested",
    }


def test_split__mismatch__shows_the_counts_and_what_to_do() -> None:
    detail = CHECK.judge(inputs({"control": 4000, "b": 1500})).detail
    assert "control: 4,000, b: 1,500" in detail
    assert "Do not decide on these results" in detail
