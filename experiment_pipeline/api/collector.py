"""The event collector, `POST /v1/events`: the endpoint that the flag SDKs send to, unchanged.

A body is limited before it is parsed, lands verbatim as one line, good and bad records alike, and is acknowledged once
that line is durable. The answer says which records the lake will reject, by the lake's own rules (E3), and which fields
it does not keep.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import anyio
from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry, Counter, Histogram
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from experiment_pipeline.api.admission import Admission
from experiment_pipeline.api.cors import preflight_headers
from experiment_pipeline.api.environment_cache import EnvironmentCache
from experiment_pipeline.api.media_types import IDENTITY, encoding_of, require_json_or_gzip
from experiment_pipeline.api.problems import problems
from experiment_pipeline.api.rate_limits import RateLimits
from experiment_pipeline.api.senders import sender_of
from experiment_pipeline.domain import events
from experiment_pipeline.domain.envelopes import open_envelope, text_of
from experiment_pipeline.domain.events import Reason, Rejected
from experiment_pipeline.domain.unknown_fields import count_unknown, likely_field
from experiment_pipeline.errors import (
    BodyTooLarge,
    EventsRefused,
    InvalidBody,
    LandingUnavailable,
    UnknownEnvironment,
)
from experiment_pipeline.landing.json_lines import GZIP_WINDOW_BITS
from experiment_pipeline.landing.landing_writer import open_writer
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings

PATH = "/v1/events"
LARGEST_BODY = 10 << 20  # bytes, as sent and again as inflated
MOST_EVENTS = 10_000
INLINE_BYTES = 64 << 10  # a larger body is parsed in a thread, one at a time
INFLATED_AT_ONCE = 64 << 10
ONE_LINE = bytes.maketrans(b"\r\n", b"  ")  # between JSON's tokens, where a line's end is mere space
STILL_NO_JSON = bytes.maketrans(b"\r\n", b"\t\t")  # space too, and inside of a string as little JSON as a line's end
router = APIRouter(tags=["events"])


class RejectedRecord(BaseModel):
    """A record that breaks the contract; it has landed all the same."""

    index: int
    reason: str


class UnknownField(BaseModel):
    """A field that no event has: it has landed with its record, and is not kept."""

    name: str
    records: int
    is_meant: str | None = Field(description="the field that is probably meant")


class Receipt(BaseModel):
    """Outcome of a request whose body is durable now."""

    received: int
    accepted: int
    rejected: list[RejectedRecord]
    unknown_fields: list[UnknownField] | None = Field(
        default=None, description="the twenty that most records hold; left out where there are none"
    )


class Collector:
    """State that the endpoint keeps between requests: known environments, open segments, bytes in memory, counters."""

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        now: Callable[[], datetime],
        limits: RateLimits,
        prometheus: CollectorRegistry,
    ) -> None:
        self.environments = EnvironmentCache(registry.environments.exists)
        self.now = now
        self.limits = limits
        self.timezone = settings.landing_zone_info
        self.received = Counter("events_received", "Records that became durable.", registry=prometheus)
        self.accepted = Counter("events_accepted", "Durable records that keep the contract.", registry=prometheus)
        self.rejected = Counter("events_rejected", "Durable records that break it.", ["reason"], registry=prometheus)
        self.bytes = Counter("events_bytes", "Bytes that became durable.", registry=prometheus)
        seconds = Histogram("events_sync_seconds", "Time of one fsync of a segment.", registry=prometheus)
        of_requests = Histogram(
            "events_put_seconds", "Time of one request that puts events into the object storage.", registry=prometheus
        )
        self.writer = open_writer(settings, on_sync=seconds.observe, on_put=of_requests.observe)
        self.admission = Admission(
            buffer_bytes=settings.collector_buffer_bytes,
            environment_share=settings.collector_environment_share,
            sender_share=settings.collector_sender_share,
            largest_body=LARGEST_BODY,
        )
        self._large = anyio.CapacityLimiter(1)  # a thread of its own: what waits for the registry may have all others

    async def collect(self, request: Request) -> Receipt:
        """Land one request's body and return what became of its records. Raises EventsRefused or RateLimited."""
        environment_key = request.headers.get("x-environment-key", "")
        if not await self.environments.has(environment_key):
            raise UnknownEnvironment(environment_key)
        self.limits.send_to(environment_key)
        require_json_or_gzip(request)
        sender = sender_of(request.client.host if request.client else "")
        with self.admission.admit(environment_key, sender) as body:
            await body.read(_inflated(request))
            return await self._land(environment_key, body.data)

    async def _land(self, environment_key: str, body: bytearray) -> Receipt:
        if len(body) <= INLINE_BYTES:
            receipt = judge(body, environment_key, self.now(), self.timezone)
        else:
            receipt = await to_thread.run_sync(
                judge, body, environment_key, self.now(), self.timezone, limiter=self._large
            )
        if isinstance(receipt, EventsRefused):
            raise receipt
        is_json = all(record.reason != Reason.NOT_JSON for record in receipt.rejected)
        line = bytes(body.translate(ONE_LINE if is_json else STILL_NO_JSON)) + b"\n"
        try:
            await asyncio.wrap_future(self.writer.append(environment_key, line))
        except OSError:
            raise LandingUnavailable from None
        self.received.inc(receipt.received)
        self.accepted.inc(receipt.accepted)
        self.bytes.inc(len(line))
        for record in receipt.rejected:
            self.rejected.labels(record.reason).inc()
        return receipt


