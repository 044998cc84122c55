"""Payloads that were served are served again without reading them, while the registry is unchanged (docs/adr/0073).

A request that repeats an earlier one, with the same key, asks the registry's change counter alone: no thread, no query,
no JSON. Any commit to the registry makes every kept answer stale, a revoked key among them; so an answer is never older
than what the registry itself would say.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from experiment_pipeline.api.problems import problem_of
from experiment_pipeline.api.rate_limits import RateLimits
from experiment_pipeline.domain.api_keys import ApiKey
from experiment_pipeline.errors import RateLimited
from experiment_pipeline.registry.change_counter import ChangeCounter
from experiment_pipeline.registry.keys import USE_RECORDED_EVERY

ENDINGS = ("/results/", "/exposures/")
SERVED = "served_payload"  # the name in the request's state, by which an endpoint hands its answer over
MOST_BYTES = 32 << 20  # of one process
ENTRY_BYTES = 1_024  # of an entry besides its body, generously


def knows(if_none_match: str, etag: str) -> bool:
    """Whether a client has the answer of this strong ETag (RFC 9110, 13.1.2)."""
    known = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return etag in known or "*" in known


@dataclass(frozen=True, slots=True)
class ServedPayload:
    """An answer that stands until the registry changes.

    Attributes:
        key: that the request was made with.
        body: the payload's envelope, JSON.
        etag: over all of it.
        headers: besides those of its content.
    """

    key: ApiKey
    body: bytes
    etag: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Kept:
    served: ServedPayload
    at: datetime
    version: tuple[int, int]
    route: object
    path_params: Mapping[str, Any]
    common: list[tuple[bytes, bytes]]
    content: list[tuple[bytes, bytes]]


class PayloadCache:
    """Middleware that answers what it has kept, and keeps what endpoints hand over. Belongs to one event loop."""

    def __init__(self, app: ASGIApp, counter: ChangeCounter, limits: RateLimits, now: Callable[[], datetime]) -> None:
        self.app = app
        self.counter = counter
        self.limits = limits
        self.now = now
        self.bytes = 0
        self._kept: OrderedDict[tuple[object, ...], _Kept] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a repeated request, and pass every other one on."""
        name, if_none_match = _asked(scope) or (None, "")
        version = None if name is None else self.counter.read()
        if name is None or version is None:
            await self.app(scope, receive, send)
            return
        kept = self._find(name, version)
        if kept is not None:
            await self._answer(kept, if_none_match, scope, receive, send)
            return
        await self.app(scope, receive, send)
        served = scope.get("state", {}).get(SERVED)
        if isinstance(served, ServedPayload):
            self._keep(name, served, version, scope)

    def _find(self, name: tuple[object, ...], version: tuple[int, int]) -> _Kept | None:
        kept = self._kept.get(name)
        if kept is None:
            return None
        now = self.now()  # once a minute the registry is asked all the same, and records that the key is used
        if (
            kept.version != version
            or not kept.at <= now < kept.at + USE_RECORDED_EVERY
            or kept.served.key.is_expired(now)
        ):
            self._forget(name)
            return None
        self._kept.move_to_end(name)
        return kept

    async def _answer(self, kept: _Kept, if_none_match: str, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["key"] = kept.served.key.prefix  # for the log, as are the next two
        scope["route"], scope["path_params"] = kept.route, kept.path_params
        try:
            self.limits.ask_with(kept.served.key)
        except RateLimited as limited:
            await problem_of(limited)(scope, receive, send)
            return
        is_known = bool(if_none_match) and knows(if_none_match, kept.served.etag)
        headers = kept.common if is_known else [*kept.content, *kept.common]
        await send({"type": "http.response.start", "status": 304 if is_known else 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if is_known else kept.served.body})

    def _keep(self, name: tuple[object, ...], served: ServedPayload, version: tuple[int, int], scope: Scope) -> None:
        size = len(served.body) + ENTRY_BYTES
        if size > MOST_BYTES:
            return
        self._forget(name)
        length = str(len(served.body)).encode()
        self._kept[name] = _Kept(
            served=served,
            at=self.now(),
            version=version,
            route=scope.get("route"),
            path_params=scope.get("path_params", {}),
            common=[(header.lower().encode(), value.encode()) for header, value in served.headers.items()],
            content=[(b"content-length", length), (b"content-type", b"application/json")],
        )
        self.bytes += size
        while self.bytes > MOST_BYTES:
            self._forget(next(iter(self._kept)))

    def _forget(self, name: tuple[object, ...]) -> None:
        if (kept := self._kept.pop(name, None)) is not None:
            self.bytes -= len(kept.served.body) + ENTRY_BYTES


def _asked(scope: Scope) -> tuple[tuple[object, ...], str] | None:
    """Return the name that a kept answer would have, and If-None-Match; None for what is never kept."""
    if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].endswith(ENDINGS):
        return None
    authorization, if_none_match = b"", b""
    for header, value in scope["headers"]:
        if header == b"authorization":
            if authorization:
                return None
            authorization = value
        elif header == b"if-none-match":
            if if_none_match:
                return None
            if_none_match = value
    if not authorization:
        return None
    return (scope["path"], scope["query_string"], sha256(authorization).digest()), if_none_match.decode("latin-1")
