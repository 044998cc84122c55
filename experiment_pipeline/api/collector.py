"""The event collector, `POST /v1/events`: where the flag SDKs send, unchanged.

A body is limited before it is parsed, lands verbatim as one line, good and bad records alike, and is acknowledged once
that line is durable. The answer says which records the lake will reject, by the lake's own rules (E3).
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

import anyio
from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from experiment_pipeline.api.environment_cache import KnownEnvironments
from experiment_pipeline.api.problems import problem
from experiment_pipeline.domain import events
from experiment_pipeline.domain.events import NotJson, Rejected
from experiment_pipeline.landing.writer import Overloaded, SegmentWriter
from experiment_pipeline.registry.repository import Registry
from experiment_pipeline.settings import Settings

PATH = "/v1/events"
LARGEST_BODY = 10 << 20  # bytes, as sent and again as inflated
MOST_EVENTS = 10_000
INLINE_BYTES = 64 << 10  # a larger body is parsed in a thread, one at a time
INFLATED_AT_ONCE = 64 << 10
GZIP = 31  # zlib's window bits for a gzip member
RETRY_AFTER = "5"  # seconds
ALLOWED_HEADERS = "Content-Type, Content-Encoding, X-Environment-Key, Flagsmith-SDK-User-Agent"
ONE_LINE = bytes.maketrans(b"\r\n", b"  ")  # between JSON's tokens; inside them neither may stand
router = APIRouter(tags=["events"])


class RejectedRecord(BaseModel):
    """A record that breaks the contract; it has landed all the same."""

    index: int
    reason: str


class Receipt(BaseModel):
    """What became of a body that is durable now."""

    received: int
    accepted: int
    rejected: list[RejectedRecord]


class Refused(Exception):
    """A request that lands nothing; becomes a problem document."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        self.status = status
        self.title = title
        super().__init__(detail)


class Collector:
    """What the endpoint keeps between requests."""

    def __init__(
        self, registry: Registry, settings: Settings, now: Callable[[], datetime], metrics: CollectorRegistry
    ) -> None:
        self.environments = KnownEnvironments(registry.environment_exists)
        self.now = now
        self.origins = frozenset(origin.strip() for origin in settings.collector_origins.split(","))
        self.received = Counter("events_received", "Records that became durable.", registry=metrics)
        self.accepted = Counter("events_accepted", "Those of them that keep the contract.", registry=metrics)
        self.rejected = Counter("events_rejected", "Those that break it.", ["reason"], registry=metrics)
        self.bytes = Counter("events_bytes", "Bytes that became durable.", registry=metrics)
        seconds = Histogram("events_sync_seconds", "Time of one fsync of a segment.", registry=metrics)
        self.segments = SegmentWriter(
            settings.landing_dir,
            object_bytes=settings.landing_object_bytes,
            object_age=settings.landing_object_age,
            buffer_bytes=settings.collector_buffer_bytes,
            on_sync=seconds.observe,
        )
        oldest = Gauge("events_oldest_unlanded_seconds", "Age of the oldest line not visible yet.", registry=metrics)
        oldest.set_function(lambda: self.segments.oldest_age().total_seconds())
        self._buffer_bytes = settings.collector_buffer_bytes
        self._held = 0
        self._large = anyio.Semaphore(1)

    async def collect(self, request: Request) -> Receipt:
        """Take one body in. Raises Refused."""
        environment_key = request.headers.get("x-environment-key", "")
        if not await self.environments.has(environment_key):
            raise Refused(401, "Unauthorized", _unknown(environment_key))
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(400, "Invalid request", "The content type must be application/json.")
        with self._hold() as hold:
            body = bytearray()
            try:
                async for part in _inflated(request):
                    if len(body) + len(part) > LARGEST_BODY:
                        raise _too_large()
                    hold(len(part))
                    body += part
                return await self._land(environment_key, body)
            finally:
                body.clear()  # an error's traceback outlives the request

    async def _land(self, environment_key: str, body: bytearray) -> Receipt:
        if len(body) <= INLINE_BYTES:
            receipt = judge(body, environment_key, self.now())
        else:
            async with self._large:
                receipt = await to_thread.run_sync(judge, body, environment_key, self.now())
        if isinstance(receipt, Refused):
            raise receipt
        line = bytes(body.translate(ONE_LINE)) + b"\n"
        try:
            await asyncio.wrap_future(self.segments.append(environment_key, line))
        except Overloaded:
            raise _overloaded() from None
        except OSError:
            raise Refused(503, "Service unavailable", "The landing zone cannot be written. Try again later.") from None
        self.received.inc(receipt.received)
        self.accepted.inc(receipt.accepted)
        self.bytes.inc(len(line))
        for record in receipt.rejected:
            self.rejected.labels(record.reason).inc()
        return receipt

    @contextmanager
    def _hold(self) -> Iterator[Callable[[int], None]]:
        """Count the bytes of bodies in memory against what there may be."""
        mine = 0

        def hold(more: int) -> None:
            nonlocal mine
            if self._held + more > self._buffer_bytes:
                raise _overloaded()
            self._held += more
            mine += more

        try:
            yield hold
        finally:
            self._held -= mine

    def cors(self, request: Request) -> dict[str, str]:
        """The headers that let a page of an allowed origin read the answer."""
        if "*" in self.origins:
            return {"Access-Control-Allow-Origin": "*"}
        origin = request.headers.get("origin", "")
        return {"Vary": "Origin"} | ({"Access-Control-Allow-Origin": origin} if origin in self.origins else {})


