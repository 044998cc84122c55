"""Locks: one process at a time, by a file's lock in a local folder and by a lease in a bucket.

A bucket has no locks. A lease is an object that its owner renews by writing it in place of the version that it wrote
last; who waits takes it over once it has not changed for `LEASE_SECONDS`, by the clock of the one that waits alone. So
clocks of different machines are never compared. An owner that is stopped for longer loses the lease without knowing:
nothing may depend on a lease but the saving of work (docs/adr/0072).
"""

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import structlog

from experiment_pipeline.errors import StorageUnavailable
from experiment_pipeline.storage.conditional_writes import require_conditional_writes
from experiment_pipeline.storage.object_path import ObjectPath, StoragePath

LEASE_SECONDS = 30.0
RENEWALS = 3  # within these
POLL_SECONDS = 0.5
RELEASED = b"released"
log = structlog.get_logger(__name__)


@contextmanager
def exclusive(root: StoragePath, name: str) -> Iterator[None]:
    """Let one process at a time into the block; another one waits. The lock of a process that dies is released.

    Raises:
        ConfigurationError: the bucket ignores the conditions of writes.
    """
    if isinstance(root, ObjectPath):
        require_conditional_writes(root)
        with Lease(root / name, LEASE_SECONDS).held():
            yield
        return
    root.mkdir(parents=True, exist_ok=True)
    with (root / name).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def shared(root: StoragePath, name: str) -> Iterator[None]:
    """Keep `exclusive` of the same name waiting for the block, beside others that do so; of a bucket, nobody waits."""
    if isinstance(root, Path):
        root.mkdir(parents=True, exist_ok=True)
        with (root / name).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield
        return
    yield


@dataclass
class Lease:
    """A lease by the object at a path.

    Attributes:
        path: of the object.
        seconds: without a change, after which it is taken over.
    """

    path: ObjectPath
    seconds: float

    def __post_init__(self) -> None:
        self._owner = uuid4().hex
        self._renewals = 0
        self._version: str | None = None
        self._ended = threading.Event()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Acquire the lease, renew it during the block, and release it."""
        self._acquire()
        renewing = threading.Thread(target=self._renew, name="lease", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            self._ended.set()
            renewing.join()
            with suppress(FileExistsError, StorageUnavailable):  # another one has it, or takes it over soon
                self.path.replace_version(RELEASED, self._version)

    def _acquire(self) -> None:
        known, since = None, time.monotonic()
        while True:
            with suppress(FileExistsError):
                self._version = self.path.create(self._content())
                return
            with suppress(FileNotFoundError):
                content, version = self.path.read()
                if content.startswith(self._owner.encode()):  # the answer to its creation was lost
                    self._version = version
                    return
                if version != known:
                    known, since = version, time.monotonic()
                if content == RELEASED or time.monotonic() - since > self.seconds:
                    if self._replace(version):
                        return
                    continue
            time.sleep(POLL_SECONDS)

    def _renew(self) -> None:
        while not self._ended.wait(self.seconds / RENEWALS):
            try:
                if not self._replace(self._version):
                    log.warning("lease.lost", path=str(self.path))
                    return
            except StorageUnavailable as error:  # the next renewal may come through
                log.warning("lease.not_renewed", path=str(self.path), error=str(error))

    def _replace(self, version: str | None) -> bool:
        """Write the lease in place of a version; return whether it is this process's now."""
        try:
            self._version = self.path.replace_version(self._content(), version)
        except FileExistsError:
            content, found = self.path.read()
            if not content.startswith(self._owner.encode()):
                return False
            self._version = found  # its own write came through, and the answer was lost
        return True

    def _content(self) -> bytes:
        """Return another content at every call: the version of an object may be a digest of it."""
        self._renewals += 1
        return f"{self._owner} {self._renewals}".encode()
