"""The check of duplicates, just below and just above its threshold, and on the demo's data (rule E4)."""

import json

import pytest

from experiment_pipeline.demo.landing import generate
from experiment_pipeline.domain.delivered_records import DeliveredRecords
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.health.duplicate_rate import CHECK
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs, LakeCounts
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.results.compute import compute_results
from tests.results.subjects import experiment


def found(delivered: DeliveredRecords, thresholds: Thresholds | None = None) -> Finding:
    subject = experiment()
    results = compute_results(subject, {}, (), Floors())
    lake = LakeCounts(delivered=delivered)
    return CHECK.judge(HealthInputs(subject, (), results, lake=lake, thresholds=thresholds or Thresholds()))


def of(events: int, duplicates: int, uncounted: int = 0) -> DeliveredRecords:
    return DeliveredRecords(2, uncounted, events - duplicates, duplicates, {"not_json": 500})


@pytest.mark.parametrize(
    ("delivered", "code"),
    [
        (of(1_000, 200), "few_duplicates"),  # just 20 %
        (of(1_000, 201), "many_duplicates"),
        (of(99, 90), "few_duplicates"),  # too few
        (of(100, 21), "many_duplicates"),
        (of(0, 0), "few_duplicates"),
        (DeliveredRecords(), "duplicates_not_judged"),
        (DeliveredRecords(uncounted=3), "duplicates_not_judged"),
    ],
)
def test_duplicates__by_their_share__are_found_to_be(delivered: DeliveredRecords, code: str) -> None:
    finding = found(delivered)
    assert (finding.code, finding.severity) == (code, Severity.WARNING if code == "many_duplicates" else Severity.OK)
    json.dumps(finding.evidence, allow_nan=False)


def test_duplicates__above_the_threshold__names_numbers_and_what_to_do() -> None:
    finding = found(of(1_000, 250))
    assert "250 of 1,000 events of the environment (25 %)" in finding.detail
    assert "event_id" in finding.detail
    assert found(of(1_000, 250), Thresholds(duplicates=0.25)).code == "few_duplicates"


@pytest.mark.parametrize("delivered", [of(1_000, 250, 3), of(1_000, 0, 3), DeliveredRecords(uncounted=3)])
def test_duplicates__beside_batches_without_counts__says_that_these_are_left_out(delivered: DeliveredRecords) -> None:
    finding = found(delivered)
    assert "3 batches of a release that did not count by environment are left out" in finding.detail
    assert finding.evidence["uncounted_batches"] == 3


@pytest.mark.slow
def test_duplicates__of_the_demo__are_few() -> None:
    generated = generate().generated
    accepted = generated.delivered - generated.redelivered - sum(generated.bad.values())
    finding = found(DeliveredRecords(1, 0, accepted, generated.redelivered, generated.bad))
    assert (finding.code, finding.evidence["duplicates"]) == ("few_duplicates", generated.redelivered)
    assert generated.redelivered > 0
