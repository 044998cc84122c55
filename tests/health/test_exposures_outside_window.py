"""Exposures before the start and after the end (rule X1)."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from experiment_pipeline.domain.exposures import SeenExposures
from experiment_pipeline.health.exposures_outside_window import CHECK
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import LakeCounts
from tests.health.test_split import CHECKOUT, inputs

STARTED_AT, ENDED_AT = datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 9, 9, tzinfo=UTC)
BEFORE = SeenExposures(340, 300, datetime(2026, 3, 1, 8, 30, tzinfo=UTC))
AFTER = SeenExposures(12, 11, datetime(2026, 3, 9, 10, 15, tzinfo=UTC))


def found(lake: LakeCounts) -> Finding:
    ended = replace(CHECKOUT, started_at=STARTED_AT, ended_at=ENDED_AT)
    return CHECK.judge(replace(inputs({"control": 50, "b": 50}), experiment=ended, lake=lake))


def test_exposures__in_the_window__pass() -> None:
    assert found(LakeCounts()).passed


def test_exposures__before_the_start__are_counted_with_the_first_time_and_what_to_do() -> None:
    finding = found(LakeCounts(before_start=BEFORE))
    assert (finding.code, finding.severity) == ("exposures_outside_window", Severity.WARNING)
    assert finding.detail.startswith(
        "340 exposures of 300 identities, the first 2026-03-01 08:30 UTC, before the start, 2026-03-02 09:00 UTC:"
    )
    assert "Move started_at" in finding.detail
    assert json.loads(json.dumps(finding.evidence)) == {
        "before_start": {"exposures": 340, "identities": 300, "first_at": "2026-03-01T08:30:00Z"},
        "after_end": {"exposures": 0, "identities": 0, "first_at": None},
    }


def test_exposures__after_the_end__are_counted_with_the_first_time() -> None:
    detail = found(LakeCounts(after_end=AFTER)).detail
    assert detail.startswith(
        "12 exposures of 11 identities, the first 2026-03-09 10:15 UTC, after the end, 2026-03-09 09:00 UTC:"
    )
