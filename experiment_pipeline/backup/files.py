"""Files of a backup: found, copied with their times, and known by their SHA-256."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20
OnBytes = Callable[[int], None]  # told how many bytes were copied, or read, just now


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file of a backup.

    Attributes:
        path: relative to the backup, with slashes.
        modified_ns: when it was last changed, nanoseconds since 1970: when an object without a stamp landed, and
            whether one has changed since. The backup's own files may lose it on their way to another machine.
    """

    path: str
    bytes: int
    sha256: str
    modified_ns: int


def files_below(folder: Path, seen: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Path]:
    """Yield every file below a folder, links followed but for those that lead in a circle; nothing where there is none.

    What disappears meanwhile is left out.
    """
    try:
        state = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    if (here := (state.st_dev, state.st_ino)) in seen:
        return
    for entry in entries:
        if entry.is_dir():
            yield from files_below(Path(entry.path), seen | {here})
        elif entry.is_file():
            yield Path(entry.path)


def copy_file(source: Path, target: Path, path: str, on_bytes: OnBytes) -> CopiedFile:
    """Copy a file as far as it reaches now, with the time that it was last changed.

    Args:
        source: the file; one that disappears raises FileNotFoundError.
        target: its copy, in a folder that is made.
        path: the copy's path within the backup.
        on_bytes: told what was copied.
    """
    with source.open("rb") as reading:
        target.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with target.open("wb") as writing:
            while chunk := reading.read(CHUNK):
                writing.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                on_bytes(len(chunk))
        state = os.fstat(reading.fileno())
    os.utime(target, ns=(state.st_atime_ns, state.st_mtime_ns))
    return CopiedFile(path, size, digest.hexdigest(), state.st_mtime_ns)


def digest_of(file: Path, on_bytes: OnBytes = lambda _: None) -> str:
    """Return a file's SHA-256."""
    digest = hashlib.sha256()
    with file.open("rb") as reading:
        while chunk := reading.read(CHUNK):
            digest.update(chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()
