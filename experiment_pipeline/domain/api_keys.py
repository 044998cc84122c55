"""API keys: what somebody who asks the HTTP API may do in one environment."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """Permission of a key; each scope allows more than the one before."""

    READ = "read"
    REFRESH = "refresh"
    ADMIN = "admin"

    def allows(self, needed: "Scope") -> bool:
        """Return whether this scope includes the needed one."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it may be shown: its prefix tells it from others and opens nothing.

    Attributes:
        expires_at: from when on it opens nothing, UTC; None for never.
    """

    id: int
    environment_key: str
    scope: Scope
    prefix: str
    name: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    expires_at: datetime | None = None

    def is_expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now
