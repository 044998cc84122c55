"""The check of events that land late, just below and just above its threshold (rules E6, R6)."""

import json

import pytest

from experiment_pipeline.domain.event_timing import EventTiming
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs, LakeCounts
from experiment_pipeline.health.landed_late import CHECK
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.results.compute import compute_results
from tests.results.subjects import experiment


def found(events: int, late: int, thresholds: Thresholds | None = None) -> Finding:
    subject = experiment()
    lake = LakeCounts(timing=EventTiming(events, late))
    results = compute_results(subject, {}, (), Floors())
    return CHECK.judge(HealthInputs(subject, (), results, lake=lake, thresholds=thresholds or Thresholds()))


@pytest.mark.parametrize(
    ("events", "late", "code"),
    [
        (1_000, 10, "events_land_in_time"),  # just 1 %
        (1_000, 11, "events_land_late"),
        (99, 99, "events_land_in_time"),  # too few
        (100, 2, "events_land_late"),
        (0, 0, "events_land_in_time"),
    ],
)
def test_landed_late__by_its_share__is_found_to_be(events: int, late: int, code: str) -> None:
    finding = found(events, late)
    assert (finding.code, finding.severity) == (code, Severity.WARNING if code == "events_land_late" else Severity.OK)
    json.dumps(finding.evidence, allow_nan=False)


def test_landed_late__above_the_threshold__names_numbers_and_what_to_do() -> None:
    finding = found(1_000, 25)
    assert "25 of 1,000 events (2.5 %) landed more than P2D after they happened" in finding.detail
    assert "EXPERIMENT_PIPELINE_FINALITY_GRACE" in finding.detail
    assert found(1_000, 25, Thresholds(late=0.03)).code == "events_land_in_time"
