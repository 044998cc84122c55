"""The OpenAPI document: committed, true, and held against the server by generated requests.

After a wanted change: `python -m tests.api.test_openapi` writes docs/openapi.json anew.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from pydantic import TypeAdapter
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from experiment_pipeline.api.app import create_app
from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.domain.drafts import ExperimentDraft, MetricDraft
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from tests.api.conftest import EXPERIMENT, METRIC, NOW, Api
from tests.conftest import make_registry

SNAPSHOT = Path(__file__).parents[2] / "docs" / "openapi.json"
STATE_RULES: list[Any] = [positive_data_acceptance]  # what the registry's state forbids is not in the schema


def rendered(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def test_openapi__is_the_committed_document(api: Api) -> None:
    served = api.client.get("/api/v1/openapi.json").json()
    assert rendered(served) == SNAPSHOT.read_text("utf-8"), "python -m tests.api.test_openapi"


def test_openapi__every_operation__has_a_summary_and_its_problems(api: Api) -> None:
    for path, operations in api.client.get("/api/v1/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            if path.startswith("/api/"):
                assert {"400", "401", "403", "404"} <= operation["responses"].keys(), (method, path)
                assert "422" not in operation["responses"]
                assert operation["security"] == [{"ApiKey": []}]


def test_openapi__every_answer__is_described_to_its_last_member(api: Api) -> None:
    """An object whose members are not named lets no client be generated."""
    schemas = api.client.get("/api/v1/openapi.json").json()["components"]["schemas"]
    assert {"ExposuresPayload", "ResultsPayload", "MetricPayload"} <= schemas.keys()
    assert [name for name, schema in schemas.items() if '"additionalProperties": true' in json.dumps(schema)] == []
    assert [name for name, schema in schemas.items() if "/JsonValue" in json.dumps(schema)] == [
        "ChangeView",
        "FindingView",
    ]


def test_docs__are_served_and_load_nothing_from_elsewhere(api: Api) -> None:
    page = api.client.get("/api/v1/docs").text
    assert "/api/v1/openapi.json" in page
    assert "//" not in re.sub("<!--.*?-->|// .*", "", page), "another host"
    loaded = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert len(loaded) == 3
    assert [api.client.get(path).status_code for path in loaded] == [200, 200, 200]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document, made once: it takes longer than what is asked of a server."""
    registry = Registry.open("sqlite://")
    made = create_app(registry, Settings()).openapi()
    registry.close()
    _name_what_is_there(made)
    return made


@pytest.fixture
def contract(tmp_path: Path, document: dict[str, Any]) -> Iterator[Any]:
    """The document and the server that it describes, with something in it."""
    registry = Registry.open(make_registry(tmp_path / "registry.sqlite"))
    registry.environments.create("production", "Production", actor="tests", now=NOW)
    _, token = registry.keys.create("production", Scope.ADMIN, "tests", actor="tests", now=NOW)
    registry.metrics.create("production", TypeAdapter(MetricDraft).validate_python(METRIC), actor="tests", now=NOW)
    registry.experiments.create(
        "production", TypeAdapter(ExperimentDraft).validate_python(EXPERIMENT), actor="tests", now=NOW
    )
    app = create_app(registry, Settings(data_dir=tmp_path))
    app.openapi_schema = document
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    schema.config.update(headers={"Authorization": f"Api-Key {token}"})
    yield schema
    registry.close()


def _name_what_is_there(document: dict[str, Any]) -> None:
    """Requests lead to what exists: random names would all end at 404."""
    there = {"environment_key": "production", "experiment": "checkout", "metric_id": 1}
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    parameter["schema"]["const"] = there[parameter["name"]]


REQUESTS = [  # a request without a body and a query has nothing that could be wrong
    pytest.param(mode, method, path, id=f"{mode.value} {method} {path}")
    for path, operations in json.loads(SNAPSHOT.read_text("utf-8"))["paths"].items()
    for method, operation in operations.items()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE
    or "requestBody" in operation
    or any(parameter["in"] == "query" for parameter in operation.get("parameters", []))
]


@pytest.mark.parametrize(("mode", "method", "path"), REQUESTS)
def test_server__generated_requests__are_answered_as_the_document_says(
    contract: Any, mode: GenerationMode, method: str, path: str
) -> None:
    assert_answered_as_documented(contract[path][method.upper()], mode, examples=3)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "method", "path"), REQUESTS)
def test_server__many_generated_requests__are_answered_as_the_document_says(
    contract: Any, mode: GenerationMode, method: str, path: str
) -> None:
    assert_answered_as_documented(contract[path][method.upper()], mode, examples=40)


def assert_answered_as_documented(operation: Any, mode: GenerationMode, examples: int) -> None:
    """Send generated requests of one operation."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def answer(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(excluded_checks=STATE_RULES)

    answer()


def write_snapshot() -> None:
    """Write the document of the code as it stands."""
    registry = Registry.open("sqlite://")
    app = create_app(registry, Settings())
    SNAPSHOT.write_text(rendered(app.openapi()), "utf-8")
    registry.close()


if __name__ == "__main__":
    write_snapshot()
