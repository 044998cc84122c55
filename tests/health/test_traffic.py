"""The check of a sudden drop of traffic, just below and just above its threshold, and how long it is told."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from experiment_pipeline.domain.exposures import FirstExposureCounts
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs, LakeCounts
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.health.traffic import CHECK
from experiment_pipeline.results.compute import compute_results
from tests.results.subjects import experiment

STARTED_AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = [300, 250, 200, 220, 240, 260, 280]


def found(
    days: Sequence[int], *, ended: bool = False, thresholds: Thresholds | None = None, hours: float = 15
) -> Finding:
    """Judge new identities per day, the first of them on the day of the start, and 5 so far on the present day."""
    as_of = datetime(2026, 3, 1, tzinfo=UTC) + len(days) * DAY + timedelta(hours=hours)
    subject = replace(experiment(started_at=STARTED_AT), ended_at=as_of if ended else None)
    by_day = {(STARTED_AT + number * DAY).date(): new for number, new in enumerate([*days, 5]) if new}
    return CHECK.judge(
        HealthInputs(
            subject,
            (),
            compute_results(subject, {}, (), Floors()),
            lake=LakeCounts(first_exposures=FirstExposureCounts(by_day)),
            thresholds=thresholds or Thresholds(),
            as_of=as_of,
        )
    )


@pytest.mark.parametrize(
    ("days", "code"),
    [
        ([400, *WEEK, 100], "traffic_steady"),  # just half of the weakest day
        ([400, *WEEK, 99], "traffic_dropped"),
        ([400, *WEEK, 0], "traffic_dropped"),
        ([400, *WEEK, 99, 50, 40, 0, 1, 2, 3], "traffic_dropped"),  # told for a week
        ([400, *WEEK, 99, 50, 40, 0, 1, 2, 3, 4], "traffic_steady"),
        ([400, *WEEK, 99, 200], "traffic_steady"),  # it came back
        ([400, *WEEK[:6], 100, 49], "traffic_dropped"),
        ([400, *WEEK[:6], 99, 49], "traffic_steady"),  # too few for half of them to say anything
        ([400, *WEEK], "traffic_not_judged"),
        ([40, *WEEK[:6], 0], "traffic_not_judged"),  # the first day is not whole
        ([], "traffic_not_judged"),
    ],
)
def test_traffic__by_its_days__is_found_to_be(days: list[int], code: str) -> None:
    finding = found(days)
    severity = Severity.WARNING if code == "traffic_dropped" else Severity.OK
    assert (finding.code, finding.severity) == (code, severity)
    json.dumps(finding.evidence, allow_nan=False)


def test_traffic__of_a_drop__names_the_day_the_numbers_and_what_to_do() -> None:
    finding = found([400, *WEEK, 99, 50])
    assert finding.evidence == {"since": "2026-03-09", "new_identities": 99, "weakest_of_week_before": 200}
    assert "Since 2026-03-09 no day had more than 99 new identities" in finding.detail
    assert "See whether the flag is still served" in finding.detail


def test_traffic__with_another_threshold_or_after_the_end__is_judged_by_it() -> None:
    assert found([400, *WEEK, 99], thresholds=Thresholds(traffic_drop=0.4)).code == "traffic_steady"
    assert found([400, *WEEK, 0], ended=True).code == "traffic_not_judged"
