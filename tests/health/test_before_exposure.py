"""The check of events shortly before the exposure, just below and just above its threshold (rule M2)."""

import json

import pytest

from experiment_pipeline.domain.event_timing import EventTiming, NearExposure
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.health.before_exposure import CHECK
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs, LakeCounts
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.results.compute import compute_results
from tests.results.subjects import experiment


def found(thresholds: Thresholds | None = None, **events: tuple[int, int]) -> Finding:
    subject, near = experiment(), {name: NearExposure(*counts) for name, counts in events.items()}
    lake = LakeCounts(timing=EventTiming(near_exposure=near))
    results = compute_results(subject, {}, (), Floors())
    return CHECK.judge(HealthInputs(subject, (), results, lake=lake, thresholds=thresholds or Thresholds()))


@pytest.mark.parametrize(
    ("events", "before", "warns"),
    [(1_000, 100, False), (1_000, 101, True), (99, 99, False), (100, 11, True), (0, 0, False)],
)
def test_before_exposure__by_its_share__is_found_to_be(events: int, before: int, warns: bool) -> None:
    finding = found(purchase=(events, before))
    assert finding.code == ("events_before_exposure" if warns else "events_after_exposure")
    assert finding.severity is (Severity.WARNING if warns else Severity.OK)
    json.dumps(finding.evidence, allow_nan=False)


def test_before_exposure__of_several_events__names_those_with_numbers_and_what_to_do() -> None:
    finding = found(purchase=(1_000, 400), view=(1_000, 4), sign_in=(200, 180))
    assert "400 of 1,000 events 'purchase'; 180 of 200 events 'sign_in' came in the hour before" in finding.detail
    assert "Send the exposure when the variant is decided on" in finding.detail
    assert found(Thresholds(before_exposure=0.5), purchase=(1_000, 400)).passed
