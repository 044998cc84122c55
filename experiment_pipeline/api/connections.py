"""Connections: how many there are, of whom, and how long each may keep the server waiting.

uvicorn waits for ever for a request's head, and for the rest of a body that is answered already. Here both have a
deadline, and where too many are open the one that has been waited for longest gives way, of the sender that has most.
"""

import asyncio
import resource
import sys
import time
from collections import Counter
from enum import Enum, auto
from functools import cache

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from experiment_pipeline.api.senders import Proxies, sender_of
from experiment_pipeline.settings import Settings, settings

LARGEST_HEAD = 64 << 10  # bytes
SWEEP_SECONDS = 1.0
FILES_KEPT = 32  # of the limit of open files, at least, for all but connections
SECONDS_TO_END = 5.0  # that bodies on their way get after SIGTERM
log = structlog.get_logger(__name__)


class Awaited(Enum):
    """Part of a request that a connection's sender is to send next."""

    HEAD = auto()
    BODY = auto()
    NOTHING = auto()  # the application answers
    REQUEST = auto()  # between two requests; uvicorn's keep-alive ends it


class BoundedProtocol(HttpToolsProtocol):
    """A connection that a sender cannot keep open for nothing."""

    awaited = Awaited.HEAD
    since = 0.0  # monotonic, of what is awaited
    head_bytes = 0
    sender: str | None = None  # None: a listed proxy's, and no sender's own

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and expect a head."""
        super().connection_made(transport)
        self._await(Awaited.HEAD)
        connections().add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        connections().discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and refuse a head without end."""
        if self.awaited is Awaited.REQUEST:
            self._await(Awaited.HEAD)
        super().data_received(data)
        if self.awaited is Awaited.HEAD:
            self.head_bytes += len(data)
            if self.head_bytes > LARGEST_HEAD and not self.transport.is_closing():
                self.refuse(b"431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        """Start the application, and expect the body."""
        super().on_headers_complete()
        self.head_bytes = 0
        self._await(Awaited.BODY)

    def on_message_complete(self) -> None:
        """Expect nothing more until the answer is sent."""
        super().on_message_complete()
        self._await(Awaited.REQUEST if self.cycle.response_complete else Awaited.NOTHING)

    def on_response_complete(self) -> None:
        """Expect the next request, or what is left of this one's body."""
        super().on_response_complete()
        if self.awaited is Awaited.NOTHING and self.cycle.response_complete:
            self._await(Awaited.REQUEST)
        elif self.awaited is Awaited.BODY:
            self._await(Awaited.BODY)  # what is left of it is dropped, and has the deadline of a head

    def shutdown(self) -> None:
        """Close the connection, or let its request end: a body that is not there has `SECONDS_TO_END`."""
        super().shutdown()
        if self.awaited is Awaited.BODY:
            self.loop.call_later(SECONDS_TO_END, self._end_if_awaited)

    def refuse(self, status: bytes) -> None:
        """Close the connection with a status and no more: nobody reads a request that has no end."""
        self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()

    def close_if_late(self, now: float, seconds: float) -> None:
        """Close the connection if a head, or the rest of an answered body, has not come within these seconds."""
        if now - self.since < seconds or self.transport.is_closing():
            return
        if self.awaited is Awaited.HEAD:
            if self.head_bytes:
                self.refuse(b"408 Request Timeout")
            else:
                self.transport.close()
        elif self.awaited is Awaited.BODY and self.cycle.response_complete:
            self.transport.close()

    def _await(self, awaited: Awaited) -> None:
        self.awaited, self.since = awaited, time.monotonic()

    def _end_if_awaited(self) -> None:
        if self.awaited is Awaited.BODY:
            self.transport.abort()


class Connections:
    """The connections of this process. Belongs to one event loop."""

    def __init__(self, configured: Settings) -> None:
        self._most = min(configured.http_connections, _affordable())
        self._most_of_sender = configured.http_connections_per_sender
        self._head_seconds = configured.http_head_deadline.total_seconds()
        self._proxies = Proxies(configured.trusted_proxies)
        self._open: set[BoundedProtocol] = set()
        self._by_sender: Counter[str | None] = Counter()
        self._sweeping = False

    def add(self, connection: BoundedProtocol) -> None:
        """Count a new connection; where there are too many, another one is closed, or this one."""
        host = connection.client[0] if connection.client else ""
        connection.sender = None if self._proxies.has(host) or not host else sender_of(host)
        self._open.add(connection)
        self._by_sender[connection.sender] += 1
        sender = connection.sender
        if sender is not None and self._by_sender[sender] > self._most_of_sender:
            self._close_one(connection, {each for each in self._open if each.sender == sender})
        elif len(self._open) > self._most:
            self._close_one(connection, self._open)
        if not self._sweeping:
            self._sweeping = True
            connection.loop.call_later(SWEEP_SECONDS, self._sweep, connection.loop)

    def discard(self, connection: BoundedProtocol) -> None:
        """Forget a connection that is closed; a second time changes nothing."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        self._by_sender[connection.sender] -= 1
        if not self._by_sender[connection.sender]:
            del self._by_sender[connection.sender]

    def _close_one(self, newest: BoundedProtocol, among: set[BoundedProtocol]) -> None:
        """Close the one that has been waited for longest, of the sender that has most; the newest when none is."""
        now = time.monotonic()
        waited_for = [each for each in among if each is not newest and each.awaited is not Awaited.NOTHING]
        chosen = max(waited_for, key=lambda each: (self._by_sender[each.sender], now - each.since), default=newest)
        log.warning("connection.gave_way", sender=chosen.sender, awaited=chosen.awaited.name, open=len(self._open))
        self.discard(chosen)
        chosen.transport.abort()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        for connection in self._open:
            connection.close_if_late(now, self._head_seconds)
        if self._open:
            loop.call_later(SWEEP_SECONDS, self._sweep, loop)
        else:
            self._sweeping = False


def _affordable() -> int:
    """Return how many connections the limit of open files leaves room for, beside segments, registry and log."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else max(1, limit - max(FILES_KEPT, limit // 4))


@cache
def connections() -> Connections:
    """Return the connections of this process."""
    return Connections(settings())
