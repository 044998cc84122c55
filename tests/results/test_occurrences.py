"""What a publication is to be told for: by comparison with the payload before, each thing once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection
from experiment_pipeline.domain.notifications import FAILING_AFTER, NotificationEvent
from experiment_pipeline.domain.refresh import Computation, ComputationState, Publication, RefreshRun
from experiment_pipeline.results.occurrences import of_failures, of_publication, of_silence
from tests.results.subjects import EVEN, PURCHASE, experiment

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
RUNNING = {"action": "keep_running", "treatment": None, "rule": "9_evidence_accrues", "why": "Nothing yet."}
SHIP = {"action": "ship", "treatment": "b", "rule": "7_primary_winning", "why": "It is better."}
SRM = {"identities": {"a": 9, "b": 1}, "expected_shares": {"a": 0.5, "b": 0.5}, "anytime_p_value": 1e-9, "reason": None}
ERRORS = AttachedMetric(replace(PURCHASE, id=8, name="errors"), ExpectedDirection.NOT_INCREASE)
SUBJECT: Experiment = experiment(EVEN)
GUARDED = replace(SUBJECT, metrics=(*SUBJECT.metrics, ERRORS))


def told(
    before: dict[str, Any] | None, after: dict[str, Any], *, final: bool = False, **changes: Any
) -> dict[NotificationEvent, Any]:
    """The facts of what is told, by event, but for the moment that each has."""
    run = RefreshRun("run", SUBJECT.id, NOW, 1)
    publication = Publication(
        run, **{"computation": Computation.RESULTS, "payload": after, "code_version": "1", "computed_at": NOW,
                "grace": timedelta(0), **changes},
    )  # fmt: skip
    found = of_publication(GUARDED, before, publication, now_final=final)
    assert {each.facts["as_of"] for each in found} <= {"2026-03-02T12:00:00Z"}
    return {each.event: {name: fact for name, fact in each.facts.items() if name != "as_of"} for each in found}


def test_decision__is_told_when_it_is_another_than_before() -> None:
    facts = {**SHIP, "previous": None}
    assert told(None, {"decision": SHIP}) == {NotificationEvent.DECISION_REACHED: facts}
    assert told({"decision": SHIP}, {"decision": SHIP}) == {}
    assert told({"decision": SHIP}, {"decision": {**SHIP, "why": "It is better by far."}}) == {}
    previous = {"action": "keep_running", "treatment": None}
    assert told({"decision": RUNNING}, {"decision": SHIP}) == {
        NotificationEvent.DECISION_REACHED: {**SHIP, "previous": previous}
    }


def test_decision__that_is_withdrawn__is_told_and_one_that_was_never_made_is_not() -> None:
    previous = {"action": "ship", "treatment": "b"}
    assert told({"decision": SHIP}, {"decision": RUNNING}) == {
        NotificationEvent.DECISION_REACHED: {**RUNNING, "previous": previous}
    }
    assert told(None, {"decision": RUNNING}) == told({}, {}) == {}


def test_split__is_told_when_it_breaks() -> None:
    broken = {"trustworthy": False, "srm": SRM}
    assert told({"trustworthy": True}, broken) == told(None, broken) == {NotificationEvent.SPLIT_BROKEN: SRM}
    assert told(broken, broken) == told(None, {"trustworthy": None, "srm": SRM}) == {}


def test_guardrail__is_told_when_a_treatment_newly_harms_it_and_other_metrics_never() -> None:
    def payload(guardrail: str, primary: str = "harmed") -> dict[str, Any]:
        return {
            "metrics": [
                {"metric_id": 7, "verdict": {"b": primary}},
                {"metric_id": 8, "verdict": {"b": guardrail, "c": "harmed"}},
            ]
        }

    (facts,) = told(payload("ok"), payload("harmed")).values()
    assert facts == {"harmed": [{"metric_id": 8, "metric": "errors", "treatment": "b"}]}
    assert told(payload("harmed"), payload("harmed")) == {}


def test_final__and_late_events__are_told_of_results_alone() -> None:
    found = told(None, {"trustworthy": True}, final=True)
    assert found == {NotificationEvent.EXPERIMENT_FINAL: {"trustworthy": True, "decision": None}}
    late = {"code": "events_land_late", "detail": "9 of 10."}
    found = told(None, {}, findings=[late, {"code": "events_stale", "detail": ""}])
    assert found == {NotificationEvent.DATA_LATE: {"reason": "events_land_late", "detail": "9 of 10."}}
    assert told(None, {"decision": SHIP}, final=True, computation=Computation.EXPOSURES) == {}


def test_failures__in_a_row__are_told_once_until_a_refresh_works() -> None:
    def after(failures: int, computed_at: datetime | None = None) -> list[Any]:
        exposures, results = (
            ComputationState(each, None, None, computed_at, None, False, NOW, failures, None, None)
            for each in Computation
        )
        return of_failures([replace(exposures, failures=0), results])

    assert after(FAILING_AFTER - 1) == []
    (first,), (second,) = after(FAILING_AFTER), after(FAILING_AFTER + 1)
    assert (first.event, first.occasion) == (NotificationEvent.REFRESH_FAILING, "never")
    assert first.occasion == second.occasion
    assert first.facts["failures"] == FAILING_AFTER
    (again,) = after(FAILING_AFTER, NOW)
    assert again.occasion != first.occasion


def test_silence__is_one_occasion_until_something_arrives() -> None:
    senders, more = {"senders": NOW}, {"senders": NOW, "the source orders": NOW - timedelta(days=1)}
    assert of_silence(senders) == of_silence(senders)
    assert len({of_silence(each).occasion for each in (senders, more, {"senders": NOW + timedelta(days=3)})}) == 3
