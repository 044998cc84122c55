"""`POST /v1/events`: what lands, what is answered, what is refused before it is parsed."""

import gzip
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from experiment_pipeline.api.app import create_collector
from experiment_pipeline.domain import events
from experiment_pipeline.domain.envelopes import decode_record, open_envelope
from experiment_pipeline.domain.events import Rejected
from experiment_pipeline.landing.json_lines import LineReader
from experiment_pipeline.landing.landing_zone import landed_objects
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from tests.api.conftest import NOW, Api, Clock, detail
from tests.conftest import make_registry

GOOD = {"event": "purchase", "identifier": "me", "value": "1", "timestamp": 1_772_400_000_000}


@dataclass
class Collecting:
    """A client of a collector, and what it lands."""

    client: TestClient
    settings: Settings

    def send(self, body: object, **headers: str) -> Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {"X-Environment-Key": "production", "Content-Type": "application/json"} | named
        response: Response = self.client.post("/v1/events", content=content, headers=named)
        return response

    def lines(self) -> list[str]:
        """Everything visible, once nothing is open any more."""
        until = time.monotonic() + 60
        while list((self.settings.landing_dir / ".open").rglob("*.jsonl")) and time.monotonic() < until:
            time.sleep(0.01)
        objects = [self.settings.landing_dir / each.name for each in landed_objects(self.settings.landing_dir)]
        return [line for path in objects for frame in LineReader(path).lines() for line in frame["text"]]


@pytest.fixture
def collecting(tmp_path: Path) -> Iterator[Collecting]:
    configured = Settings(data_dir=tmp_path, landing_object_age=timedelta(0))
    registry = Registry.open(make_registry(tmp_path / "registry.sqlite"))
    registry.environments.create("production", "Production", actor="tests", now=NOW)
    with TestClient(create_collector(registry, configured, Clock()), raise_server_exceptions=False) as client:
        yield Collecting(client, configured)


def test_collect__a_numbered_identifier_and_a_time_without_a_zone__are_judged_as_the_lake_does(
    tmp_path: Path, collecting: Collecting
) -> None:
    body = {
        "events": [GOOD | {"identifier": 7}, GOOD | {"identifier": 7.5}, GOOD | {"timestamp": "2026-03-01T12:00:00"}]
    }
    refused = [(1, "bad_type:identifier"), (2, "timestamp_without_zone")]
    assert [(each["index"], each["reason"]) for each in collecting.send(body).json()["rejected"]] == refused
    configured = Settings(data_dir=tmp_path, landing_timezone="Europe/Paris")
    registry = Registry.open(configured.database_url)
    with TestClient(create_collector(registry, configured, Clock())) as client:
        zoned = Collecting(client, configured).send(body).json()["rejected"]
    assert [(each["index"], each["reason"]) for each in zoned] == refused[:1]


def test_events__good_and_bad__land_verbatim_and_are_judged(collecting: Collecting) -> None:
    body = b'{"events": [\n  {"event": "a", "identifier":"i", "timestamp": 1772400000000, "n": 1.10},\r\n 7]}'
    answered = collecting.send(body)
    assert answered.status_code == 202, answered.text
    rejected = [{"index": 1, "reason": "not_an_object"}]
    unknown = [{"name": "n", "records": 1, "is_meant": None}]
    assert answered.json() == {"received": 2, "accepted": 1, "rejected": rejected, "unknown_fields": unknown}
    assert collecting.lines() == [body.decode().replace("\n", " ").replace("\r", " ")]


def test_events__misspelt_fields__are_named_in_the_answer(collecting: Collecting) -> None:
    misspelt = [{**GOOD, "Event": GOOD["event"], "revenue": 5}, {**GOOD, "revenue": 7}, GOOD]
    del misspelt[0]["event"]
    answered = collecting.send({"events": misspelt}).json()
    assert answered["rejected"] == [{"index": 0, "reason": "missing_field:event"}]
    assert answered["unknown_fields"] == [
        {"name": "revenue", "records": 2, "is_meant": None},
        {"name": "Event", "records": 1, "is_meant": "event"},
    ]
    assert collecting.send({"events": [GOOD]}).json() == {"received": 1, "accepted": 1, "rejected": []}


