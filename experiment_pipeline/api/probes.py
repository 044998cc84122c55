"""Probes for operators: whether the process lives, whether it is ready, and its Prometheus metrics."""

from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from experiment_pipeline.api.dependencies import Shared
from experiment_pipeline.api.lake_soundness import lake_flaw
from experiment_pipeline.api.problems import UNAVAILABLE_SECONDS, problem, problems
from experiment_pipeline.api.worker_metrics import (
    NotificationDeliveries,
    OldestUnlanded,
    PublicationsWaiting,
    RefreshesComputed,
    exposition,
)
from experiment_pipeline.errors import RegistryUnavailable
from experiment_pipeline.landing.segments import oldest_age, strays

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="The process answers", response_class=PlainTextResponse)
async def healthz() -> str:  # async: it waits for no thread, which others may have taken
    return "ok"


@router.get(
    "/readyz",
    summary="Everything that a request needs is there",
    response_class=PlainTextResponse,
    responses=problems(503),
)
def readyz(request: Request, shared: Shared) -> Response:
    try:
        missing = [] if shared.registry.is_current() else ["the registry's schema is not the one of this version"]
    except RegistryUnavailable as away:
        missing = [away.summary[0].lower() + away.summary[1:].rstrip(".")]
    missing += request.app.state.collector.writer.refusals()
    if missing:
        return problem(
            503, "Not ready", f"Not ready: {'; '.join(missing)}.", headers={"Retry-After": UNAVAILABLE_SECONDS}
        )
    notes = [f"landing zone: {path} is no segment, left alone" for path in strays(shared.settings.segments_dir)]
    if (flaw := lake_flaw(shared)) is not None:
        notes.append(f"lake: {flaw} Results stay as they are until then, and events are collected.")
    return PlainTextResponse("\n".join(["ready", *notes]))


@router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
def metrics(request: Request, shared: Shared) -> Response:
    oldest = OldestUnlanded(partial(oldest_age, shared.settings.segments_dir))
    waiting = PublicationsWaiting(lambda: shared.registry.table_outbox.state().waiting)
    deliveries = NotificationDeliveries(shared.registry.notifications.count_by_state)
    refreshes = RefreshesComputed(shared.registry.refresh_costs.by_asset)
    text = exposition(request.app.state.request_metrics.prometheus, oldest, waiting, deliveries, refreshes)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
