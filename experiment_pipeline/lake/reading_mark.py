"""Mark of the object that is being read, which the next ingestion finds if this process dies while it reads.

Polars aborts the process on a few damaged Parquet files, and no exception handler sees that. Without the mark, every
ingestion would take up the same batch and die again. That a process has died is no proof against the object, for it may
have been killed: the object is read by a separate process first, and set aside only if that crashes.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from experiment_pipeline.errors import LakeError
from experiment_pipeline.landing.object_errors import names_the_operating_system
from experiment_pipeline.storage.files import local_copy
from experiment_pipeline.storage.object_path import StoragePath

MARK = ".reading.json"
CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT}  # every other signal comes from outside


class ReadingMark:
    """File in the lake's folder that names the object being read; only the holder of the lake's lock may use it."""

    def __init__(self, root: StoragePath) -> None:
        self._path = root / MARK
        self._suspects = self._left_behind()  # the objects that a process has died over

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Mark an object while it is being read."""
        self._write(self._suspects | {name})
        try:
            yield
        finally:
            self._write(self._suspects)

    def is_suspect(self, name: str) -> bool:
        """Return whether a process has died while it read this object."""
        return name in self._suspects

    def crash(self, name: str, path: StoragePath) -> str | None:
        """Return how reading an object crashes a process; None if it does not, or if no process has died over it.

        Raises:
            LakeError: when the separate process was ended by something else than the object.
        """
        if name not in self._suspects:
            return None
        with local_copy(path) as file:
            command = [sys.executable, "-m", "experiment_pipeline.landing.parquet_rows", str(file)]
            ended = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our own module
        if ended.returncode >= 0:
            self._suspects = self._suspects - {name}
            return None
        how = f"The process that read it was ended by {_signal_name(-ended.returncode)}."
        if -ended.returncode in CRASHES and not names_the_operating_system(ended.stderr.decode(errors="replace")):
            return how
        raise LakeError(f"{name}: {how} This proves nothing against the object; the batch stays open. Ingest again.")

    def clear(self) -> None:
        """Delete the mark once the batch is in the lake."""
        self._path.unlink(missing_ok=True)

    def _left_behind(self) -> frozenset[str]:
        try:
            names = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return frozenset()
        return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()

    def _write(self, names: frozenset[str]) -> None:
        self._path.write_text(json.dumps(sorted(names)))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
