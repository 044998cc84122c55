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
from starlette.exceptions import HTTPException

from experiment_pipeline.api.methods import allowed_methods
from experiment_pipeline.domain.fields import errors_by_field
from experiment_pipeline.errors import (
    BodyTooLarge,
    ConfigurationError,
    Conflict,
    ExperimentPipelineError,
    Final,
    InvalidBody,
    KeyExpired,
    LakeError,
    LandingUnavailable,
    NotAllowed,
    NotFound,
    NotStarted,
    Overloaded,
    RateLimited,
    RegistryUnavailable,
    Throttled,
    UnknownEnvironment,
)

MEDIA_TYPE = "application/problem+json"
KINDS: Mapping[type[ExperimentPipelineError], tuple[int, str]] = {
    ConfigurationError: (400, "Invalid request"),
    NotAllowed: (400, "Not allowed now"),
    NotStarted: (400, "Not started"),
    Final: (400, "Final"),
    NotFound: (404, "Not found"),
    Conflict: (409, "Conflict"),
    RateLimited: (429, "Too many requests"),
    Throttled: (429, "Too many requests"),
    UnknownEnvironment: (401, "Unauthorized"),
    KeyExpired: (401, "Unauthorized"),
    InvalidBody: (400, "Invalid request"),
    BodyTooLarge: (413, "Content too large"),
    Overloaded: (503, "Service unavailable"),
    LandingUnavailable: (503, "Service unavailable"),
    LakeError: (503, "Service unavailable"),
    RegistryUnavailable: (503, "Service unavailable"),
}
FAULT = (500, "Internal server error")  # an error that no endpoint should raise
UNAVAILABLE_SECONDS = "5"  # after which a 503 asks to be tried again
DESCRIPTIONS = {
    400: "The request breaks a rule",
    401: "No, unknown, revoked or expired API key",
    403: "The key's scope is too small",
    404: "Not found, or of another environment",
    408: "The body came too slowly",
    409: "Conflicts with the current state, e.g. an active experiment for the same feature",
    413: "The body is too large",
    415: "The body's content type or encoding is not supported",
    429: "Too many requests; `Retry-After` says how many seconds are left",
    503: "Cannot answer now, e.g. the registry is locked or away; `Retry-After` says in how many seconds to ask again",
}
log = structlog.get_logger(__name__)


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

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
    """Return one problem document, in ASCII: the name of a field may hold characters that UTF-8 cannot encode."""
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


def problem_of(error: Exception, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return the problem document of one of the errors that this package raises on purpose."""
    status, title = kind_of(error)
    if isinstance(error, ConfigurationError):
        return _by_field(error.errors)
    sent = dict(headers or {})
    if isinstance(error, KeyExpired):
        sent["WWW-Authenticate"] = "Api-Key"
    if isinstance(error, Throttled | RateLimited):
        sent["Retry-After"] = str(error.seconds_left)
    elif status == 503:
        sent["Retry-After"] = UNAVAILABLE_SECONDS
    return problem(status, title, str(error), headers=sent)


def kind_of(error: Exception) -> tuple[int, str]:
    """Return the status and the title of an error; those of a fault for one that no endpoint should raise."""
    return next((KINDS[kind] for kind in type(error).__mro__ if kind in KINDS), FAULT)


def outage_detail(error: RegistryUnavailable) -> str:
    """Log an outage of the registry, and return what a client is told: the cause names servers and files."""
    log.error("registry.unavailable", kind=type(error).__name__, cause=error.cause)
    return f"{error.summary} Try again later."


def fields_of(error: RequestValidationError) -> dict[str, list[str]]:
    """Return the messages of a request that does not fit its endpoint, by field."""
    return errors_by_field(map(_of_whole_parameter, error.errors()), skip=1)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of an endpoint's problems, for its `responses`."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {
        status: {"description": DESCRIPTIONS[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


POSSIBLE = problems(400, 401, 403, 404, 429, 503)  # of every endpoint below an environment
WRITING = problems(408, 409, 413, 415)  # besides, of those that change something


def add_handlers(app: FastAPI) -> None:
    """Register a handler for every error that has an answer; the others are faults, which the middleware answers."""
    app.add_exception_handler(ExperimentPipelineError, _deliberate)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RegistryUnavailable, _unavailable)


def _deliberate(_: Request, error: Exception) -> Response:
    return problem_of(error)


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    if any(each["type"] == "json_invalid" for each in error.errors()):
        return _by_field({"body": ["Must be JSON."]})
    return _by_field(fields_of(error))


def _of_whole_parameter(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the error with the place of its query parameter, instead of one of the parameter's several values."""
    place = error["loc"]
    return error if place[0] == "body" else {**error, "loc": place[:2]}


def _by_field(errors: Mapping[str, list[str]]) -> Response:
    detail = " ".join(message for messages in errors.values() for message in messages)
    return problem(400, "Invalid request", detail, errors=errors)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    title = HTTPStatus(error.status_code).phrase.capitalize()
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(allowed_methods(request))  # the router's own names one route's alone
    return problem(error.status_code, title, str(error.detail), headers=headers)


def _unavailable(_: Request, error: Exception) -> Response:
    assert isinstance(error, RegistryUnavailable)  # noqa: S101 - registered for nothing else
    return problem(503, "Service unavailable", outage_detail(error), headers={"Retry-After": str(error.retry_after)})
