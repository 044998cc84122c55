"""Admission: how the bodies of events share the memory that they are read into.

An environment holds at most its share of the buffer, and so does a sender. Where a limit is reached, somebody else's
body gives way if it is slow, or if its environment (its sender, within an environment) holds more than the newcomer's
would: an environment is never kept out by what others send, even from the same address. A body that gives way is freed
at once, and its request is answered 503.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from experiment_pipeline.errors import BodyTooLarge, GaveWay, Overloaded

LEAST_BYTES = 16 << 10  # that a request counts for: its connection and its head are memory too
SLOW_SECONDS = 1.0  # after which a body that is still being read is slow


@dataclass(eq=False, slots=True)
class Body:
    """A body in memory, until it is on the disk or has given way."""

    environment_key: str
    sender: str
    largest: int
    reserve: "Callable[[Body, int], None]"
    data: bytearray = field(default_factory=bytearray)
    held: int = 0
    begun_at: float = field(default_factory=time.monotonic)
    gave_way: bool = False
    reading: asyncio.Timeout | None = None  # only while its sender is being waited for may it give way

    async def read(self, parts: AsyncIterator[bytes]) -> None:
        """Read all of it.

        Raises:
            BodyTooLarge: it is larger than one request may be.
            Overloaded: there is no room for it.
            GaveWay: there was, and others needed it.
        """
        try:
            async with asyncio.timeout(None) as self.reading:
                async for part in parts:
                    self._append(part)
        except TimeoutError:
            if not self.gave_way:
                raise
            raise GaveWay from None
        finally:
            self.reading = None

    def _append(self, part: bytes) -> None:
        if self.gave_way:
            raise GaveWay
        if len(self.data) + len(part) > self.largest:
            raise BodyTooLarge(f"The body must not exceed {self.largest} bytes, sent or inflated.")
        self.reserve(self, len(part))
        self.data += part

    def give_way(self) -> None:
        """Free the memory now, and end the wait for its sender."""
        assert self.reading is not None  # noqa: S101 - whoever chose it has seen so
        self.gave_way = True
        self.data.clear()
        self.reading.reschedule(asyncio.get_running_loop().time())


@dataclass(frozen=True, slots=True)
class _Scope:
    """Bodies that share a limit, and the groups among which it is fair."""

    shares: Callable[[Body], bool]
    group: Callable[[Body], object]
    held_by_group: Counter[object]
    message: str


class Admission:
    """The buffer, and who holds what of it. Belongs to one event loop."""

    def __init__(self, *, buffer_bytes: int, environment_share: float, sender_share: float, largest_body: int) -> None:
        least = min(buffer_bytes, largest_body + LEAST_BYTES)  # one body fits whatever the share
        self._limit = buffer_bytes
        self._environment_limit = max(least, int(buffer_bytes * environment_share))
        self._sender_limit = max(least, int(buffer_bytes * sender_share))
        self._largest_body = largest_body
        self._held = 0
        self._by_environment: Counter[object] = Counter()
        self._by_sender: Counter[object] = Counter()
        self._by_both: Counter[object] = Counter()
        self._bodies: set[Body] = set()

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._held

    @contextmanager
    def admit(self, environment_key: str, sender: str) -> Iterator[Body]:
        """Yield an empty body for a request, and free what it holds at the end. Raises Overloaded."""
        body = Body(environment_key, sender, self._largest_body, self._reserve)
        self._reserve(body, LEAST_BYTES)
        self._bodies.add(body)
        try:
            yield body
        finally:
            self._free(body)
            body.data.clear()  # an error's traceback outlives the request

    def _reserve(self, body: Body, more: int) -> None:
        while (scope := self._full_scope(body, more)) is not None:
            other = self._who_gives_way(scope, body, more)
            if other is None:
                raise Overloaded(scope.message)
            other.give_way()
            self._free(other)
        self._count(body, more)

    def _full_scope(self, body: Body, more: int) -> _Scope | None:
        environment_key, sender = body.environment_key, body.sender
        if self._by_environment[environment_key] + more > self._environment_limit:
            return _Scope(
                shares=lambda other: other.environment_key == environment_key,
                group=_both,
                held_by_group=self._by_both,
                message=f"The environment '{environment_key}' sends more at once than its share. Try again later.",
            )
        if self._by_sender[sender] + more > self._sender_limit:
            return _Scope(
                shares=lambda other: other.sender == sender,
                group=_both,
                held_by_group=self._by_both,
                message="Your address sends more at once than its share. Try again later.",
            )
        if self._held + more > self._limit:
            return _Scope(
                shares=lambda _: True,
                group=lambda other: other.environment_key,
                held_by_group=self._by_environment,
                message="Too much is being sent at once. Try again later.",
            )
        return None

    def _who_gives_way(self, scope: _Scope, newcomer: Body, more: int) -> Body | None:
        """Return the oldest body of the group that holds most, of those that are slow or whose group holds more."""
        now = time.monotonic()
        mine = scope.held_by_group[scope.group(newcomer)] + more
        candidates = [
            (scope.held_by_group[scope.group(other)], now - other.begun_at, other)
            for other in self._bodies
            if other is not newcomer and other.reading is not None and scope.shares(other)
        ]
        allowed = [each for each in candidates if each[0] > mine or each[1] >= SLOW_SECONDS]
        return max(allowed, key=lambda each: each[:2], default=(0, 0.0, None))[2]

    def _count(self, body: Body, more: int) -> None:
        body.held += more
        self._held += more
        self._by_environment[body.environment_key] += more
        self._by_sender[body.sender] += more
        self._by_both[_both(body)] += more

    def _free(self, body: Body) -> None:
        """Forget a body; a second time changes nothing."""
        self._count(body, -body.held)
        self._bodies.discard(body)
        for held, group in (
            (self._by_environment, body.environment_key),
            (self._by_sender, body.sender),
            (self._by_both, _both(body)),
        ):
            if not held[group]:
                del held[group]  # groups are without end


def _both(body: Body) -> object:
    return body.environment_key, body.sender
