"""The check of rejected records, just below and just above its threshold, and on the demo's data (rule E3)."""

import json

import pytest

from experiment_pipeline.demo.landing import generate
from experiment_pipeline.domain.delivered_records import DeliveredRecords
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs, LakeCounts
from experiment_pipeline.health.rejected_rate import CHECK
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.results.compute import compute_results
from tests.results.subjects import experiment


def found(delivered: DeliveredRecords, thresholds: Thresholds | None = None) -> Finding:
    subject = experiment()
    results = compute_results(subject, {}, (), Floors())
    lake = LakeCounts(delivered=delivered)
    return CHECK.judge(HealthInputs(subject, (), results, lake=lake, thresholds=thresholds or Thresholds()))


def of(records: int, rejected: int, uncounted: int = 0) -> DeliveredRecords:
    return DeliveredRecords(2, uncounted, records - rejected - 1, 1, {"not_json": rejected} if rejected else {})


@pytest.mark.parametrize(
    ("delivered", "code"),
    [
        (of(1_000, 50), "few_rejected"),  # just 5 %
        (of(1_000, 51), "many_rejected"),
        (of(99, 90), "few_rejected"),  # too few
        (of(100, 6), "many_rejected"),
        (of(1_000, 0), "few_rejected"),
        (DeliveredRecords(), "rejected_not_judged"),
        (DeliveredRecords(uncounted=3), "rejected_not_judged"),
    ],
)
def test_rejected__by_their_share__are_found_to_be(delivered: DeliveredRecords, code: str) -> None:
    finding = found(delivered)
    assert (finding.code, finding.severity) == (code, Severity.WARNING if code == "many_rejected" else Severity.OK)
    json.dumps(finding.evidence, allow_nan=False)


def test_rejected__above_the_threshold__names_numbers_the_most_frequent_reason_and_what_to_do() -> None:
    delivered = DeliveredRecords(2, 0, 900, 0, {"bad_timestamp": 40, "not_json": 60})
    finding = found(delivered)
    assert "100 of 1,000 records of the environment (10 %)" in finding.detail
    assert "most often for not_json (60)" in finding.detail
    assert "lake rejected --retry" in finding.detail
    assert (finding.evidence["most_frequent_reason"], finding.evidence["of_this_reason"]) == ("not_json", 60)
    assert found(delivered, Thresholds(rejected=0.1)).code == "few_rejected"


@pytest.mark.parametrize("delivered", [of(1_000, 60, 3), of(1_000, 0, 3), DeliveredRecords(uncounted=3)])
def test_rejected__beside_batches_without_counts__says_that_these_are_left_out(delivered: DeliveredRecords) -> None:
    finding = found(delivered)
    assert "3 batches of a release that did not count by environment are left out" in finding.detail
    assert finding.evidence["uncounted_batches"] == 3


@pytest.mark.slow
def test_rejected__of_the_demo__are_few() -> None:
    generated = generate().generated
    accepted = generated.delivered - generated.redelivered - sum(generated.bad.values())
    finding = found(DeliveredRecords(1, 0, accepted, generated.redelivered, generated.bad))
    assert (finding.code, finding.evidence["rejected"]) == ("few_rejected", sum(generated.bad.values()))
    assert finding.evidence["rejected"] > 0
