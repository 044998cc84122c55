"""Writer of a landing zone in a bucket: lines that it reports as durable are in an object that the bucket has answered.

    append    lines wait for others of their environment, for an interval at most
    put       one request writes an object of them, under a stamp of this moment; then every appender is answered

Nothing of it is on the local disk (docs/adr/0072). An object's stamp is the moment at which its request began, and a
request ends within the age that finality allows an object to have before it is listed (rule R6): a second attempt has a
stamp of its own, and records of a first one that came through after all count once (rule E4).
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import structlog

from experiment_pipeline.errors import Overloaded, StorageUnavailable
from experiment_pipeline.landing.layout import JSON_LINES, folder_of, stamped
from experiment_pipeline.storage.object_path import ObjectPath

ATTEMPTS = 2
REQUESTS_AT_ONCE = 8
PROBE = ".probe"
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Waiting:
    environment_key: str
    lines: bytes
    done: Future[None]


class ObjectWriter:
    """Writes lines as objects, one a request for all that waited. Safe to share between threads.

    Args:
        landing: root of the landing zone.
        object_bytes: so many are written at once, at most, but for a single append.
        object_age: in which a request ends.
        interval: for which lines wait for others.
        buffer_bytes: of lines in memory.
        on_put: is told the seconds of each request that came through.
    """

    def __init__(
        self,
        landing: ObjectPath,
        *,
        object_bytes: int,
        object_age: timedelta,
        interval: timedelta,
        buffer_bytes: int,
        on_put: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._landing = landing.within(object_age)
        self._object_bytes = object_bytes
        self._interval = interval.total_seconds()
        self._buffer_bytes = buffer_bytes
        self._on_put = on_put
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0  # of lines that are not answered yet
        self._due = 0.0  # monotonic, of the first that waits
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._requests = ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="landing")
        self._closing = False
        self._works = False  # whether the last request came through

    def append(self, environment_key: str, lines: bytes) -> Future[None]:
        """Append whole lines to an environment's next object.

        Returns:
            A future that is done once the bucket has the lines, or fails with the OSError that prevented it.

        Raises:
            Overloaded: too much is waiting for the bucket already, or the writer is closing.
        """
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()  # cancelling it takes no lines back
        with self._changed:
            if self._closing or self._waiting_bytes + len(lines) > self._buffer_bytes:
                raise Overloaded
            if not self._waiting:
                self._due = time.monotonic() + self._interval
            self._waiting_bytes += len(lines)
            self._waiting.append(_Waiting(environment_key, lines, done))
            self._start()
            self._changed.notify()
        return done

    def start(self) -> None:
        """Do nothing: no process leaves anything behind."""

    def close(self) -> None:
        """Write what waits, and stop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        self._requests.shutdown()

    def refusals(self) -> list[str]:
        """Return why events are being refused now, empty when none are; tries to write where that is not known."""
        if self._closing:
            return ["the landing zone's writer has stopped"]
        if not self._works:
            try:
                (self._landing / PROBE).write_text("")
            except StorageUnavailable:
                return ["the object storage does not take events"]
            self._works = True
        return []

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="landing", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._is_due():
                    left = self._due - time.monotonic() if self._waiting else None
                    self._changed.wait(None if left is None else max(0.0, left))
                group, self._waiting = self._waiting, deque()
                if not group:
                    return
            by_environment: dict[str, list[_Waiting]] = defaultdict(list)
            for waiting in group:
                by_environment[waiting.environment_key].append(waiting)
            for environment_key, those in by_environment.items():
                for some in self._parts(those):
                    self._requests.submit(self._put, environment_key, some)

    def _is_due(self) -> bool:
        if self._closing:
            return True
        waiting = sum(len(each.lines) for each in self._waiting)
        return bool(self._waiting) and (time.monotonic() >= self._due or waiting >= self._object_bytes)

    def _parts(self, waiting: Sequence[_Waiting]) -> list[list[_Waiting]]:
        parts: list[list[_Waiting]] = [[]]
        size = 0
        for each in waiting:
            if parts[-1] and size + len(each.lines) > self._object_bytes:
                parts.append([])
                size = 0
            parts[-1].append(each)
            size += len(each.lines)
        return parts

    def _put(self, environment_key: str, those: Sequence[_Waiting]) -> None:
        lines = b"".join(each.lines for each in those)
        error: OSError | None = OSError("the events could not be written")
        try:
            error = self._try(environment_key, lines)
        finally:  # every appender is answered, whatever happens
            self._works = error is None
            with self._changed:
                self._waiting_bytes -= len(lines)
            for each in those:
                if error is None:
                    each.done.set_result(None)
                else:
                    each.done.set_exception(error)

    def _try(self, environment_key: str, lines: bytes) -> OSError | None:
        """Write lines; return what prevented that at the last attempt."""
        error: OSError | None = None
        for _ in range(ATTEMPTS):
            try:
                self._create(environment_key, lines)
            except OSError as failed:
                error = failed
                log.warning("landing.not_written", error=str(failed))
            else:
                return None
        return error

    def _create(self, environment_key: str, lines: bytes) -> None:
        moment, begun = datetime.now(UTC), time.perf_counter()
        name = f"{stamped(moment)}{uuid4().hex}{JSON_LINES[0]}"
        (self._landing / folder_of(environment_key, moment).as_posix() / name).create(lines)
        self._on_put(time.perf_counter() - begun)
