"""Cache of which environments there are: every batch of events asks, and the answer is kept for a few seconds."""

import time
from collections.abc import Callable

from anyio import to_thread
from sqlalchemy.exc import OperationalError

from experiment_pipeline.domain.events import ENVIRONMENT_KEY

FRESH_SECONDS = 10.0
MOST_UNKNOWN = 1_024  # keys that anybody may make up


class EnvironmentCache:
    """Answers from the registry, kept for a few seconds; a known environment stays known while the registry is down."""

    def __init__(self, exists: Callable[[str], bool]) -> None:
        self._exists = exists
        self._known: dict[str, float] = {}  # until when, monotonic
        self._unknown: dict[str, float] = {}

    async def has(self, key: str) -> bool:
        """Whether events may be sent for the environment. Raises OperationalError when nobody knows."""
        if not ENVIRONMENT_KEY.fullmatch(key):
            return False
        now = time.monotonic()
        if self._known.get(key, 0.0) > now:
            return True
        if self._unknown.get(key, 0.0) > now:
            return False
        try:
            exists = await to_thread.run_sync(self._exists, key)
        except OperationalError:
            if key not in self._known:
                raise
            exists = True
        self._remember(key, exists=exists, until=now + FRESH_SECONDS)
        return exists

    def _remember(self, key: str, *, exists: bool, until: float) -> None:
        if exists:
            self._known[key] = until
            return
        self._known.pop(key, None)
        if len(self._unknown) >= MOST_UNKNOWN:
            self._unknown.clear()
        self._unknown[key] = until