def test_events__gzip_of_several_members__lands_inflated(collecting: Collecting) -> None:
    text = json.dumps({"events": [GOOD] * 1_000}).encode()
    sent = gzip.compress(text[:1000]) + gzip.compress(text[1000:])
    assert collecting.send(sent, Content_Encoding="gzip").json()["accepted"] == 1_000
    assert collecting.lines() == [text.decode()]


BAD_BODIES = [
    b"",
    b"[]",
    b"{",
    b'{"events": {}}',
    b'{"events": [], "event": "x"}',
    b"\xff",
    b'{"event": NaN}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body[:20]))
def test_events__no_envelope__is_a_400_that_lands_nothing(collecting: Collecting, body: bytes) -> None:
    refused = collecting.send(body)
    assert refused.status_code == 400
    assert detail(refused)
    assert collecting.lines() == []


NOT_JSON = [
    b'{"event": "a", "metadata": {"discount": NaN}}',
    b"-Infinity",
    b'{"event": "line\r\nend"}',
    b'{"event": "caf\xe9"}',
    b'{"event": "\\ud800", "identifier": "me", "timestamp": 1772400000000}',
    b"[" * 10_000 + b"]" * 10_000,
    b"{]",
]


@pytest.mark.parametrize("bad", NOT_JSON, ids=lambda bad: repr(bad[:20]))
def test_events__one_record_is_no_json__is_named_and_its_neighbours_land__e3(
    collecting: Collecting, bad: bytes
) -> None:
    good = json.dumps(GOOD).encode()
    answered = collecting.send(b'{"events": [' + b",\n".join([good, good, bad]) + b"]}")
    assert answered.status_code == 202
    assert answered.json() == {"received": 3, "accepted": 2, "rejected": [{"index": 2, "reason": "not_json"}]}
    (line,) = collecting.lines()
    landed = open_envelope(line)
    assert landed is not None
    assert [decode_record(good.decode())] * 2 == landed[:2]
    assert isinstance(events.parse(landed[2], "production", NOW), Rejected)  # and it stays what it was


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Encoding": "br"}, 415),
        ({"Content-Encoding": "gzip"}, 400),
        ({"X-Environment-Key": "nobody"}, 401),
        ({"X-Environment-Key": "../production"}, 401),
        ({"X-Environment-Key": ""}, 401),
    ],
)
def test_events__wrong_header__is_refused(collecting: Collecting, headers: dict[str, str], status: int) -> None:
    refused = collecting.send({"events": [GOOD]}, **headers)
    assert refused.status_code == status
    assert detail(refused)
    assert collecting.lines() == []


def test_events__too_many_or_too_large__is_a_413(collecting: Collecting) -> None:
    assert collecting.send({"events": [1] * 10_000}).status_code == 202
    assert collecting.send({"events": [1] * 10_001}).status_code == 413
    assert collecting.send(b" " * (11 << 20)).status_code == 413
    bomb = gzip.compress(b" " * (200 << 20), 9)
    assert collecting.send(bomb, Content_Encoding="gzip").status_code == 413
    assert collecting.send(gzip.compress(b'{"events": []}')[:-4], Content_Encoding="gzip").status_code == 400


def test_events__over_the_buffer__is_a_503_with_retry_after(tmp_path: Path) -> None:
    configured = Settings(data_dir=tmp_path, collector_buffer_bytes=11 << 20)
    registry = Registry.open(make_registry(tmp_path / "registry.sqlite"))
    registry.environments.create("production", "Production", actor="tests", now=NOW)
    with TestClient(create_collector(registry, configured, Clock())) as client:
        here = Collecting(client, configured)
        client.app.state.collector.admission._held = 11 << 20  # type: ignore[attr-defined]
        refused = here.send({"events": [GOOD]})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")


def test_events__landing_zone_in_the_way__is_a_503_until_it_is_there(collecting: Collecting) -> None:
    landing = collecting.settings.landing_dir
    landing.write_text("in the way")
    refused = collecting.send({"events": [GOOD]})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert detail(refused) == "The landing zone cannot be written. Try again later."
    landing.unlink()
    assert collecting.send({"events": [GOOD]}).status_code == 202
    assert len(collecting.lines()) == 1


