"""HEAD, OPTIONS and `Allow`, for every path of the OpenAPI document; media types that are not supported."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient

from experiment_pipeline.api.app import create_app
from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.settings import Settings
from tests.api.conftest import NOW, Clock, detail
from tests.api.test_openapi import SNAPSHOT
from tests.cli.conftest import MANIFEST

OPERATIONS = {
    path: {method.upper(): operation for method, operation in operations.items()}
    for path, operations in json.loads(SNAPSHOT.read_text("utf-8"))["paths"].items()
}
UNDOCUMENTED = ["/api/v1/openapi.json", "/api/v1/docs", "/api/v1/docs/static/swagger-ui.css"]
WITH_BODY = [
    (method, path)
    for path, operations in OPERATIONS.items()
    for method, operation in operations.items()
    if "requestBody" in operation
]
VARIABLE = {"date", "x-request-id"}  # headers that no two answers share


@dataclass
class Served:
    """A client with a key, on a registry with one experiment."""

    client: TestClient
    token: str

    def ask(self, method: str, path: str, **sent: Any) -> Any:
        headers = {"Authorization": f"Api-Key {self.token}", "X-Environment-Key": "production"}
        headers |= sent.pop("headers", {})
        named = path.format(environment_key="production", experiment="checkout", metric_id=1, metric=1)
        return self.client.request(method, named, headers=headers, **sent)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    configured = Settings(data_dir=tmp_path_factory.mktemp("methods"))
    registry = Registry.open(configured.database_url)
    registry.manifests.apply(parse_manifest(MANIFEST), actor="tests", now=NOW)
    _, token = registry.keys.create("production", Scope.ADMIN, "tests", actor="tests", now=NOW)
    with TestClient(create_app(registry, configured, Clock()), raise_server_exceptions=False) as client:
        yield Served(client, token)


def expected(path: str) -> set[str]:
    """Every method of a path: those of the document, HEAD beside GET, and OPTIONS."""
    documented = set(OPERATIONS.get(path, {"GET": {}}))
    return documented | {"OPTIONS"} | ({"HEAD"} if "GET" in documented else set())


def allowed(response: Any) -> set[str]:
    return set(response.headers["allow"].split(", "))


@pytest.mark.parametrize("path", [*OPERATIONS, *UNDOCUMENTED])
def test_method__that_a_path_does_not_have__is_a_405_that_names_those_it_has(served: Served, path: str) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "MADEUP"} - expected(path):
        refused = served.ask(method, path)
        assert refused.status_code == 405, (method, refused.text)
        if path not in UNDOCUMENTED:
            assert detail(refused) == "Method Not Allowed"
            assert allowed(refused) == expected(path), method


@pytest.mark.parametrize("path", [*OPERATIONS, *UNDOCUMENTED])
def test_options__is_a_bodyless_204(served: Served, path: str) -> None:
    answered = served.ask("OPTIONS", path)
    assert (answered.status_code, answered.content) == (204, b"")
    if "OPTIONS" not in OPERATIONS.get(path, {}):
        assert allowed(answered) == expected(path)


@pytest.mark.parametrize("path", [path for path in [*OPERATIONS, *UNDOCUMENTED] if "GET" in expected(path)])
def test_head__is_the_get_without_its_body(served: Served, path: str) -> None:
    for key in ({}, {"headers": {"Authorization": "Api-Key nobody"}}):
        get, head = served.ask("GET", path, **key), served.ask("HEAD", path, **key)
        assert (head.status_code, head.content) == (get.status_code, b"")
        if path == "/metrics":
            continue  # they count the GET
        ours, theirs = (
            {name: value for name, value in each.headers.items() if name not in VARIABLE} for each in (head, get)
        )
        assert ours == theirs
        assert get.content


def test_head__hands_no_body_to_the_server(served: Served) -> None:
    """The test's client leaves out the body of a HEAD by itself."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asked = {"method": "HEAD", "path": "/healthz", "raw_path": b"/healthz", "query_string": b"", "headers": []}
    server = {"scheme": "http", "http_version": "1.1", "root_path": "", "server": ("test", 80), "client": ("::1", 1)}
    asyncio.run(served.client.app({"type": "http", **asked, **server}, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 200
    assert dict(sent[0]["headers"])[b"content-length"] != b"0"
    assert [message["body"] for message in sent[1:]] == [b""]


def test_path__that_there_is_not__is_a_404_for_every_method(served: Served) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "POST", "MADEUP"):
        assert served.ask(method, "/api/v1/nothing").status_code == 404


def test_head__is_logged_and_counted_by_its_route(served: Served) -> None:
    served.ask("HEAD", "/api/v1/environments/{environment_key}/experiments/")
    route = 'method="HEAD",route="/api/v1/environments/{environment_key}/experiments/",status="200"'
    assert route in served.client.get("/metrics").text


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_body__of_a_type_or_encoding_that_is_not_supported__is_a_415(served: Served, method: str, path: str) -> None:
    bodies = [
        (b"name: x", {"Content-Type": "application/yaml"}),
        (b'{"name": "x"}', {"Content-Type": "text/plain"}),
        (b'{"name": "x"}', {"Content-Type": ""}),
        (gzip.compress(b"{}"), {"Content-Type": "application/json", "Content-Encoding": "br"}),
    ]
    for body, headers in bodies:
        refused = served.ask(method, path, content=body, headers=headers)
        assert refused.status_code == 415, (headers, refused.text)
        assert detail(refused)
        assert {"accept", "accept-encoding"} & refused.headers.keys()


def test_body__of_an_unsupported_type_without_a_key__is_a_401(served: Served) -> None:
    path = "/api/v1/environments/production/experiments/"
    headers = {"Authorization": "Api-Key nobody", "Content-Type": "text/plain"}
    assert served.ask("POST", path, content=b"x", headers=headers).status_code == 401


def test_body__of_another_kind_of_json__is_read(served: Served) -> None:
    headers = {"Content-Type": "application/vnd.shop+json; charset=utf-8"}
    path = "/api/v1/environments/production/experiments/"
    assert served.ask("POST", path, content=b"{}", headers=headers).status_code == 400
