"""The audit log over HTTP: pages of changes, newest first, of one environment (rule L5)."""

from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from experiment_pipeline.api.app import create_app
from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from tests.api.conftest import ACTOR, NOW, Api, Clock


def changed(api: Api) -> str:
    """Make five changes a minute apart, and return who made them."""
    minute = timedelta(minutes=1)
    api.metric()
    api.clock.pass_by(minute)
    api.experiment()
    api.clock.pass_by(minute)
    api.patch("/experiments/checkout/", {"name": "Check out"})
    api.clock.pass_by(minute)
    api.post("/experiments/checkout/start/")
    api.clock.pass_by(minute)
    api.delete("/metrics/1/")
    return f"key:{api.tokens['admin'].split('_')[1]}"


def test_audit__every_change__is_told_with_who_when_and_from_what_to_what__l5(api: Api) -> None:
    actor = changed(api)
    lines = api.get("/audit/", params={"actor": actor}).json()["results"]
    assert [(line["subject"], line["action"], line["at"]) for line in lines] == [
        ("metric:1", "delete", "2026-03-02T12:04:00Z"),
        ("experiment:1", "running", "2026-03-02T12:03:00Z"),
        ("experiment:1", "change", "2026-03-02T12:02:00Z"),
        ("experiment:1", "create", "2026-03-02T12:01:00Z"),
        ("metric:1", "create", "2026-03-02T12:00:00Z"),
    ]
    deleted, _, renamed, created, _ = lines
    assert (renamed["before"]["name"], renamed["after"]["name"]) == ("Checkout", "Check out")
    assert (created["before"], created["after"]["feature"]) == (None, "checkout_button")
    assert (deleted["before"]["name"], deleted["after"]) == ("revenue", None)


@pytest.mark.parametrize(
    ("query", "subjects"),
    [
        ("subject=experiment:1", ["experiment:1"] * 3),
        ("subject=experiment", ["experiment:1"] * 3),
        ("subject=exp", []),
        ("subject=experiment&action=create", ["experiment:1"]),
        ("action=delete", ["metric:1"]),
        ("actor=nobody", []),
        ("subject=%25", []),
    ],
)
def test_audit__filters__narrow_it(api: Api, query: str, subjects: list[str]) -> None:
    changed(api)
    page = api.get(f"/audit/?{query}").json()
    assert [line["subject"] for line in page["results"]] == subjects
    assert page["count"] == len(subjects)


def test_audit__pages__are_walked_by_their_addresses(api: Api) -> None:
    actor = changed(api)
    seen, path = [], f"/audit/?actor={actor}&page_size=2"
    while path:
        page = api.get(path).json()
        assert page["count"] == 5
        seen += [line["at"] for line in page["results"]]
        path = (page["next"] or "").removeprefix("http://testserver/api/v1/environments/production")
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 5


def test_audit__other_environments__are_not_in_it_and_keys_without_their_digests(api: Api) -> None:
    lines = api.get("/audit/?subject=key").json()["results"]
    assert {line["after"]["scope"] for line in lines} == {"read", "refresh", "admin"}
    assert all("digest" not in line["after"] for line in lines)
    assert {line["after"]["name"] for line in lines} == {"read", "refresh", "admin"}, "staging has one more"


def test_audit__filter_that_no_database_takes__is_a_400(api: Api) -> None:
    refused = api.get("/audit/?subject=%00")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["subject"])


def test_reads__with_an_admin_key__are_in_the_log_where_the_settings_ask_for_it(
    database_url: str, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path / "data", audit_admin_reads=True)
    registry = Registry.open(database_url)
    with TestClient(create_app(registry, settings, Clock()), raise_server_exceptions=False) as client:
        registry.environments.create("production", "production", actor=ACTOR, now=NOW)
        keys = {scope: registry.keys.create("production", scope, scope, actor=ACTOR, now=NOW) for scope in Scope}
        path = "/api/v1/environments/production/experiments/"
        for scope in Scope:
            assert client.get(path, headers={"Authorization": f"Api-Key {keys[scope][1]}"}).status_code == 200
        client.cookies.set("experiment_pipeline_key", keys[Scope.ADMIN][1])
        assert client.get("/environments/production/experiments/").status_code == 200
        assert client.get("/environments/production/experiments/none/state/").status_code == 404
        reads = registry.audit.list("production", action="read")
    assert [(each.actor, each.subject, each.before, each.after) for each in reads] == [
        (f"key:{keys[Scope.ADMIN][0].prefix}", "environment:production", None, {"path": read})
        for read in ("/environments/production/experiments/", path)
    ]


def test_reads__are_not_in_the_log_by_default(api: Api) -> None:
    assert api.get("/experiments/").status_code == 200
    assert api.registry.audit.count("production", action="read") == 0
