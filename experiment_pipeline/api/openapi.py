"""The OpenAPI document: FastAPI's, with errors as the problem documents that they are."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from experiment_pipeline.api.problems import Problem

NOT_OURS = ("HTTPValidationError", "ValidationError")


def document(app: FastAPI) -> dict[str, Any]:
    """Return the whole contract, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = schema["components"]["schemas"]
        for name in NOT_OURS:
            schemas.pop(name, None)
        schemas["Problem"] = Problem.model_json_schema()
        for operations in schema["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)  # FastAPI's own; ours is a 400
                operation["responses"] = dict(sorted(operation["responses"].items()))
        app.openapi_schema = schema
    return app.openapi_schema
