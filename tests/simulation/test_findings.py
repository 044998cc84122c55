"""The page of a simulation: what is counted of what was published, and when a bound is missed."""

from datetime import date
from pathlib import Path

import pytest

from tests.simulation import __main__ as command
from tests.simulation.findings import Ever, collected, page
from tests.simulation.pipeline import Published
from tests.simulation.traffic import Simulated, experiments

ON = date(2026, 11, 30)
WON, LOST = ("ship", "7_primary_winning"), ("rollback", "4_primary_losing")
HARMED, WAITED = ("rollback", "1_guardrail_harmed"), ("keep_running", "9_evidence_accrues")


def payload(verdict: str, decision: tuple[str, str]) -> dict[str, object]:
    action, rule = decision
    return {"metrics": [{"verdict": {"b": verdict}}], "decision": {"action": action, "rule": rule}}


def ever(simulated: Simulated, verdict: str, decision: tuple[str, str]) -> Ever:
    return Ever(simulated, {"inconclusive", verdict}, {WAITED, decision})


def test_collected__payloads_of_several_days__say_what_was_ever_published() -> None:
    first, second = experiments(1, 1)
    found = collected(
        [
            Published(first, 1, payload("winning", WON)),
            Published(second, 1, payload("inconclusive", WAITED)),
            Published(first, 2, payload("inconclusive", WAITED)),
            Published(second, 2, payload("inconclusive", HARMED)),
        ]
    )
    assert [(each.is_called, each.is_decided, each.is_shipped, each.harms) for each in found] == [
        (True, True, True, False),
        (False, False, False, True),
    ]


@pytest.mark.parametrize(("false", "right", "missed"), [(19, 70, 0), (20, 70, 2), (19, 69, 1)])
def test_page__at_full_size__holds_what_was_found_against_its_bounds(false: int, right: int, missed: int) -> None:
    subjects = experiments(200, 100)
    found = [
        ever(each, "losing", LOST) if each.number < false or 200 <= each.number < 200 + right else Ever(each)
        for each in subjects
    ]
    text, count = page(found, {1: 0.01, 2: 0.02}, on=ON)
    assert count == missed == text.count("**missed**")
    assert f"| 200 without a difference | ever `winning` or `losing` | {false} | " in text
    assert "| false `rollback` | 1.0% | 2.0% |\n" in text


def test_page__of_a_part__has_no_bounds() -> None:
    text, missed = page([ever(each, "winning", WON) for each in experiments(2, 1)], {1: 0.0}, on=ON)
    assert missed == 0
    assert "kept" not in text
    assert "at most" not in text


def test_kept__experiments__are_read_as_they_were_written(tmp_path: Path) -> None:
    kept = tmp_path / "build" / "simulation.jsonl"
    found = [ever(each, "winning", WON) for each in experiments(2, 1)]
    for each in found:
        command._keep(each, kept)
    assert list(command._kept(kept)) == found
    assert list(command._kept(None)) == []
