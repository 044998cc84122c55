"""Open segments: files of whole lines below `.open/` that one living process writes, and how they become objects.

A segment is locked by the process that writes it. Whatever else lies among the segments is left alone and named.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import structlog

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.durable_files import make_folder, sync
from experiment_pipeline.landing.layout import ENVIRONMENT_FOLDER, JSON_LINES, STAMP, folder_of, stamp, stamped

OPEN = ".open"
SUFFIX = JSON_LINES[0]
NAME = re.compile(rf"{STAMP.pattern}[^.]+\{SUFFIX}", re.ASCII)
READ_BYTES = 1 << 16
PROBE_BYTES = bytes(4096)  # on a full disk an empty file can still be made
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Segment:
    """An open file of whole lines; `durable` bytes of it are on the disk."""

    path: Path
    descriptor: int
    opened_at: datetime
    durable: int = 0


def opened_at(name: str) -> datetime | None:
    """Return the moment that a segment's name begins with; None for what is no segment's name."""
    return stamp(name) if NAME.fullmatch(name) else None


def strays(landing: Path) -> list[str]:
    """Return the paths of entries among the open segments that are not segments, relative to the landing zone."""
    found = [path for path, is_segment in _entries(landing) if not is_segment]
    return sorted(path.relative_to(landing).as_posix() for path in found)


def oldest_age(landing: Path) -> timedelta:
    """Return how long ago the first line of an open segment arrived, whichever process has it; zero without any."""
    moments = [opened_at(path.name) for path, is_segment in _entries(landing) if is_segment]
    now = datetime.now(UTC)
    return max([timedelta(0), *(now - moment for moment in moments if moment is not None)])  # a clock may be set back


def opened_segments(landing: Path) -> list[LandedObject]:
    """Return every open segment, whichever process has it, as the object that it will be."""
    found = []
    for path, is_segment in _entries(landing):
        moment = opened_at(path.name)
        if not is_segment or moment is None:
            continue
        with suppress(FileNotFoundError):  # published meanwhile
            key = path.parent.name.removeprefix(ENVIRONMENT_FOLDER)
            found.append(LandedObject(path.relative_to(landing).as_posix(), key, moment, path.stat().st_size))
    return found


def require_writable(landing: Path, environment_key: str | None = None) -> None:
    """Raise the OSError that a line would meet now, of one environment or of a new one."""
    folder = landing / OPEN
    if environment_key is not None:
        folder /= f"{ENVIRONMENT_FOLDER}{environment_key}"
    make_folder(folder)
    probe = folder / f".probe-{uuid4().hex}"
    try:
        probe.write_bytes(PROBE_BYTES)
    finally:
        probe.unlink(missing_ok=True)


def _entries(landing: Path) -> Iterator[tuple[Path, bool]]:
    """Yield every entry of the environments' folders, and beside them, with whether it is a segment."""
    for folder in _scan(landing / OPEN):
        if not (folder.is_dir() and folder.name.startswith(ENVIRONMENT_FOLDER)):
            yield folder, False
            continue
        for path in _scan(folder):
            yield path, opened_at(path.name) is not None and path.is_file() and not path.is_symlink()


def _scan(folder: Path) -> list[Path]:
    """Return what lies in a folder, hidden names left out; nothing when it cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def recover(landing: Path) -> int:
    """Publish the segments that no living process writes; return how many there were.

    Raises:
        OSError: of the first one that could not be published; the others are published all the same.
    """
    recovered, failed = 0, None
    for path in [path for path, is_segment in _entries(landing) if is_segment]:
        try:
            recovered += _recover_one(landing, path)
        except OSError as error:
            failed = failed or error
    if recovered:
        log.info("landing.recovered", segments=recovered)
    if failed is not None:
        raise failed
    return recovered


def _recover_one(landing: Path, path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:  # another process was faster
        return False
    try:
        if not _lock(descriptor, path):
            return False
        os.ftruncate(descriptor, _end_of_last_line(descriptor))
        publish(landing, path, descriptor)
        return True
    finally:
        os.close(descriptor)


def open_segment(landing: Path, environment_key: str) -> Segment:
    """Return a new segment of an environment, which this process has locked. Raises OSError."""
    folder = landing / OPEN / f"{ENVIRONMENT_FOLDER}{environment_key}"
    make_folder(folder)
    while True:
        now = datetime.now(UTC)
        path = folder / f"{stamped(now)}{uuid4().hex}{SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        try:
            if _lock(descriptor, path):
                sync(folder)
                return Segment(path, descriptor, now)
        except OSError:
            path.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        os.close(descriptor)  # another process took it for a dead one's before it was locked


def publish(landing: Path, path: Path, descriptor: int) -> None:
    """Rename a segment of whole lines to its place among the objects; remove an empty one. Raises OSError."""
    if os.fstat(descriptor).st_size == 0:
        path.unlink()
        return
    os.fsync(descriptor)
    arrived_at = opened_at(path.name)
    assert arrived_at is not None  # noqa: S101 - open_segment and recover name and check it
    folder = landing / folder_of(path.parent.name.removeprefix(ENVIRONMENT_FOLDER), arrived_at)
    make_folder(folder)
    path.rename(folder / path.name)
    sync(folder)
    sync(path.parent)


def _lock(descriptor: int, path: Path) -> bool:
    """Lock the file for this process; return False when another has locked it, or has moved it away meanwhile."""
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
