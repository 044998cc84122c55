"""Errors as problem documents (RFC 9457): one table says which error is which status."""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from experiment_pipeline.errors import (
    ConfigurationError,
    Conflict,
    ExperimentPipelineError,
    Final,
    NotAllowed,
    NotFound,
    NotStarted,
    Throttled,
)
from experiment_pipeline.schemas.requests import errors_by_field

MEDIA_TYPE = "application/problem+json"
KINDS: Mapping[type[ExperimentPipelineError], tuple[int, str]] = {
    ConfigurationError: (400, "Invalid request"),
    NotAllowed: (400, "Not allowed now"),
    NotStarted: (400, "Not started"),
    Final: (400, "Final"),
    NotFound: (404, "Not found"),
    Conflict: (409, "Conflict"),
    Throttled: (429, "Too many requests"),
}
FAULT = (500, "Internal server error")  # an error that no endpoint should meet
log = structlog.get_logger(__name__)


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(
        description="a stable name of this kind of problem", examples=["urn:experiment-pipeline:throttled"]
    )
    title: str
    status: int
    detail: str
    errors: dict[str, list[str]] | None = Field(default=None, description="messages by field")


def problem(
    status: int,
    title: str,
    detail: str,
    *,
    errors: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One problem document. Written in ASCII: a field's name may hold what UTF-8 cannot."""
    kind = re.sub(r"[^a-z]+", "-", title.lower())
    content: dict[str, Any] = {
        "type": f"urn:experiment-pipeline:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if errors is not None:
        content["errors"] = dict(errors)
    return Response(json.dumps(content), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    """Every error that has an answer gets it here; the others are faults, and end in the middleware."""
    app.add_exception_handler(ExperimentPipelineError, _deliberate)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OperationalError, _unavailable)


def _deliberate(_: Request, error: Exception) -> Response:
    status, title = next((KINDS[kind] for kind in type(error).__mro__ if kind in KINDS), FAULT)
    if isinstance(error, ConfigurationError):
        return _by_field(error.errors)
    headers = {}
    if isinstance(error, Throttled):
        headers["Retry-After"] = str(error.seconds_left)
    return problem(status, title, str(error), headers=headers)


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    if any(each["type"] == "json_invalid" for each in error.errors()):
        return _by_field({"body": ["Must be JSON."]})
    return _by_field(errors_by_field(error.errors(), skip=1))


def _by_field(errors: Mapping[str, list[str]]) -> Response:
    detail = " ".join(message for messages in errors.values() for message in messages)
    return problem(400, "Invalid request", detail, errors=errors)


def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    title = HTTPStatus(error.status_code).phrase.capitalize()
    return problem(error.status_code, title, str(error.detail), headers=error.headers)


def _unavailable(_: Request, error: Exception) -> Response:
    log.error("registry.unavailable", error=type(error).__name__)
    detail = "The registry cannot be reached. Try again later."
    return problem(503, "Service unavailable", detail, headers={"Retry-After": "5"})
