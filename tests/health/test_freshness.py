"""The check of arrivals, just below and just above its threshold, of senders and of sources."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.health.finding import Severity
from experiment_pipeline.health.freshness import CHECK, judge_freshness
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.results.compute import compute_results
from tests.results.subjects import experiment

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
FRESH = NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("arrivals", "code"),
    [
        ({"senders": NOW - DAY}, "events_arrive"),
        ({"senders": NOW - DAY - SECOND}, "events_stale"),
        ({"senders": FRESH, "the source orders": NOW - 2 * DAY}, "events_stale"),
        ({"senders": FRESH, "the source orders": None}, "events_stale"),
        ({"senders": FRESH, "the source orders": FRESH}, "events_arrive"),
        ({"senders": NOW + DAY}, "events_arrive"),  # by a clock that is ahead
        ({}, "events_arrive"),
    ],
)
def test_freshness__by_newest_arrivals__is_found_to_be(arrivals: dict[str, datetime | None], code: str) -> None:
    finding = judge_freshness(arrivals, NOW, DAY)
    assert (finding.code, finding.severity) == (code, Severity.WARNING if code == "events_stale" else Severity.OK)
    json.dumps(finding.evidence, allow_nan=False)


def test_freshness__stale__names_origin_moment_and_what_to_do() -> None:
    finding = judge_freshness({"senders": NOW - 3 * DAY, "the source orders": None}, NOW, DAY)
    assert "No event for more than P1D: from senders the newest arrived 2026-03-02 12:00 UTC" in finding.detail
    assert "from the source orders none has arrived yet" in finding.detail
    assert "lake status" in finding.detail


@pytest.mark.parametrize(("ended", "code"), [(False, "events_stale"), (True, "arrivals_not_judged")])
def test_freshness__of_a_refresh__is_judged_as_of_its_window_while_it_runs(ended: bool, code: str) -> None:
    subject = replace(experiment(started_at=NOW - 5 * DAY), ended_at=NOW if ended else None)
    results = compute_results(subject, {}, (), Floors())
    assert CHECK.judge(HealthInputs(subject, (), results, as_of=NOW, arrivals={"senders": NOW - 2 * DAY})).code == code
