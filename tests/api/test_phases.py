"""Phases over HTTP: restarts, and what is served of each phase (rules X9, X10)."""

from datetime import timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.refresh import ClaimSource, Computation, Publication
from tests.api.conftest import EXPERIMENT, METRIC, Api

HOUR = timedelta(hours=1)


def running(api: Api) -> str:
    """The path of an experiment that has run for an hour."""
    assert api.ask("POST", "/metrics/", json=METRIC).status_code == 201
    attached = [{"metric": "revenue", "expected_direction": "increase"}]
    created = api.ask("POST", "/experiments/", json={**EXPERIMENT, "metrics": attached})
    assert created.status_code == 201, created.text
    path = f"/experiments/{created.json()['id']}"
    assert api.ask("POST", f"{path}/start/").status_code == 200
    api.clock.pass_by(HOUR)
    return path


def publish(api: Api, phase: int) -> None:
    run = api.registry.runs.open(1, f"run-{phase}", api.clock.now, HOUR, phase=phase)
    payload: dict[str, Any] = {"phase": phase, "srm": {"identities": {}}, "metrics": [], "trustworthy": None}
    finding = {"check": "c", "code": "c", "severity": "ok", "title": "", "detail": f"{phase}", "evidence": {}}
    for each in Computation:
        published = Publication(run, each, payload, "1", api.clock.now, HOUR, findings=[finding], live_stats=payload)
        api.registry.computations.publish(published)
    api.registry.runs.release_lease(run)


def test_restart__gives_the_experiment_in_its_next_phase__x9(api: Api) -> None:
    path = running(api)
    answer = api.ask("POST", f"{path}/restart/", json={"variants": [{"key": "larger", "percentage_allocation": 20}]})
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["status"], shown["phase"], shown["ended_at"]) == ("running", 2, None)
    assert [arm["percentage_allocation"] for arm in shown["variants"]] == [80, 20]
    (ended,) = shown["ended_phases"]
    assert (ended["phase"], ended["ended_at"]) == (1, shown["started_at"])
    assert [(arm["key"], arm["percentage_allocation"]) for arm in ended["variants"]] == [
        ("control", 50),
        ("larger", 50),
    ]
    assert api.ask("GET", f"{path}/").json() == shown


def test_restart__without_a_body__keeps_the_allocations(api: Api) -> None:
    path = running(api)
    assert api.ask("POST", f"{path}/restart/").json()["variants"][1]["percentage_allocation"] == 50


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"variants": [{"key": "other", "percentage_allocation": 20}]}, 400, "A restart changes allocations alone."),
        ({"variants": [{"key": "larger", "percentage_allocation": 120}]}, 400, "percentage_allocation"),
        ({"phase": 2}, 409, "Phase 2 is not the present phase: 'checkout' is in phase 1."),
        ({"phase": 0}, 400, "phase"),
        ({"shares": 1}, 400, "shares"),
    ],
)
def test_restart__that_is_wrong__says_why_and_changes_nothing(
    api: Api, body: dict[str, object], status: int, told: str
) -> None:
    path = running(api)
    answer = api.ask("POST", f"{path}/restart/", json=body)
    assert (answer.status_code, told in answer.text) == (status, True), answer.text
    assert api.ask("GET", f"{path}/").json()["phase"] == 1


def test_restart__of_what_does_not_run__is_refused(api: Api) -> None:
    path = running(api)
    api.ask("POST", f"{path}/complete/")
    answer = api.ask("POST", f"{path}/restart/")
    assert (answer.status_code, "completed, for good" in answer.json()["detail"]) == (400, True)


def test_restart__with_a_key_to_read__is_forbidden(api: Api) -> None:
    assert api.ask("POST", f"{running(api)}/restart/", scope="refresh").status_code == 403


def test_phase__on_everything_that_is_served__is_that_phase_s__x10(api: Api) -> None:
    path = running(api)
    publish(api, 1)
    api.ask("POST", f"{path}/restart/")
    fresh = api.ask("GET", f"{path}/results/").json()["results"]
    assert fresh is None, "the newest phase has nothing yet"
    api.clock.pass_by(HOUR)
    publish(api, 2)
    for query, phase in (("", 2), ("?phase=2", 2), ("?phase=1", 1)):
        for name in ("exposures", "results"):
            shown = api.ask("GET", f"{path}/{name}/{query}").json()[name]
            assert (shown["phase"], shown["payload"]["phase"]) == (phase, phase)
        (look,) = api.ask("GET", f"{path}/looks/{query}").json()["results"]
        assert (look["phase"], look["number"]) == (phase, 1)
        assert api.ask("GET", f"{path}/health/{query}").json()["health"]["findings"][0]["detail"] == str(phase)
        assert api.ask("GET", f"/experiments/1/live-stats{query}", base="/api/v1").json()["phase"] == phase


@pytest.mark.parametrize("name", ["exposures/", "results/", "looks/", "health/", "live-stats"])
def test_phase__that_there_is_not_or_no_number__is_an_error(api: Api, name: str) -> None:
    path = running(api)
    base = "/api/v1" if name == "live-stats" else None
    missing = api.ask("GET", f"{path}/{name}?phase=2", base=base)
    assert (missing.status_code, missing.json()["detail"]) == (
        404,
        "'checkout' has no phase 2: there is phase 1 alone.",
    )
    for wrong in ("0", "-1", "one", "", "99999999999"):
        refused = api.ask("GET", f"{path}/{name}?phase={wrong}", base=base)
        assert (refused.status_code, refused.json()["errors"]) == (
            400,
            {"phase": ["Must be a whole number from 1 on."]},
        )


@pytest.mark.parametrize("phase", ["1", "nonsense"])
def test_phase__without_a_key__is_not_even_read(api: Api, phase: str) -> None:
    path = running(api)
    assert api.ask("GET", f"{path}/results/?phase={phase}", scope="nobody's").status_code == 401


def test_refresh__of_an_ended_phase__asks_for_that_one(api: Api) -> None:
    path = running(api)
    api.ask("POST", f"{path}/restart/")
    api.clock.pass_by(HOUR)
    assert api.ask("POST", f"{path}/results/refresh/?phase=1").status_code == 202
    assert api.ask("POST", f"{path}/results/refresh/").status_code == 202
    assert api.ask("POST", f"{path}/results/refresh/").status_code == 429
    waiting = api.registry.claims.list_waiting()
    assert [each.phase for each in waiting if each.source is ClaimSource.API] == [1, 2]
