"""Who may do what: every endpoint x no key, wrong key, another environment's key, each scope."""

import logging
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from experiment_pipeline.api.app import create_app
from experiment_pipeline.domain.api_keys import Scope
from tests.api.conftest import NOW, Api, detail

ENDINGS = {"refresh": Scope.REFRESH, "audit": Scope.ADMIN, "power": Scope.READ}
METHODS = {"get": Scope.READ, "post": Scope.ADMIN, "patch": Scope.ADMIN, "delete": Scope.ADMIN}


def endpoints(api: Api) -> list[tuple[str, str, Scope]]:
    """Method, path and needed scope of everything that the contract lists below an environment."""
    paths = api.client.get("/api/v1/openapi.json").json()["paths"]
    return [
        (method, path, ENDINGS.get(path.split("/")[-2], METHODS[method]))
        for path, operations in paths.items()
        for method in operations
        if path.startswith("/api/")
    ]


def test_access__every_endpoint__opens_for_its_scope_alone(api: Api) -> None:
    api.metric()
    created = api.experiment()
    known = endpoints(api)
    assert len(known) == 29
    for method, template, needed in known:
        path = template.format(environment_key="production", experiment=created["id"], metric_id=1)
        body: dict[str, Any] = {"json": {}} if method in ("post", "patch") else {}
        send = partial(api.ask, method.upper(), path, base="", **body)
        assert api.client.request(method.upper(), path, **body).status_code == 401, path
        for wrong in ("", "x", f"{api.tokens['admin']}x", f"xp_{'0' * 12}_{'A' * 43}"):
            assert send(scope=wrong).status_code == 401, path
        its_own = path == "/api/v1/environments/"  # names no environment: it is the key's
        assert send(scope="other").status_code == (200 if its_own else 404), path
        for scope in Scope:
            if not scope.allows(needed):
                assert send(scope=scope).status_code == 403, (path, scope)
        assert send(scope=needed).status_code not in (401, 403, 405, 500), path


def test_access__body_that_is_no_json__is_told_to_those_alone_who_may_send_one(api: Api) -> None:
    api.metric()
    api.experiment()
    writing = [each for each in endpoints(api) if each[0] in ("post", "patch")]
    for method, template, _ in writing:
        path = template.format(environment_key="production", experiment="checkout", metric_id=1)
        sent: dict[str, Any] = {"content": b"{", "headers": {"content-type": "application/json"}}
        assert api.client.request(method.upper(), path, **sent).status_code == 401, path
        assert api.ask(method.upper(), path, base="", scope="other", **sent).status_code == 404, path
        if not path.endswith(("/refresh/", "/power/")):
            assert api.ask(method.upper(), path, base="", scope="read", **sent).status_code == 403, path
    malformed = api.ask("POST", "/experiments/", content=b"{", headers={"content-type": "application/json"})
    assert (malformed.status_code, detail(malformed)) == (400, "Must be JSON.")


def test_access__other_environment__reads_the_same_whether_it_exists_or_not(api: Api) -> None:
    answers = [
        api.get("/experiments/", scope="other", base=f"/api/v1/environments/{name}")
        for name in ("production", "nowhere")
    ]
    texts = [detail(answer).replace("production", "nowhere") for answer in answers]
    assert texts[0] == texts[1]
    assert [answer.status_code for answer in answers] == [404, 404]


def test_access__experiment_of_another_environment__cannot_be_reached_by_id_key_or_metric(api: Api) -> None:
    created = api.experiment("start")
    metric = api.metric()
    staging = "/api/v1/environments/staging"
    for name in (created["id"], created["key"]):
        for path in (f"/experiments/{name}/", f"/experiments/{name}/results/", f"/experiments/{name}/metrics/"):
            assert api.get(path, scope="other", base=staging).status_code == 404
        assert api.post(f"/experiments/{name}/results/refresh/", scope="other", base=staging).status_code == 404
    assert api.get(f"/metrics/{metric['id']}/", scope="other", base=staging).status_code == 404
    assert api.get("/experiments/?q=checkout", scope="other", base=staging).json()["status_counts"]["running"] == 0


@pytest.mark.parametrize("header", ["Bearer {}", "api-key {}", "{}", "Api-Key", "Api-Key  {}", "Basic {}"])
def test_access__other_schemes__are_refused(api: Api, header: str) -> None:
    refused = api.get("/experiments/", headers={"Authorization": header.format(api.tokens["admin"])})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Api-Key"


def test_access__revoked_key__is_refused_at_once(api: Api) -> None:
    api.registry.keys.revoke(api.tokens["read"].split("_")[1], actor="tests", now=NOW)
    assert api.get("/experiments/", scope="read").status_code == 401


def test_access__expired_key__is_refused_and_its_holder_is_told(api: Api) -> None:
    _, token = api.registry.keys.create(
        "production", Scope.READ, "short", actor="tests", now=NOW, valid_for=timedelta(minutes=1)
    )
    header = {"Authorization": f"Api-Key {token}"}
    assert api.get("/experiments/", headers=header).status_code == 200
    api.clock.pass_by(timedelta(minutes=1))
    refused = api.get("/experiments/", headers=header)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Api-Key")
    assert detail(refused).startswith("This API key expired at 2")


def test_access__use_of_a_key__is_recorded_to_the_minute(api: Api) -> None:
    def last_used() -> object:
        return next(key.last_used_at for key in api.registry.keys.list("production") if key.scope is Scope.READ)

    assert last_used() is None
    for seconds in (0, 30, 30):
        api.clock.pass_by(timedelta(seconds=seconds))
        api.get("/experiments/", scope="read")
    assert last_used() == NOW + timedelta(minutes=1)


def test_access__tokens__are_kept_as_digests_and_never_logged(
    api: Api, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        api.get("/experiments/")
    secret = api.tokens["admin"].split("_", 2)[2]
    with api.registry.engine.connect() as connection:
        for table in ("api_keys", "audit_log"):
            rows = connection.exec_driver_sql(f"SELECT * FROM {table}").all()  # noqa: S608 - a constant
            assert secret not in repr(rows)
    shown = capfd.readouterr()
    assert secret not in shown.out + shown.err + caplog.text


def test_access__every_route_of_an_environment__names_a_scope(api: Api) -> None:
    """A route without a scope would be open: the dependency that checks it also hands over the environment."""
    app = create_app(api.registry, api.settings)
    below = ("{environment_key}", "/api/v1/experiments/")  # without one in its path it is the key's
    routes = [route for route in iter_route_contexts(app.routes) if any(each in (route.path or "") for each in below)]
    assert len(routes) == 28 + 8  # of the API, and pages
    for route in routes:
        name = "access" if (route.path or "").startswith("/api/") else "visit"
        assert any(each.name == name for each in route.dependant.dependencies), route.path
