"""Cache of which environments there are: every batch of events asks, and the answer is kept for a few seconds."""

import asyncio
import time
from collections.abc import Callable

from anyio import CapacityLimiter, to_thread

from experiment_pipeline.domain.events import ENVIRONMENT_KEY
from experiment_pipeline.errors import RegistryUnavailable

FRESH_SECONDS = 10.0
MOST_UNKNOWN = 1_024  # keys that anybody may make up
THREADS = 4  # of its own: events are taken in while other requests wait for the registry


class EnvironmentCache:
    """Answers from the registry, kept for a few seconds.

    A known environment stays known while the registry is away, and nobody waits for it to be asked again: that happens
    beside. Belongs to one event loop.
    """

    def __init__(self, exists: Callable[[str], bool]) -> None:
        self._exists = exists
        self._known: dict[str, float] = {}  # until when, monotonic
        self._unknown: dict[str, float] = {}
        self._asked: dict[str, asyncio.Task[bool | RegistryUnavailable]] = {}
        self._threads = CapacityLimiter(THREADS)

    async def has(self, key: str) -> bool:
        """Whether events may be sent for the environment. Raises RegistryUnavailable when nobody knows."""
        if not ENVIRONMENT_KEY.fullmatch(key):
            return False
        now = time.monotonic()
        if self._known.get(key, 0.0) > now:
            return True
        if self._unknown.get(key, 0.0) > now:
            return False
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = asyncio.create_task(self._ask(key))
        if key in self._known:
            return True
        answer = await asyncio.shield(asked)  # others may wait for it too
        if isinstance(answer, RegistryUnavailable):
            raise answer.again()
        return answer

    async def close(self) -> None:
        """Wait for what is asked beside: the registry may be closed then, and no connection of it is left open."""
        await asyncio.gather(*self._asked.values(), return_exceptions=True)

    async def _ask(self, key: str) -> bool | RegistryUnavailable:
        """Return the registry's answer, or why there is none: an error that nobody waits for would be logged."""
        try:
            exists = await to_thread.run_sync(self._exists, key, limiter=self._threads)
        except RegistryUnavailable as away:
            if key not in self._known:
                return away
            exists = True
        finally:
            del self._asked[key]
        self._remember(key, exists=exists, until=time.monotonic() + FRESH_SECONDS)
        return exists

    def _remember(self, key: str, *, exists: bool, until: float) -> None:
        if exists:
            self._known[key] = until
            return
        self._known.pop(key, None)
        if len(self._unknown) >= MOST_UNKNOWN:
            self._unknown.clear()
        self._unknown[key] = until
