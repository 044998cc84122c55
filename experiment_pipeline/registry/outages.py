"""Outages of the registry's database: which errors are one, and what keeps callers from waiting for it all at once.

`outage_of` is the one list of what may work later; `resources.retries` repeats by it, the API answers 503 by it.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

import psycopg
from sqlalchemy import exc

from experiment_pipeline.errors import (
    ConfigurationError,
    Conflict,
    RegistryBusy,
    RegistryFull,
    RegistryReadOnly,
    RegistryUnavailable,
    RegistryUnreachable,
)
from experiment_pipeline.registry.wait_limits import WaitLimits

SQLITE: Mapping[int, type[RegistryUnavailable]] = {  # by the primary result code
    sqlite3.SQLITE_BUSY: RegistryBusy,
    sqlite3.SQLITE_LOCKED: RegistryBusy,
    sqlite3.SQLITE_PROTOCOL: RegistryBusy,
    sqlite3.SQLITE_READONLY: RegistryReadOnly,
    sqlite3.SQLITE_FULL: RegistryFull,
    sqlite3.SQLITE_CANTOPEN: RegistryUnreachable,
    sqlite3.SQLITE_IOERR: RegistryUnreachable,
}
POSTGRESQL: Mapping[str, type[RegistryUnavailable]] = {  # by SQLSTATE, whole or its first characters; the first counts
    "25006": RegistryReadOnly,
    "25P": RegistryUnreachable,  # the server ended the session: idle in a transaction for too long
    "40": RegistryBusy,  # serialization failure, deadlock
    "53100": RegistryFull,
    "53": RegistryBusy,  # too many connections, out of memory
    "55P03": RegistryBusy,  # lock timeout
    "57014": RegistryBusy,  # statement timeout
    "57P": RegistryUnreachable,  # the server stops, starts, or has crashed
    "58": RegistryUnreachable,  # it cannot read its own files
    "08": RegistryUnreachable,
}
WRITERS = 8  # at once, of one process: blocked ones leave connections to readers


class ServerSilent(psycopg.OperationalError):
    """A PostgreSQL server has not answered for as long as a caller may wait."""


def outage_of(error: BaseException) -> RegistryUnavailable | None:
    """Return the outage that an error is a sign of; None where the same call will not work later either."""
    if isinstance(error, RegistryUnavailable):
        return error
    if isinstance(error, exc.TimeoutError):
        return RegistryBusy("no connection became free in time")
    if not isinstance(error, exc.DBAPIError):
        return None
    kind = _kind_of(error)
    lines = str(error.orig).strip().splitlines()
    return kind(lines[0] if lines else type(error.orig).__name__) if kind else None


def _kind_of(error: exc.DBAPIError) -> type[RegistryUnavailable] | None:
    if isinstance(error.orig, sqlite3.Error):
        return SQLITE.get(getattr(error.orig, "sqlite_errorcode", 0) & 0xFF)  # higher bits: extended code
    state: str | None = getattr(error.orig, "sqlstate", None)
    found = next((kind for prefix, kind in POSTGRESQL.items() if (state or "").startswith(prefix)), None)
    no_answer = state is None and isinstance(error, exc.OperationalError)  # not reached, or the connection broke
    return RegistryUnreachable if found is None and (no_answer or error.connection_invalidated) else found


class Breaker:
    """Refuses at once while an attempt has failed within the last moments; then one caller tries, and the others wait.

    Safe between threads.
    """

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._outage: RegistryUnavailable | None = None
        self._until = 0.0  # monotonic
        self._lock = threading.Lock()

    def require_closed(self) -> None:
        """Raise the last outage again while its pause lasts; the caller that is let through is the only one."""
        with self._lock:
            if self._outage is None:
                return
            if time.monotonic() < self._until:
                raise self._outage.again()
            self._until = time.monotonic() + self._pause

    def open(self, outage: RegistryUnavailable) -> None:
        """Begin a pause."""
        with self._lock:
            self._outage, self._until = outage, time.monotonic() + self._pause

    def close(self) -> None:
        """End the pause: the database has answered."""
        with self._lock:
            self._outage = None


class Guard:
    """The guard of one engine's transactions: errors that are outages become `RegistryUnavailable`.

    Attributes:
        prepare: called before the first transaction, again until it succeeds; None once it has.
    """

    def __init__(self, limits: WaitLimits, *, one_writer: bool) -> None:
        self.prepare: Callable[[], None] | None = None
        self._limits = limits
        self._one_writer = one_writer  # a lock keeps out every writer, not only those of the same rows
        self._reaching = Breaker(limits.pause)
        self._changing = Breaker(limits.pause)
        self._writers = threading.BoundedSemaphore(WRITERS)
        self._preparing = threading.Lock()

    def require_prepared(self) -> None:
        """Do what has to be done once before anything else.

        Raises:
            RegistryUnavailable: it cannot be done now, or another thread is still at it.
        """
        if self.prepare is None:
            return
        with self._within_limit(self._preparing.acquire, self._preparing.release, "its schema is being prepared"):
            if self.prepare is not None:
                try:
                    self.prepare()
                except (ConfigurationError, Conflict) as unusable:  # of the database, not of what the caller asks for
                    raise RegistryUnreachable(str(unusable)) from unusable
                self.prepare = None

    @contextmanager
    def attempt(self, *, writes: bool) -> Iterator[None]:
        """Hold a transaction. Raises RegistryUnavailable instead of the errors that mean an outage."""
        self._reaching.require_closed()
        if writes and self._one_writer:
            self._changing.require_closed()
        limited = self._within_limit(self._writers.acquire, self._writers.release, f"{WRITERS} other changes wait")
        with limited if writes else nullcontext():
            try:
                yield
            except (exc.DBAPIError, exc.TimeoutError) as error:
                outage = outage_of(error)
                if outage is None:
                    raise
                self._remember(outage, error, writes=writes)
                raise outage from error
            self._reaching.close()
            if writes:
                self._changing.close()

    def _remember(self, outage: RegistryUnavailable, error: exc.SQLAlchemyError, *, writes: bool) -> None:
        """Pause where the next attempt would wait just as long; one broken connection is no reason."""
        if isinstance(outage, RegistryUnreachable) and isinstance(error, exc.DBAPIError):
            if error.statement is None or isinstance(error.orig, ServerSilent):
                self._reaching.open(outage)
        elif isinstance(outage, RegistryBusy) and writes and self._one_writer:
            self._changing.open(outage)

    @contextmanager
    def _within_limit(self, acquire: Callable[..., bool], release: Callable[[], None], why: str) -> Iterator[None]:
        if not acquire(timeout=self._limits.lock):
            raise RegistryBusy(why)
        try:
            yield
        finally:
            release()
