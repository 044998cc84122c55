"""Rate limits: how often one key, or one environment's senders, may ask this process (docs/adr/0070).

Token buckets: one fills at a rate up to a limit, and a request takes a token. Each process counts for itself: with four
workers, a key may ask four times as often as the settings say.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from experiment_pipeline.domain.api_keys import ApiKey
from experiment_pipeline.errors import RateLimited
from experiment_pipeline.settings import Settings

MOST_BUCKETS = 10_000  # then full ones are forgotten: a new one is full, too


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float  # monotonic


class TokenBuckets:
    """Buckets by name. Safe to use from several threads."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}

    def take(self, name: str) -> float:
        """Take a token, and return 0; where there is none, return the seconds until there is one."""
        with self._lock:
            now = self._clock()
            bucket = self._buckets.get(name)
            if bucket is None:
                self._make_room(now)
                bucket = self._buckets[name] = _Bucket(self._burst, now)
            bucket.tokens = self._filled(bucket, now)
            bucket.at = now
            if bucket.tokens < 1:
                return (1 - bucket.tokens) / self._rate
            bucket.tokens -= 1
            return 0.0

    def _filled(self, bucket: _Bucket, now: float) -> float:
        return min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)

    def _make_room(self, now: float) -> None:
        if len(self._buckets) >= MOST_BUCKETS:
            full = [name for name, each in self._buckets.items() if self._filled(each, now) >= self._burst]
            for name in full or list(self._buckets):
                del self._buckets[name]


class RateLimits:
    """The limits of one process, of API keys and of environments that events are sent to."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        rate = settings.collector_environment_rate
        self._keys = TokenBuckets(settings.http_key_rate, settings.http_key_burst, clock)
        self._environments = None if rate is None else TokenBuckets(rate, 2 * rate, clock)

    def ask_with(self, key: ApiKey) -> None:
        """Count one request with a valid key. Raises RateLimited."""
        if seconds := self._keys.take(key.prefix):
            raise RateLimited("This API key asks too often. Try again later.", seconds)

    def send_to(self, environment_key: str) -> None:
        """Count one request with events for an environment that exists. Raises RateLimited."""
        if self._environments is not None and (seconds := self._environments.take(environment_key)):
            raise RateLimited(f"Events of '{environment_key}' are sent too often. Try again later.", seconds)
