"""Probes for operators: whether the process lives, whether it is ready, and its Prometheus metrics."""

import os
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import SQLAlchemyError

from experiment_pipeline.api.dependencies import Shared
from experiment_pipeline.api.problems import UNAVAILABLE_SECONDS, problem, problems

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="The process answers", response_class=PlainTextResponse)
def healthz() -> str:
    return "ok"


@router.get(
    "/readyz",
    summary="Everything that a request needs is there",
    response_class=PlainTextResponse,
    responses=problems(503),
)
def readyz(shared: Shared) -> Response:
    try:
        missing = [] if shared.registry.is_current() else ["the registry's schema is not the one of this version"]
    except SQLAlchemyError:
        missing = ["the registry cannot be reached"]
    if not _writable(shared.settings.landing_dir):
        missing.append("the landing zone cannot be written")
    if missing:
        return problem(
            503, "Not ready", f"Not ready: {'; '.join(missing)}.", headers={"Retry-After": UNAVAILABLE_SECONDS}
        )
    return PlainTextResponse("ready")


@router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    return Response(generate_latest(request.app.state.request_metrics.prometheus), media_type=CONTENT_TYPE_LATEST)


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(directory, os.W_OK | os.X_OK)
