"""Wait limits: how long a call waits for the registry's database, by who calls."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

BUSY_SECONDS = 30.0
ANSWER_SECONDS = 40.0  # Dagster's daemon gives a tick 60 s
REQUEST_ANSWER_SECONDS = 2.0  # beyond a request's wait for a lock
REQUEST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WaitLimits:
    """Limits of one process, in seconds. The defaults are for runs and commands, which have time.

    Attributes:
        lock: for a lock that another transaction has, and for a free connection.
        answer: for PostgreSQL's answer to one statement; a server that is silent for longer counts as cut off.
        pause: after a failed attempt, in which the same is refused at once: what waits takes a thread.
    """

    lock: float = field(default_factory=lambda: BUSY_SECONDS)
    answer: float = ANSWER_SECONDS
    pause: float = 0.0

    @classmethod
    def of_requests(cls, lock: timedelta) -> Self:
        """Return the limits of a server, whose requests wait so long for a lock."""
        seconds = lock.total_seconds()
        return cls(lock=seconds, answer=seconds + REQUEST_ANSWER_SECONDS, pause=REQUEST_PAUSE_SECONDS)
