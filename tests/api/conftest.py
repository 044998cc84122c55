"""The HTTP API on a registry of its own, on each database, with a clock that tests set."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from structlog.testing import capture_logs

from experiment_pipeline.api.app import create_app
from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from tests.conftest import own_database

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ACTOR = "tests"
EXPERIMENT = {
    "name": "Checkout",
    "hypothesis": "A larger button sells more.",
    "feature": "checkout_button",
    "variants": [{"key": "larger", "percentage_allocation": 50}],
}
METRIC = {"name": "revenue", "aggregation": "sum", "definition": {"version": 1, "event": "purchase"}}


@dataclass
class Clock:
    """Stands still until a test moves it."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, duration: timedelta) -> None:
        self.now += duration


@dataclass
class Api:
    """A client of one environment, by default with a key of every scope."""

    client: TestClient
    registry: Registry
    settings: Settings
    clock: Clock
    tokens: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, *, scope: str = "admin", base: str | None = None, **sent: Any) -> Response:
        """Send a request to a path below the environment `production`."""
        token = self.tokens.get(scope, scope)
        headers = {"Authorization": f"Api-Key {token}", **sent.pop("headers", {})}
        base = "/api/v1/environments/production" if base is None else base
        response: Response = self.client.request(method, base + path, headers=headers, **sent)
        return response

    def get(self, path: str, **sent: Any) -> Response:
        return self.ask("GET", path, **sent)

    def post(self, path: str, json: object = None, **sent: Any) -> Response:
        if json is not None:
            sent["json"] = json
        return self.ask("POST", path, **sent)

    def patch(self, path: str, json: object, **sent: Any) -> Response:
        return self.ask("PATCH", path, json=json, **sent)

    def delete(self, path: str, **sent: Any) -> Response:
        return self.ask("DELETE", path, **sent)

    def experiment(self, *steps: str, **changes: object) -> dict[str, Any]:
        """A new experiment, taken through the steps."""
        created = self.post("/experiments/", {**EXPERIMENT, **changes})
        assert created.status_code == 201, created.text
        shown: dict[str, Any] = created.json()
        for step in steps:
            shown = self.post(f"/experiments/{shown['id']}/{step}/").json()
        return shown

    def metric(self, **changes: object) -> dict[str, Any]:
        """A new metric."""
        created = self.post("/metrics/", {**METRIC, **changes})
        assert created.status_code == 201, created.text
        shown: dict[str, Any] = created.json()
        return shown


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind; in the fast suite the registry's own tests alone run on PostgreSQL."""
    with own_database(request, tmp_path) as url:
        yield url


@pytest.fixture(autouse=True)
def no_error_of_the_server() -> Iterator[None]:
    """A 500 or a traceback that the API logs fails the test, but where the test plants a bug and captures the lines."""
    with capture_logs() as lines:
        yield
    assert [line for line in lines if line.get("exc_info") or line.get("status") == 500] == []


@pytest.fixture
def api(database_url: str, tmp_path: Path) -> Iterator[Api]:
    """The API with keys of every scope of `production`, and an administrator of `staging`."""
    settings = Settings(data_dir=tmp_path / "data")
    registry, clock = Registry.open(database_url), Clock()
    with TestClient(create_app(registry, settings, clock), raise_server_exceptions=False) as client:
        opened = Api(client, registry, settings, clock)
        for environment in ("production", "staging"):
            registry.environments.create(environment, environment, actor=ACTOR, now=NOW)
        for scope in Scope:
            opened.tokens[scope] = registry.keys.create("production", scope, scope, actor=ACTOR, now=NOW)[1]
        opened.tokens["other"] = registry.keys.create("staging", Scope.ADMIN, "other", actor=ACTOR, now=NOW)[1]
        yield opened


def detail(response: Response) -> str:
    """The detail of a problem document, which the response must be."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["type"].startswith("urn:experiment-pipeline:")
    assert problem["title"]
    shown: str = problem["detail"]
    return shown
