"""`experiment-pipeline health`: what was found, the worst first, and what has passed on request."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.health.freshness import CHECK, judge_freshness
from experiment_pipeline.registry.registry import Registry
from tests.cli.conftest import Run

HOUR = timedelta(hours=1)
PASSED: dict[str, Any] = {
    "check": "a", "code": "fine", "severity": "ok", "title": "Fine", "detail": "All is well.", "evidence": {"n": 1},
}  # fmt: skip
WARNED = {**PASSED, "check": "b", "code": "odd", "severity": "warning", "title": "Odd", "detail": "See to it."}
BROKEN = {**PASSED, "check": "c", "code": "bad", "severity": "error", "title": "Bad", "detail": "Do not decide."}


@pytest.fixture
def judged(declared: Run, tmp_path: Path) -> Run:
    """One look with three findings, and one on arrivals that was made before anything arrived."""
    registry = Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}")
    found, now = registry.experiments.find("production", "checkout"), datetime.now(UTC)
    run = registry.runs.open(found.id, "run", now, HOUR)
    stale = judge_freshness({"senders": now - 2 * HOUR}, now, HOUR).to_json()
    findings = [PASSED, WARNED, BROKEN, {"check": CHECK.name, **stale}]
    registry.computations.publish(Publication(run, Computation.RESULTS, {}, "1", now, HOUR, findings=findings))
    registry.close()
    return declared


def test_health__before_anything_was_published__says_so(declared: Run) -> None:
    assert declared("health", "checkout").stdout == "No results were published yet.\n"
    assert json.loads(declared("health", "checkout", "--json").stdout) == {"health": None}


def test_health__of_an_experiment__shows_what_did_not_pass_worst_first(judged: Run) -> None:
    first, *lines = judged("health", "checkout").stdout.splitlines()
    assert first.endswith("UTC, data version 0: 2 of 4 checks passed.")
    assert lines == ["error: Bad. Do not decide.", "warning: Odd. See to it."]


def test_health__with_all__shows_what_has_passed_too__arrivals_as_of_now(judged: Run) -> None:
    lines = judged("health", "checkout", "--all").stdout.splitlines()[1:]
    assert lines[2:] == ["ok: Fine. All is well.", "ok: Events arrive. Events have arrived within P1D from everywhere."]


def test_health__as_json__is_what_the_api_serves(judged: Run) -> None:
    health = json.loads(judged("health", "checkout", "--json").stdout)["health"]
    assert [each["code"] for each in health["findings"]] == ["bad", "odd", "fine", "events_arrive"]
    assert health["data_version"] == 0


def test_results__as_json__have_the_findings_of_the_moment(judged: Run) -> None:
    findings = json.loads(judged("results", "checkout", "--json").stdout)["health"]["findings"]
    assert [each["code"] for each in findings] == ["bad", "odd", "fine", "events_arrive"]


def test_health__of_an_unknown_experiment__is_refused(declared: Run) -> None:
    refused = declared("health", "chekout")
    assert refused.exit_code == 2
    assert "checkout" in refused.stderr
