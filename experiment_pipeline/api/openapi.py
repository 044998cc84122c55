"""The OpenAPI document: FastAPI's, with errors as the problem documents that they are."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from experiment_pipeline.api.problems import MEDIA_TYPE, Problem

PROBLEM = {
    "description": "A problem document (RFC 9457)",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
STATUSES = {
    "400": "The request breaks a rule",
    "401": "No or unknown API key",
    "403": "The key's scope is too small",
    "404": "Not found, or of another environment",
    "409": "Something stands against it",
    "413": "The body is too large",
    "429": "Asked for too soon; `Retry-After` says how many seconds are left",
    "503": "Cannot answer now",
}
NOT_OURS = ("HTTPValidationError", "ValidationError")


def document(app: FastAPI) -> dict[str, Any]:
    """The whole contract, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = schema["components"]["schemas"]
        for name in NOT_OURS:
            schemas.pop(name, None)
        schemas["Problem"] = Problem.model_json_schema()
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                _add_problems(path, method, operation)
        app.openapi_schema = schema
    return app.openapi_schema


def _add_problems(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    if not path.startswith("/api/"):
        possible = {"/readyz": ["503"], "/v1/events": ["400", "401", "413", "503"]}.get(path, [])
    elif "refresh" in path:
        possible = ["400", "401", "403", "404", "429", "503"]
    else:
        possible = ["400", "401", "403", "404", "503"] + (["409", "413"] if method != "get" else [])
    for status in sorted(possible):
        responses[status] = {**PROBLEM, "description": STATUSES[status]}
