"""Events that arrive after the results are final (rule R6)."""

import json
from datetime import UTC, datetime

from experiment_pipeline.domain.late_events import LateEvents
from experiment_pipeline.health.finding import Severity
from experiment_pipeline.health.late_events import CHECK, judge_late_events, late_events_of
from tests.health.test_split import inputs

LATE = LateEvents(1_200, 34, datetime(2026, 3, 9, 10, 15, tzinfo=UTC))


def test_late_events__while_results_are_computed__are_none() -> None:
    finding = CHECK.judge(inputs({"control": 50, "b": 50}))
    assert (finding.code, finding.passed) == ("no_late_events", True)
    assert finding.evidence == {"exposures": 0, "metric_events": 0, "last_landed_at": None, "removed": 0}


def test_late_events__after_results_were_final__are_counted_with_what_to_do() -> None:
    finding = judge_late_events(LATE)
    assert (finding.code, finding.severity) == ("late_events", Severity.WARNING)
    assert finding.detail.startswith(
        "Dated in the window, 1,200 exposures of the flag and 34 events of its metrics, of"
    )
    assert "final, the last 2026-03-09 10:15 UTC: they do not count." in finding.detail
    assert "EXPERIMENT_PIPELINE_FINALITY_GRACE" in finding.detail


def test_late_events__removed_ones__are_told_alone_and_beside_late_ones__e6() -> None:
    alone = judge_late_events(LateEvents(removed=1_400))
    assert (alone.severity, alone.title) == (Severity.WARNING, "Removed events")
    assert alone.detail.startswith("1,400 exposures and events that the results count have been removed since")
    both = judge_late_events(LATE + LateEvents(removed=1))
    assert both.detail.startswith("Dated in the window, 1,200 exposures")
    assert both.detail.endswith("1 exposures and events that the results count have been removed since they were "
                                "final: the results stay as they are.")  # fmt: skip


def test_late_events__of_a_stored_finding__are_those_that_it_was_judged_by() -> None:
    stored = json.loads(json.dumps(judge_late_events(LATE).evidence))
    assert late_events_of(stored) == LATE
    assert late_events_of(judge_late_events(LateEvents(removed=7)).evidence) == LateEvents(removed=7)
    del stored["removed"]  # as an earlier release has stored it
    assert late_events_of(stored) == LATE
    assert late_events_of(judge_late_events(LateEvents()).evidence) == LateEvents()
