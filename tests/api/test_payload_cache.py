"""The cache of payloads: a repeated request asks the registry nothing, and no change of the registry is missed."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event

from experiment_pipeline.api import payload_cache
from experiment_pipeline.api.app import create_app
from experiment_pipeline.api.payload_cache import knows
from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.registry.keys import USE_RECORDED_EVERY
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from tests.api.conftest import ACTOR, NOW, Api, Clock
from tests.api.test_computations import publish

RESULTS = "/experiments/checkout/results/"


@contextmanager
def statements(api: Api) -> Iterator[list[str]]:
    """Statements that the API sends to the registry meanwhile."""
    sent: list[str] = []

    def keep(_: Any, __: Any, statement: str, *___: Any) -> None:
        sent.append(statement)

    event.listen(api.registry.engine, "before_cursor_execute", keep)
    try:
        yield sent
    finally:
        event.remove(api.registry.engine, "before_cursor_execute", keep)


@pytest.fixture
def published(api: Api) -> Api:
    """Results that were read before: the next request repeats one."""
    api.experiment("start")
    api.clock.pass_by(timedelta(hours=1))
    publish(api, Computation.RESULTS, {"srm_p_value": 0.5})
    for _ in range(2):  # the first records that the key is used, which is a change of the registry
        assert api.get(RESULTS, scope="read").status_code == 200
    return api


def shown(api: Api) -> Any:
    return api.get(RESULTS, scope="read").json()["results"]["payload"]["srm_p_value"]


def test_repeated_request__is_answered_with_the_same_and_asks_the_registry_nothing(published: Api) -> None:
    on_sqlite = published.registry.engine.dialect.name == "sqlite"
    first = published.get(RESULTS, scope="read", headers={"X-Request-ID": "a"})
    with statements(published) as sent:
        second = published.get(RESULTS, scope="read", headers={"X-Request-ID": "a"})
        known = published.get(RESULTS, scope="read", headers={"If-None-Match": first.headers["etag"]})
    assert bool(sent) is not on_sqlite
    assert (second.status_code, second.content, second.headers) == (200, first.content, first.headers)
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", first.headers["etag"])
    assert known.headers["cache-control"] == first.headers["cache-control"]


def test_request__with_another_key_scope_or_address__is_one_of_its_own(published: Api) -> None:
    assert published.get(RESULTS, scope="other").status_code == 404
    assert published.get(RESULTS, scope="none").status_code == 401
    assert published.get(f"{RESULTS}?phase=2", scope="read").status_code == 404
    assert published.get("/experiments/checkout/exposures/", scope="read").json() == {"exposures": None}


def test_change__of_the_registry_by_this_process__is_seen_at_once(published: Api) -> None:
    published.clock.pass_by(timedelta(seconds=1))
    publish(published, Computation.RESULTS, {"srm_p_value": 0.25})
    assert shown(published) == 0.25


def test_change__of_the_registry_by_another_process__is_seen_at_once(published: Api) -> None:
    published.clock.pass_by(timedelta(seconds=1))
    elsewhere = Registry.open(published.registry.engine.url.render_as_string(hide_password=False))
    publish(
        Api(published.client, elsewhere, published.settings, published.clock), Computation.RESULTS, {"srm_p_value": 0.1}
    )
    elsewhere.close()
    assert shown(published) == 0.1


def test_key__that_is_revoked__opens_nothing_from_the_next_request_on(published: Api) -> None:
    (key,) = [each for each in published.registry.keys.list("production") if each.scope is Scope.READ]
    published.registry.keys.revoke(key.prefix, actor=ACTOR, now=published.clock.now)
    assert published.get(RESULTS, scope="read").status_code == 401


def test_key__whose_time_is_over__opens_nothing_though_nothing_has_changed(published: Api) -> None:
    _, token = published.registry.keys.create(
        "production", Scope.READ, "short", actor=ACTOR, now=published.clock.now, valid_for=timedelta(seconds=30)
    )
    published.tokens["short"] = token
    assert [published.get(RESULTS, scope="short").status_code for _ in range(3)] == [200, 200, 200]
    published.clock.pass_by(timedelta(seconds=31))
    assert published.get(RESULTS, scope="short").status_code == 401


def test_key__that_is_used_for_long__is_recorded_once_a_minute(published: Api) -> None:
    published.clock.pass_by(USE_RECORDED_EVERY)
    assert shown(published) == 0.5
    (key,) = [each for each in published.registry.keys.list("production") if each.scope is Scope.READ]
    assert key.last_used_at == published.clock.now


def test_kept_answers__are_bounded_in_bytes(published: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    body = published.get(RESULTS, scope="read").content
    monkeypatch.setattr(payload_cache, "MOST_BYTES", 2 * (len(body) + payload_cache.ENTRY_BYTES))
    paths = [f"{RESULTS}?phase=1", "/experiments/1/results/", RESULTS]
    for path in [*paths, *paths]:
        assert published.get(path, scope="read").content == body
    if published.registry.engine.dialect.name == "sqlite":
        with statements(published) as sent:
            assert published.get(paths[2], scope="read").content == body
            assert sent == []
            assert published.get(paths[0], scope="read").content == body
            assert sent != [], "of three the oldest is forgotten"


def test_repeated_request__counts_for_the_limit_of_its_key_and_is_audited(database_url: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", http_key_rate=1, http_key_burst=4, audit_admin_reads=True)
    registry = Registry.open(database_url)
    with TestClient(create_app(registry, settings, Clock()), raise_server_exceptions=False) as client:
        api = Api(client, registry, settings, Clock())
        registry.environments.create("production", "production", actor=ACTOR, now=NOW)
        for scope in (Scope.READ, Scope.ADMIN):
            api.tokens[scope] = registry.keys.create("production", scope, scope, actor=ACTOR, now=NOW)[1]
        api.experiment()
        assert [api.get(RESULTS, scope="admin").status_code for _ in range(3)] == [200, 200, 200]
        assert registry.audit.count("production", action="read") == 3
        statuses = [api.get(RESULTS, scope="read") for _ in range(5)]
        assert [each.status_code for each in statuses] == [200, 200, 200, 200, 429]
        assert statuses[4].headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("if_none_match", "is_known"),
    [('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"b"', False), ("a", False), ("", False)],
)
def test_knows__a_strong_etag__by_weak_comparison(if_none_match: str, is_known: bool) -> None:
    assert knows(if_none_match, '"a"') is is_known
