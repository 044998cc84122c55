"""Mark of the object that is being read, which the next ingestion finds if this process dies while it reads.

Polars aborts the process on a few damaged Parquet files, and no exception handler sees that. Without the mark, every
ingestion would take up the same batch and die again. An object that ended a process is first read in a separate
process.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = ".reading.json"
MOST_DEATHS = 5  # deaths over one object that a separate process can read: somebody may have killed the others


class ReadingMark:
    """File in the lake's folder that names the object being read; only the holder of the lake's lock may use it."""

    def __init__(self, root: Path) -> None:
        self._path = root / MARK
        self._deaths = self._left_behind()  # the object's name once for each process that has died over it

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Mark an object while it is being read."""
        self._write([*self._deaths, name])
        try:
            yield
        finally:
            self._write(self._deaths)

    def kills(self, name: str, path: Path) -> str | None:
        """Return how reading an object ends a process; None if it does not, or if no process has died over it yet.

        An object that a process has died over is read in a separate process to find out.
        """
        deaths = self._deaths.count(name)
        if not deaths:
            return None
        command = [sys.executable, "-m", "experiment_pipeline.landing.parquet_rows", str(path)]
        died = -subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603 - our own module
        if died > 0:
            return f"The process that read it was ended by {signal.Signals(died).name}."
        return f"{deaths} processes were ended while they read it." if deaths >= MOST_DEATHS else None

    def clear(self) -> None:
        """Delete the mark once the batch is in the lake."""
        self._path.unlink(missing_ok=True)

    def _left_behind(self) -> list[str]:
        try:
            names = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return []
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []

    def _write(self, names: list[str]) -> None:
        self._path.write_text(json.dumps(names))
