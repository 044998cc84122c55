"""The check of the beginning of the data, just below and just above its thresholds (rule X8)."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from experiment_pipeline.domain.exposures import FirstExposureCounts
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs, LakeCounts
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.health.window_start import CHECK
from experiment_pipeline.results.compute import compute_results
from tests.results.subjects import experiment

STARTED_AT = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def found(gap: timedelta | None, identities: int, thresholds: Thresholds | None = None) -> Finding:
    """Judge identities of ten days that begin so long after the start."""
    first_at = None if gap is None else STARTED_AT + gap
    counts = FirstExposureCounts({date(2026, 3, 9): identities} if identities else {}, 0, first_at)
    subject = experiment(started_at=STARTED_AT)
    return CHECK.judge(
        HealthInputs(
            subject,
            (),
            compute_results(subject, {}, (), Floors()),
            lake=LakeCounts(first_exposures=counts),
            thresholds=thresholds or Thresholds(),
            as_of=(first_at or STARTED_AT) + 10 * DAY,
        )
    )


@pytest.mark.parametrize(
    ("gap", "identities", "code"),
    [
        (DAY, 10_000, "window_covered"),  # just a day
        (DAY + HOUR, 10_000, "window_not_covered"),
        (2 * DAY, 99, "window_covered"),  # 19.8 should have come
        (2 * DAY, 100, "window_not_covered"),
        (timedelta(0), 10_000, "window_covered"),
        (None, 0, "window_start_unknown"),
    ],
)
def test_window_start__by_gap_and_pace__is_found_to_be(gap: timedelta | None, identities: int, code: str) -> None:
    finding = found(gap, identities)
    severity = Severity.WARNING if code == "window_not_covered" else Severity.OK
    assert (finding.code, finding.severity) == (code, severity)
    json.dumps(finding.evidence, allow_nan=False)


def test_window_start__not_covered__names_both_moments_and_what_to_do__x8() -> None:
    finding = found(5 * DAY, 10_000)
    assert "first exposure is of 2026-03-06 00:00 UTC, the start of 2026-03-01 00:00 UTC" in finding.detail
    assert "5,000 identities" in finding.detail
    assert "move started_at" in finding.detail
    assert finding.evidence["gap_seconds"] == 5 * 86400
    assert found(5 * DAY, 10_000, Thresholds(uncovered_start=5 * DAY)).code == "window_covered"
