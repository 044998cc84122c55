"""Marks of what is being read, for the next ingestion to find when this process dies over it.

Polars aborts the process on a few damaged Parquet files, and no exception handler sees that: without a mark the batch
would be taken up, and die, for ever. An object that a process has died over is read by a process of its own first.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = ".reading.json"
MOST_DEATHS = 5  # over one object that a process of its own survives: somebody may have killed the others


class ReadingMark:
    """The file in the lake's folder that says what is being read; only the holder of the lake's lock may use it."""

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
        """Return how processes die over an object that one has died over before; None when they do not."""
        deaths = self._deaths.count(name)
        if not deaths:
            return None
        command = [sys.executable, "-m", "experiment_pipeline.landing.parquet_rows", str(path)]
        died = -subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603 - our own module
        if died > 0:
            return f"The process that read it was ended by {signal.Signals(died).name}."
        return f"{deaths} processes were ended while they read it." if deaths >= MOST_DEATHS else None

    def clear(self) -> None:
        """Forget it all: the batch is in."""
        self._path.unlink(missing_ok=True)

    def _left_behind(self) -> list[str]:
        try:
            names = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return []
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []

    def _write(self, names: list[str]) -> None:
        self._path.write_text(json.dumps(names))
