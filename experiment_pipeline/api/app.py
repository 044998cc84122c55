"""The HTTP API and the results page: they read the registry and take requests; nothing is computed here."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial

import structlog
from anyio import to_thread
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from uvicorn.config import STARTUP_FAILURE

from experiment_pipeline import logs
from experiment_pipeline.api import (
    attachments,
    audit,
    collector,
    computations,
    environments,
    experiments,
    health,
    live_stats,
    looks,
    metrics,
    openapi,
    power,
    probes,
    problems,
    server,
)
from experiment_pipeline.api.body_limit import BodyLimit
from experiment_pipeline.api.cors import CollectorCors
from experiment_pipeline.api.deadlines import BodyDeadline
from experiment_pipeline.api.dependencies import State, utc_now
from experiment_pipeline.api.methods import Methods
from experiment_pipeline.api.payload_cache import PayloadCache
from experiment_pipeline.api.rate_limits import RateLimits
from experiment_pipeline.api.request_logging import RequestLogging, RequestMetrics
from experiment_pipeline.api.security_headers import DocsPolicy, SecurityHeaders
from experiment_pipeline.api.site import actions, experiment, listing, sign_in
from experiment_pipeline.api.site import power as power_page
from experiment_pipeline.registry.change_counter import ChangeCounter
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.registry.wait_limits import WaitLimits
from experiment_pipeline.settings import Settings, read_settings

BASE = "/api/v1"
DOCS = f"{BASE}/docs"
LARGEST_BODY = 1024 * 1024  # bytes; the longest experiment that the rules allow fits several times
SECONDS_TO_LAND = 8  # after SIGTERM, once open requests are answered: a disk or a registry may hang
log = structlog.get_logger(__name__)
DESCRIPTION = "Experiments and metrics, what was computed of them, and requests to compute it anew."


def create_app(registry: Registry, settings: Settings, now: Callable[[], datetime] = utc_now) -> FastAPI:
    """Return an application on an open registry, which it closes at its end."""
    app = _app(registry, settings, now)
    nouns = (
        environments, experiments, attachments, computations, live_stats, looks, health, metrics, power, audit,
    )  # fmt: skip
    for noun in nouns:
        app.include_router(noun.router)
    for page in (sign_in, listing, experiment, actions, power_page):
        app.include_router(page.router)
    app.add_middleware(BodyLimit, largest=LARGEST_BODY, exempt=collector.PATH)
    return _with_middleware(app, settings)


def create_collector(registry: Registry, settings: Settings, now: Callable[[], datetime] = utc_now) -> FastAPI:
    """Return an application of the event collector and the probes alone."""
    app = _app(registry, settings, now)
    return _with_middleware(app, settings)


def _app(registry: Registry, settings: Settings, now: Callable[[], datetime]) -> FastAPI:
    request_metrics = RequestMetrics()
    limits, changes = RateLimits(settings), ChangeCounter(registry.engine)
    collecting = collector.Collector(registry, settings, now, limits, prometheus=request_metrics.prometheus)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        collecting.writer.start()
        yield
        if app.state.has_its_process:
            server.exit_within(SECONDS_TO_LAND)
        await to_thread.run_sync(collecting.writer.close)
        await collecting.environments.close()
        changes.close()
        registry.close()

    app = FastAPIOffline(
        title="experiment-pipeline",
        version="1",  # of the contract, not of the package
        description=DESCRIPTION,
        openapi_url=f"{BASE}/openapi.json",
        docs_url=DOCS,
        static_url=f"{DOCS}/static",
        swagger_ui_oauth2_redirect_url=f"{DOCS}/oauth2-redirect",
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.changes = changes
    app.state.shared = State(registry=registry, settings=settings, limits=limits, now=now)
    app.state.request_metrics = request_metrics
    app.state.collector = collecting
    app.state.has_its_process = False
    app.include_router(collector.router)
    app.include_router(probes.router)
    problems.add_handlers(app)
    app.openapi = partial(openapi.document, app)  # type: ignore[method-assign]
    return app


def _with_middleware(app: FastAPI, settings: Settings) -> FastAPI:
    """Return the application with what every answer goes through; what is added last comes first."""
    app.add_middleware(DocsPolicy, path=DOCS)
    app.add_middleware(Methods)
    app.add_middleware(BodyDeadline, seconds=settings.http_body_deadline.total_seconds(), rate=settings.http_body_rate)
    shared: State = app.state.shared
    app.add_middleware(PayloadCache, counter=app.state.changes, limits=shared.limits, now=shared.now)
    app.add_middleware(RequestLogging, metrics=app.state.request_metrics)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(CollectorCors, path=collector.PATH, origins=settings.collector_origins)
    return app


def from_environment() -> FastAPI:
    """Return the application that the process's settings describe, with its logs: a server process starts this one."""
    return _start(create_app)


def collector_from_environment() -> FastAPI:
    """Return the collector that the process's settings describe, with its logs."""
    return _start(create_collector)


def _start(create: Callable[[Registry, Settings], FastAPI]) -> FastAPI:
    logs.configure_server()
    server.end_with_master()
    try:
        settings = read_settings()
        limits = WaitLimits.of_requests(settings.http_registry_wait)
        app = create(Registry.open(settings.database_url, limits, may_be_away=True), settings)
    except Exception as failed:  # a process that multiprocessing has started would print it where no hook looks
        log.exception("server.not_started")
        raise SystemExit(STARTUP_FAILURE) from failed
    app.state.has_its_process = True
    return app
