"""Problem documents as errors: those that the API makes of its own errors, made errors again."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from email.message import Message

from experiment_pipeline.client.errors import Forbidden, Unauthorized, Unavailable, UnexpectedAnswer
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

KINDS: Mapping[str, Callable[[str], ExperimentPipelineError]] = {
    "not-allowed-now": NotAllowed,
    "not-started": NotStarted,
    "final": Final,
    "not-found": NotFound,
    "conflict": Conflict,
    "unauthorized": Unauthorized,
    "forbidden": Forbidden,
}
PREFIX = "urn:experiment-pipeline:"
GATEWAYS = (502, 504)  # of a proxy that has no answer of the server: nobody knows what became of the request
SHORTEST_PAUSE = 1.0  # seconds


def error_of(status: int, headers: Message, body: bytes, url: str) -> ExperimentPipelineError:
    """Return the error that an answer tells.

    Args:
        status: of the answer, 300 or more.
        headers: of the answer.
        body: a problem document (RFC 9457), or anything else.
        url: the server's, for the message.
    """
    problem = _problem(body)
    detail = str(problem.get("detail") or f"{url} answered {status}.")
    kind = str(problem.get("type", "")).removeprefix(PREFIX)
    if status in GATEWAYS:
        return Unavailable(detail, retry_after=_seconds(headers))
    if status == 503:
        return Unavailable(detail, is_undone=bool(problem), retry_after=_seconds(headers))
    if status == 429 and problem:
        return Throttled(detail, timedelta(seconds=_seconds(headers) or SHORTEST_PAUSE))
    errors = problem.get("errors")
    if status == 400 and isinstance(errors, dict):
        return ConfigurationError({str(field): [str(each) for each in said] for field, said in errors.items()})
    if kind in KINDS:
        return KINDS[kind](detail)
    return UnexpectedAnswer(f"{url} answered {status}: {detail} Is it the address of the API?")


def _problem(body: bytes) -> Mapping[str, object]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and str(found.get("type", "")).startswith(PREFIX) else {}


def _seconds(headers: Message) -> float | None:
    said = headers.get("Retry-After", "")
    return float(said) if said.isascii() and said.isdigit() else None
