"""Temporary files of readers and writers that died: they may hold anybody's records; nobody needs them (rule E6)."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from experiment_pipeline.erasure.stores import Finding

READERS = ("changed", "late", "preview", "replay", "values")  # in names of folders among the system's temporary files
FOLDER_IN_USE_SECONDS = 3_600.0  # one that was written to within an hour may be a living reader's, though none is open
FILE_IN_USE_SECONDS = 60.0  # the same of a file that is about to be renamed


@dataclass(frozen=True)
class TemporaryFiles:
    """Spilled rows, half-written files, and folders of killed readers.

    Those of living processes go when these end. They are no part of what is found: with the experiments' leases, and
    the lake to itself, an erasure meets only those of other environments' runs, and of commands.

    Attributes:
        spills: folders of which everything is temporary.
        roots: folders below which writers leave files `.<name>.tmp`.
    """

    spills: tuple[Path, ...]
    roots: tuple[Path, ...]
    name: str = "temporary files"

    def search(self) -> Finding:
        """Count what nobody uses."""
        left = self._left()
        return Finding(len(left), "files", len(left), len(left))

    def erase(self) -> None:
        """Delete what nobody uses."""
        for path in self._left():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _left(self) -> list[Path]:
        opened = open_files()
        found = [path for folder in self.spills if folder.is_dir() for path in folder.rglob("*") if path.is_file()]
        found += [path for root in self.roots for path in root.rglob(".*.tmp")]
        system = Path(tempfile.gettempdir())
        folders = [path for reader in READERS for path in system.glob(f"experiment-pipeline-{reader}-*")]
        return [
            *(path for path in found if not (path.resolve() in opened or _is_young([path], FILE_IN_USE_SECONDS))),
            *(path for path in folders if _is_ours(path) and not _is_used(path, opened)),
        ]


def open_files() -> frozenset[Path]:
    """Return the files that processes of this machine have open, as far as this one may know."""
    found: set[Path] = set()
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            found.add(entry.readlink())
    return frozenset(found)


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and folder.stat().st_uid == os.getuid()


def _is_used(folder: Path, opened: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for path in opened) or _is_young(
        (folder, *folder.rglob("*")), FOLDER_IN_USE_SECONDS
    )


def _is_young(paths: Iterable[Path], seconds: float) -> bool:
    """Return whether one of some files was written to so shortly ago, or is gone by now."""
    try:
        return time.time() - max(path.stat().st_mtime for path in paths) < seconds
    except OSError:
        return True
