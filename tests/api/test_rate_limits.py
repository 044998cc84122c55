"""Rate limits: a key, or an environment's senders, that ask too often are answered 429 with the seconds to wait."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from experiment_pipeline.api.app import create_app
from experiment_pipeline.api.rate_limits import MOST_BUCKETS, TokenBuckets
from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from tests.api.conftest import ACTOR, NOW, Api, Clock


@dataclass
class Seconds:
    """A clock that a test sets."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_take__until_the_bucket_is_empty__then_says_how_long_to_wait() -> None:
    clock = Seconds()
    buckets = TokenBuckets(rate=2, burst=3, clock=clock)
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert buckets.take("b") == 0, "each name has a bucket of its own"
    clock.now += 0.5
    assert [buckets.take("a") for _ in range(2)] == [0, 0.5]
    clock.now += 60
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5], "a pause fills it up to the burst, and no further"


def test_take__of_more_names_than_are_kept__forgets_full_buckets_alone() -> None:
    clock = Seconds()
    buckets = TokenBuckets(rate=1, burst=2, clock=clock)
    for number in range(MOST_BUCKETS - 1):
        buckets.take(f"{number}")
    clock.now += 1
    assert [buckets.take("busy") for _ in range(3)] == [0, 0, 1]
    buckets.take("one more")
    assert buckets.take("busy") == 1, "it is not full, and not forgotten"
    assert len(buckets._buckets) == 2


@pytest.fixture
def limited(database_url: str, tmp_path: Path) -> Iterator[Api]:
    """An API that answers two requests of a key, and one second's two of an environment twice."""
    settings = Settings(data_dir=tmp_path / "data", http_key_rate=1, http_key_burst=2, collector_environment_rate=1)
    registry, clock = Registry.open(database_url), Clock()
    with TestClient(create_app(registry, settings, clock), raise_server_exceptions=False) as client:
        opened = Api(client, registry, settings, clock)
        for environment in ("production", "staging"):
            registry.environments.create(environment, environment, actor=ACTOR, now=NOW)
        for scope in Scope:
            opened.tokens[scope] = registry.keys.create("production", scope, scope, actor=ACTOR, now=NOW)[1]
        yield opened


def test_key__that_asks_too_often__is_answered_429_and_others_are_not(limited: Api) -> None:
    assert [limited.get("/experiments/", scope="read").status_code for _ in range(2)] == [200, 200]
    refused = limited.get("/experiments/", scope="read")
    assert refused.status_code == 429
    assert refused.json() == {
        "type": "urn:experiment-pipeline:too-many-requests",
        "title": "Too many requests",
        "status": 429,
        "detail": "This API key asks too often. Try again later.",
    }
    assert refused.headers["retry-after"] == "1"
    assert limited.get("/experiments/", scope="refresh").status_code == 200
    assert limited.client.get("/healthz").status_code == 200


def test_key__of_the_results_page__that_asks_too_often__is_told_on_a_page(limited: Api) -> None:
    limited.client.cookies.set("experiment_pipeline_key", limited.tokens["read"])
    path = "/environments/production/experiments/"
    answers = [limited.client.get(path) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "1"
    assert "This API key asks too often" in answers[2].text


def test_events__of_an_environment_that_are_sent_too_often__are_answered_429_and_others_are_not(limited: Api) -> None:
    def send(environment: str) -> tuple[int, str | None]:
        answer = limited.client.post(
            "/v1/events", json={"events": []}, headers={"X-Environment-Key": environment, "Origin": "https://x.org"}
        )
        assert answer.headers["access-control-allow-origin"] == "*", "a page can read it"
        return answer.status_code, answer.headers.get("retry-after")

    assert [send("production") for _ in range(3)] == [(202, None), (202, None), (429, "1")]
    assert send("staging") == (202, None)