def judge(body: bytearray, environment_key: str, now: datetime) -> Receipt | Refused:
    """Which records of a body the lake will accept; Refused when it is no envelope.

    Nothing is raised here: an error would keep the whole text and its records until the garbage collector comes by.
    """
    decoded: object = None
    with suppress(UnicodeDecodeError, NotJson):
        decoded = events.decode(body.decode())
    if not events.is_envelope(decoded):
        return Refused(400, "Invalid request", 'The body must be a JSON object: {"events": [...]}.')
    records = events.records(decoded)
    if len(records) > MOST_EVENTS:
        return Refused(413, "Content too large", f"The body must not hold more than {MOST_EVENTS} events.")
    rejected = [
        RejectedRecord(index=index, reason=verdict.reason)
        for index, record in enumerate(records)
        if isinstance(verdict := events.parse(record, environment_key, now), Rejected)
    ]
    return Receipt(received=len(records), accepted=len(records) - len(rejected), rejected=rejected)


@router.post(
    PATH,
    status_code=202,
    summary="Send events",
    response_model=Receipt,
    openapi_extra={
        "parameters": [
            {"name": "X-Environment-Key", "in": "header", "required": True, "schema": {"type": "string"}},
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["events"],
                        "properties": {"events": {"type": "array", "items": {}, "maxItems": MOST_EVENTS}},
                    }
                }
            },
        },
    },
)
async def post_events(request: Request) -> Response:
    collector = request.app.state.collector
    cors = collector.cors(request)
    try:
        receipt = await collector.collect(request)
    except Refused as refused:
        headers = cors | ({"Retry-After": RETRY_AFTER} if refused.status == 503 else {})
        return problem(refused.status, refused.title, str(refused), headers=headers)
    return JSONResponse(receipt.model_dump(), 202, headers=cors)


@router.options(PATH, status_code=204, summary="Ask whether a page may send events", response_class=Response)
async def ask_to_send(request: Request) -> Response:
    headers = {
        "Access-Control-Allow-Methods": "POST, OPTIONS",
        "Access-Control-Allow-Headers": ALLOWED_HEADERS,
        "Access-Control-Max-Age": "86400",
    }
    return Response(status_code=204, headers=request.app.state.collector.cors(request) | headers)


async def _inflated(request: Request) -> AsyncIterator[bytes]:
    """The body in parts, none much larger than what was sent or `INFLATED_AT_ONCE`."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise Refused(400, "Invalid request", "The content encoding must be gzip, or none.")
    member = zlib.decompressobj(GZIP)
    sent = 0
    try:
        async for data in request.stream():
            sent += len(data)
            if sent > LARGEST_BODY:
                raise _too_large()
            if encoding == "identity":
                yield data
                continue
            rest = data
            while rest:
                yield member.decompress(rest, INFLATED_AT_ONCE)
                rest = member.unconsumed_tail or member.unused_data
                if member.eof and rest:
                    member = zlib.decompressobj(GZIP)
    except ClientDisconnect:
        raise Refused(400, "Invalid request", "The body ended early.") from None
    except zlib.error:
        raise Refused(400, "Invalid request", "The body must be gzip, as its content encoding says.") from None
    if encoding == "gzip" and not member.eof:
        raise Refused(400, "Invalid request", "The gzip of the body ended early.")


def _too_large() -> Refused:
    return Refused(413, "Content too large", f"The body must not exceed {LARGEST_BODY} bytes, sent or inflated.")


def _overloaded() -> Refused:
    return Refused(503, "Service unavailable", "Too much is waiting for the disk. Try again later.")


def _unknown(environment_key: str) -> str:
    missing = "The header X-Environment-Key must name an environment."
    return f"{missing} The registry has no '{environment_key}'." if environment_key else missing