def test_options__is_body_less_and_names_the_origin(collecting: Collecting) -> None:
    answered = collecting.client.options("/v1/events", headers={"Origin": "https://shop.example"})
    assert (answered.status_code, answered.content) == (204, b"")
    assert answered.headers["access-control-allow-origin"] == "*"
    assert "X-Environment-Key" in answered.headers["access-control-allow-headers"]


TRACING = "baggage,content-type,sentry-trace,traceparent,tracestate,x-datadog-trace-id,x-environment-key"


def test_preflight__whatever_headers_are_asked_for__allows_them(collecting: Collecting) -> None:
    asking = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    for asked in (TRACING, "x-made-up"):
        answered = collecting.client.options("/v1/events", headers={**asking, "Access-Control-Request-Headers": asked})
        assert answered.status_code == 204
        assert answered.headers["access-control-allow-headers"] == asked
        assert answered.headers["vary"] == "Access-Control-Request-Headers"
    answered = collecting.client.options(
        "/v1/events", headers={**asking, "Access-Control-Request-Headers": "no header; at all"}
    )
    assert "X-Environment-Key" in answered.headers["access-control-allow-headers"]


def test_cors__every_answer__can_be_read_by_the_page(collecting: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    page = {"Origin": "https://shop.example"}
    answers = [
        collecting.client.get("/v1/events", headers=page),
        collecting.send({"events": []}, **page),
        collecting.send(b"", Content_Type="text/plain", **page),
    ]
    collector = collecting.client.app.state.collector  # type: ignore[attr-defined]
    monkeypatch.setattr(collector.environments, "has", None)
    with capture_logs():
        answers.append(collecting.send({"events": []}, **page))
    assert [answer.status_code for answer in answers] == [405, 202, 415, 500]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "Retry-After" in answer.headers["access-control-expose-headers"]


def test_cors__configured_origins__others_are_not_named(tmp_path: Path) -> None:
    configured = Settings(data_dir=tmp_path, collector_origins="https://a.example, https://b.example")
    registry = Registry.open(make_registry(tmp_path / "registry.sqlite"))
    with TestClient(create_collector(registry, configured)) as client:
        for origin, allowed in (("https://b.example", "https://b.example"), ("https://c.example", None)):
            answered = client.post("/v1/events", headers={"Origin": origin})
            assert answered.status_code == 401
            assert answered.headers.get("access-control-allow-origin") == allowed


def test_metrics__count_what_became_durable(collecting: Collecting) -> None:
    collecting.send({"events": [GOOD, {**GOOD, "event": "$own"}]})
    text = collecting.client.get("/metrics").text
    for line in ("events_received_total 2.0", "events_accepted_total 1.0", "events_sync_seconds_count 1.0",
                 'events_rejected_total{reason="reserved_event"} 1.0', "events_oldest_unlanded_seconds "):  # fmt: skip
        assert line in text


def test_api__collects_too(api: Api) -> None:
    headers = {"X-Environment-Key": "production"}
    large = {"events": [{**GOOD, "value": "x" * 2_000}] * 1_000}  # larger than other endpoints take
    assert api.client.post("/v1/events", json=large, headers=headers).json()["accepted"] == 1_000


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
BODIES = (
    st.binary(max_size=200)
    | JSON_VALUES.map(lambda value: json.dumps(value, indent=1).encode())
    | st.lists(JSON_VALUES | st.just(GOOD), max_size=6).map(
        lambda them: json.dumps({"events": them}, indent=1).encode()
    )
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
def test_events__whatever_comes__is_durable_or_refused(collecting: Collecting, body: bytes) -> None:
    before = len(collecting.lines())
    answered = collecting.send(body)
    assert answered.status_code == 202 or 400 <= answered.status_code < 500
    landed = collecting.lines()
    assert len(landed) == before + (answered.status_code == 202)
    if answered.status_code == 202:
        assert json.loads(body) in [json.loads(line) for line in landed]