def judge(body: bytearray, environment_key: str, now: datetime, timezone: ZoneInfo | None) -> Receipt | EventsRefused:
    """Return which records of a body the lake will accept, or why the whole body is refused.

    Nothing is raised here: an error would keep the whole text and its records until the garbage collector comes by.
    """
    records = open_envelope(text_of(bytes(body)), MOST_EVENTS)
    if records is None:
        return InvalidBody('The body must be a JSON object: {"events": [...]}.')
    if len(records) > MOST_EVENTS:
        return BodyTooLarge(f"The body must not hold more than {MOST_EVENTS} events.")
    rejected = [
        RejectedRecord(index=index, reason=verdict.reason)
        for index, record in enumerate(records)
        if isinstance(verdict := events.parse(record, environment_key, now, timezone), Rejected)
    ]
    return Receipt(
        received=len(records),
        accepted=len(records) - len(rejected),
        rejected=rejected,
        unknown_fields=_unknown_fields(records),
    )


def _unknown_fields(records: Iterable[object]) -> list[UnknownField] | None:
    """Return the fields that no event has, those that most records hold first; None for none."""
    found = count_unknown(records).records
    return [UnknownField(name=name, records=count, is_meant=_likely(name)) for name, count in found.items()] or None


@lru_cache(maxsize=1_000)  # a sender repeats its mistakes
def _likely(name: str) -> str | None:
    return likely_field(name)


@router.post(
    PATH,
    status_code=202,
    summary="Send events",
    response_model=Receipt,
    responses=problems(400, 401, 408, 413, 415, 429, 503),
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
    receipt = await request.app.state.collector.collect(request)
    return JSONResponse(receipt.model_dump(exclude=None if receipt.unknown_fields else {"unknown_fields"}), 202)


@router.options(PATH, status_code=204, summary="CORS preflight", response_class=Response)
async def ask_to_send(request: Request) -> Response:
    return Response(status_code=204, headers=preflight_headers(request))


async def _inflated(request: Request) -> AsyncIterator[bytes]:
    """Yield the body in parts, none much larger than what was sent or `INFLATED_AT_ONCE`. Raises EventsRefused."""
    encoding = encoding_of(request)
    member = zlib.decompressobj(GZIP_WINDOW_BITS)
    sent = 0
    try:
        async for data in request.stream():
            sent += len(data)
            if sent > LARGEST_BODY:
                raise BodyTooLarge(f"The body must not exceed {LARGEST_BODY} bytes, sent or inflated.")
            if encoding == IDENTITY:
                yield data
                continue
            rest = data
            while rest:
                yield member.decompress(rest, INFLATED_AT_ONCE)
                rest = member.unconsumed_tail or member.unused_data
                if member.eof and rest:
                    member = zlib.decompressobj(GZIP_WINDOW_BITS)
    except ClientDisconnect:
        raise InvalidBody("The body ended early.") from None
    except zlib.error:
        raise InvalidBody("The body must be gzip, as its content encoding says.") from None
    if encoding == "gzip" and not member.eof:
        raise InvalidBody("The gzip of the body ended early.")
