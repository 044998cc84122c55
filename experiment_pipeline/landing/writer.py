"""The landing zone's writer: lines that it reports as durable survive a crash, and become visible as whole objects.

    append    lines wait for the environment's open segment, a file below `.open/` that no reader looks at
    commit    one thread writes all lines that wait, syncs each segment once, and answers every appender
    publish   a segment that is large or old enough is renamed to its place among the landing objects
    recover   the segments of a process that died are published, without the line that it was writing

Rules E6 and E7; docs/adr/0023 lists every point at which the process can be killed.

A segment is locked by the process that writes it, so several may share a landing zone. An object's stamp is the
arrival of its first line: no line is older, and none is younger by more than the greatest age of a segment.
"""

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

import structlog

from experiment_pipeline.errors import Overloaded
from experiment_pipeline.landing.segments import Segment, open_segment, publish, recover, require_writable, strays
from experiment_pipeline.times import is_within

RETRY_SECONDS = 5.0  # before a segment that could not be published is tried again
STALLED_SECONDS = 5.0  # of one group's writes and syncs, after which the disk counts as stalled
log = structlog.get_logger(__name__)


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
        self._failing: set[str] = set()  # environments whose last group could not be written
        self._writing_since: float | None = None  # monotonic, of the group
        self._named: set[str] = set()  # strays that the log has told of

    def append(self, environment_key: str, lines: bytes) -> Future[None]:
        """Append whole lines to an environment's segment.

        Returns:
            A future that is done once the lines are durable, or fails with the OSError that prevented it.

        Raises:
            Overloaded: too much is waiting for the disk already, or the writer is closing.
        """
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()  # cancelling it takes no lines back
        with self._changed:
            if self._closing or self._waiting_bytes + len(lines) > self._buffer_bytes:
                raise Overloaded
            self._waiting_bytes += len(lines)
            self._waiting.append(_Waiting(environment_key, lines, done))
            self._start()
            self._changed.notify()
        return done

    def start(self) -> None:
        """Publish the segments of killed processes; the first append does so too."""
        with self._changed:
            self._start()

    def close(self) -> None:
        """Write what waits, publish every open segment, and stop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def refusals(self) -> list[str]:
        """Return why events are being refused now, empty when none are; tries to write where writing failed last."""
        with self._changed:
            stopped, since = self._thread is not None and self._closing, self._writing_since
        if stopped:
            return ["the landing zone's writer has stopped"]
        if since is not None and (seconds := time.monotonic() - since) > STALLED_SECONDS:
            return [f"the landing zone's disk has not answered for {seconds:.0f} s"]
        try:
            require_writable(self._landing)
        except OSError:
            return ["the landing zone cannot be written"]
        found = []
        for environment_key in sorted(self._failing.copy()):
            try:
                require_writable(self._landing, environment_key)
            except OSError as error:
                found.append(f"events of '{environment_key}' cannot be written ({error.strerror})")
            else:
                self._failing.discard(environment_key)
        return found

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run_guarded, name="landing", daemon=True)
            self._thread.start()

    def _run_guarded(self) -> None:
        """Run until closed; fail every future that is left, so that no appender waits for a thread that has ended."""
        try:
            self._run()
        except Exception:  # a fault; threads print theirs to standard error, not to the log
            log.exception("landing.writer_stopped")
        finally:
            with self._changed:
                self._closing = True
                unanswered = [waiting.done for waiting in (*self._group, *self._waiting) if not waiting.done.done()]
            for done in unanswered:
                done.set_exception(OSError("the landing zone's writer has stopped"))

    def _run(self) -> None:
        while True:
            self._recover_when_due()
            with self._changed:
                while not (self._waiting or self._closing or self._is_due()):
                    self._changed.wait(self._seconds_to_next())
                self._group, self._waiting = self._waiting, deque()
                closing = self._closing
                self._writing_since = time.monotonic()
            self._commit(self._group)
            with self._changed:
                self._writing_since = None
                self._waiting_bytes -= sum(len(waiting.lines) for waiting in self._group)
                self._group = deque()
            self._publish_due(everything=closing)
            if closing:
                return

    def _is_due(self) -> bool:
        return self._seconds_to_next() == 0.0

    def _seconds_to_next(self) -> float | None:
        now = datetime.now(UTC)
        moments = [
            (segment.opened_at + self._object_age - now).total_seconds() if self._is_young(segment, now) else 0.0
            for segment in self._segments.values()
        ]
        if self._recover_at is not None:
            moments.append(self._recover_at - time.monotonic())
        return max(0.0, min(moments)) if moments else None

    def _is_young(self, segment: Segment, now: datetime) -> bool:
        return is_within(segment.opened_at, self._object_age, now)

    def _recover_when_due(self) -> None:
        if self._recover_at is None or time.monotonic() < self._recover_at:
            return
        self._recover_at = None
        self._name_strays()
        try:
            recover(self._landing)
        except OSError as error:
            self._schedule_recovery("landing.not_recovered", error)

    def _name_strays(self) -> None:
        with suppress(OSError):  # a folder that cannot be read is named where it is needed
            found = set(strays(self._landing)) - self._named
            self._named |= found
            for path in sorted(found):
                log.warning("landing.stray", path=path, note="no segment: left alone")

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
                self._failing.add(environment_key)
                _log_error("landing.not_written", error)
                self._truncate_and_publish(environment_key)
            else:
                self._failing.discard(environment_key)
                for waiting in those:
                    waiting.done.set_result(None)

    def _write(self, environment_key: str, lines: bytes) -> None:
        segment = self._segments.get(environment_key)
        if segment is None:
            segment = self._segments[environment_key] = open_segment(self._landing, environment_key)
        left = memoryview(lines)
        while left:
            left = left[os.write(segment.descriptor, left) :]
        begun = time.perf_counter()
        os.fsync(segment.descriptor)
        self._on_sync(time.perf_counter() - begun)
        segment.durable += len(lines)

    def _truncate_and_publish(self, environment_key: str) -> None:
        """Cut off what was not synced: after a failed sync nobody knows which of it the disk holds."""
        segment = self._segments.pop(environment_key, None)
        if segment is None:
            return
        try:
            os.ftruncate(segment.descriptor, segment.durable)
        except OSError as error:
            os.close(segment.descriptor)
            self._schedule_recovery("landing.not_cut", error)
        else:
            self._publish(segment)

    def _publish_due(self, *, everything: bool) -> None:
        now = datetime.now(UTC)
        for environment_key, segment in list(self._segments.items()):
            if everything or not self._is_young(segment, now) or segment.durable >= self._object_bytes:
                del self._segments[environment_key]
                self._publish(segment)

    def _publish(self, segment: Segment) -> None:
        try:
            publish(self._landing, segment.path, segment.descriptor)
        except OSError as error:
            self._schedule_recovery("landing.not_published", error)
        finally:
            os.close(segment.descriptor)

    def _schedule_recovery(self, what: str, error: OSError) -> None:
        """Log the error, and try again later: what is durable stays where it is."""
        _log_error(what, error)
        self._recover_at = time.monotonic() + RETRY_SECONDS


def _log_error(what: str, error: OSError) -> None:
    with suppress(OSError):  # the log may lie on the same full disk
        log.error(what, error=str(error))
