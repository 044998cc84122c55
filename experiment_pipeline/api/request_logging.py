"""Request logging: every request gets an id, one line in the log, and its numbers for Prometheus."""

import re
import time
from uuid import uuid4

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from experiment_pipeline.api.problems import problem

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
UNKNOWN_ROUTE = "unknown"  # never the path itself: its values are without end
QUIET = {"/healthz", "/readyz", "/metrics"}
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}  # a client may make up others without end
FAULT = "This is a fault of the server; its log has the request's id."
log = structlog.get_logger(__name__)


class RequestMetrics:
    """Prometheus counters of requests and their durations, by route, in a registry of their own."""

    def __init__(self) -> None:
        self.prometheus = CollectorRegistry()
        self.requests = Counter(
            "http_requests", "Requests answered.", ["method", "route", "status"], registry=self.prometheus
        )
        self.seconds = Histogram(
            "http_request_duration_seconds", "Time to the whole answer.", ["method", "route"], registry=self.prometheus
        )


class RequestLogging:
    """Outermost middleware: it sees every answer, those of other middleware and of failures too."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, then log it and count it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status, begun_to_answer = 500, False
        begun = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status, begun_to_answer
            if message["type"] == "http.response.start":
                status, begun_to_answer = message["status"], True
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:  # whatever it was: the log gets all of it, the client a problem
            log.exception("request.failed")
            if not begun_to_answer:
                await problem(500, "Internal server error", FAULT)(scope, receive, send_with_id)
        finally:
            self._record(scope, status, time.perf_counter() - begun)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.metrics.requests.labels(method, route, status).inc()
        self.metrics.seconds.labels(method, route).observe(seconds)
        if route in QUIET and status < 500:
            return
        named = scope.get("path_params", {})
        log.info(
            "request.answered",
            method=method,
            route=route,
            status=status,
            milliseconds=round(1000 * seconds, 1),
            environment=named.get("environment_key"),
            experiment=named.get("experiment"),
            key=scope.get("state", {}).get("key"),
        )
