"""The landing zone's writer: what it says is durable stays, and becomes visible whole (rules E6, E7).

    append    lines join the environment's open segment, a file below `.open/` that no reader looks at
    commit    one thread writes all that has come meanwhile, syncs each segment once, and answers every appender
    publish   a segment that is large or old enough is renamed to its place among the landing objects
    recover   the segments of a process that died are published, without the line that it was writing

docs/adr/0023 lists every point at which it can be killed.

A segment is locked by the process that writes it, so several may share a landing zone. An object's stamp is the
arrival of its first line: no line is older, none more than the segment's greatest age younger.
"""

import fcntl
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import structlog

from experiment_pipeline.durable_files import make_folder, sync
from experiment_pipeline.errors import Overloaded

OPEN = ".open"
ENVIRONMENT_FOLDER = "env_key="
SUFFIX = ".jsonl"
PUBLISHED = "events/{environment}/%Y/%m/%d/%H"
STAMP = "%Y%m%dT%H%M%S.%fZ"
READ_BYTES = 1 << 16
RETRY_SECONDS = 5.0  # before a segment that could not be published is tried again
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Segment:
    """An open file of whole lines; `durable` bytes of it are on the disk."""

    path: Path
    descriptor: int
    opened_at: datetime
    durable: int = 0


@dataclass(slots=True)
class _Waiting:
    environment_key: str
    lines: bytes
    done: Future[None]


class SegmentWriter:
    """Appends lines durably, one group of appenders per sync. Safe to share between threads."""

    def __init__(
        self,
        landing: Path,
        *,
        object_bytes: int,
        object_age: timedelta,
        buffer_bytes: int,
        on_sync: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._landing = landing
        self._object_bytes = object_bytes
        self._object_age = object_age
        self._buffer_bytes = buffer_bytes
        self._on_sync = on_sync
        self._segments: dict[str, Segment] = {}
        self._waiting: deque[_Waiting] = deque()
        self._group: deque[_Waiting] = deque()  # of them, what is being written
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._recover_at: float | None = 0.0  # monotonic; None: nothing is left behind

    def append(self, environment_key: str, lines: bytes) -> Future[None]:
        """Whole lines to land; done once they are durable, or failed with the OSError that kept them from it.

        Raises Overloaded when too much is waiting already.
        """
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()  # an appender that goes away takes nothing back
        with self._changed:
            if self._closing or self._waiting_bytes + len(lines) > self._buffer_bytes:
                raise Overloaded
            self._waiting_bytes += len(lines)
            self._waiting.append(_Waiting(environment_key, lines, done))
            self._start()
            self._changed.notify()
        return done

    def start(self) -> None:
        """Take up what a killed process left behind; the first append does so too."""
        with self._changed:
            self._start()

    def close(self) -> None:
        """Land what waits, publish every open segment, and stop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def oldest_age(self) -> timedelta:
        """Since the first line arrived that is durable but not visible yet."""
        now = datetime.now(UTC)
        return max((now - segment.opened_at for segment in list(self._segments.values())), default=timedelta(0))

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._live, name="landing", daemon=True)
            self._thread.start()

    def _live(self) -> None:
        """Whatever ends the thread, nobody waits for it afterwards."""
        try:
            self._run()
        finally:
            with self._changed:
                self._closing = True
                forsaken = [waiting.done for waiting in (*self._group, *self._waiting) if not waiting.done.done()]
            for done in forsaken:
                done.set_exception(OSError("the landing zone's writer has stopped"))

    def _run(self) -> None:
        while True:
            self._recover_when_due()
            with self._changed:
                while not (self._waiting or self._closing or self._is_due()):
                    self._changed.wait(self._seconds_to_next())
                self._group, self._waiting = self._waiting, deque()
                closing = self._closing
            self._commit(self._group)
            with self._changed:
                self._waiting_bytes -= sum(len(waiting.lines) for waiting in self._group)
                self._group = deque()
            self._publish_due(everything=closing)
            if closing:
                return

    def _is_due(self) -> bool:
        return self._seconds_to_next() == 0.0

    def _seconds_to_next(self) -> float | None:
        now = datetime.now(UTC)
        moments = [(segment.opened_at + self._object_age - now).total_seconds() for segment in self._segments.values()]
        if self._recover_at is not None:
            moments.append(self._recover_at - time.monotonic())
        return max(0.0, min(moments)) if moments else None

    def _recover_when_due(self) -> None:
        if self._recover_at is None or time.monotonic() < self._recover_at:
            return
        self._recover_at = None
        try:
            recover(self._landing)
        except OSError as error:
            self._leave_behind("landing.not_recovered", error)

    def _commit(self, group: deque[_Waiting]) -> None:
        by_environment: dict[str, list[_Waiting]] = defaultdict(list)
        for waiting in group:
            by_environment[waiting.environment_key].append(waiting)
        for environment_key, those in by_environment.items():
            try:
                self._write(environment_key, b"".join(waiting.lines for waiting in those))
            except OSError as error:
                for waiting in those:
                    waiting.done.set_exception(error)
                _complain("landing.not_written", error)
                self._abandon(environment_key)
            else:
                for waiting in those:
                    waiting.done.set_result(None)

    def _write(self, environment_key: str, lines: bytes) -> None:
        segment = self._segments.get(environment_key)
        if segment is None:
            segment = self._segments[environment_key] = _open_segment(self._landing, environment_key)
        left = memoryview(lines)
        while left:
            left = left[os.write(segment.descriptor, left) :]
        begun = time.perf_counter()
        os.fsync(segment.descriptor)
        self._on_sync(time.perf_counter() - begun)
        segment.durable += len(lines)

    def _abandon(self, environment_key: str) -> None:
        """Cut what was not synced; after a failed sync nobody knows what of it the disk holds."""
        segment = self._segments.pop(environment_key, None)
        if segment is None:
            return
        try:
            os.ftruncate(segment.descriptor, segment.durable)
        except OSError as error:
            os.close(segment.descriptor)
            self._leave_behind("landing.not_cut", error)
        else:
            self._publish(segment)

    def _publish_due(self, *, everything: bool) -> None:
        now = datetime.now(UTC)
        for environment_key, segment in list(self._segments.items()):
            is_old = now - segment.opened_at >= self._object_age
            if everything or is_old or segment.durable >= self._object_bytes:
                del self._segments[environment_key]
                self._publish(segment)

    def _publish(self, segment: Segment) -> None:
        try:
            _publish(self._landing, segment.path, segment.descriptor)
        except OSError as error:
            self._leave_behind("landing.not_published", error)
        finally:
            os.close(segment.descriptor)

    def _leave_behind(self, what: str, error: OSError) -> None:
        """It is durable where it is: try again later."""
        _complain(what, error)
        self._recover_at = time.monotonic() + RETRY_SECONDS


def _complain(what: str, error: OSError) -> None:
    with suppress(OSError):  # the log may lie on the same full disk
        log.error(what, error=str(error))


def recover(landing: Path) -> int:
    """Publish the segments that no living process writes; returns how many there were."""
    recovered = 0
    for path in sorted((landing / OPEN).glob(f"{ENVIRONMENT_FOLDER}*/*{SUFFIX}")):
        with suppress(FileNotFoundError):  # another process was faster
            descriptor = os.open(path, os.O_RDWR)
            try:
                if _lock(descriptor, path):
                    os.ftruncate(descriptor, _end_of_last_line(descriptor))
                    _publish(landing, path, descriptor)
                    recovered += 1
            finally:
                os.close(descriptor)
    if recovered:
        log.info("landing.recovered", segments=recovered)
    return recovered


def _open_segment(landing: Path, environment_key: str) -> Segment:
    folder = landing / OPEN / f"{ENVIRONMENT_FOLDER}{environment_key}"
    make_folder(folder)
    while True:
        opened_at = datetime.now(UTC)
        path = folder / f"{opened_at.strftime(STAMP)}-{uuid4().hex}{SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        try:
            if _lock(descriptor, path):
                sync(folder)
                return Segment(path, descriptor, opened_at)
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)  # taken for a dead process's between its creation and its lock


def _publish(landing: Path, path: Path, descriptor: int) -> None:
    """Rename a segment of whole lines to where readers look; an empty one goes."""
    if os.fstat(descriptor).st_size == 0:
        path.unlink()
        return
    os.fsync(descriptor)
    opened_at = datetime.strptime(path.name.partition("-")[0], STAMP).replace(tzinfo=UTC)
    folder = landing / opened_at.strftime(PUBLISHED.format(environment=path.parent.name))
    make_folder(folder)
    path.rename(folder / path.name)
    sync(folder)
    sync(path.parent)


def _lock(descriptor: int, path: Path) -> bool:
    """Take the file for this process; False when another has it, or has moved it away meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _end_of_last_line(descriptor: int) -> int:
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - READ_BYTES)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
