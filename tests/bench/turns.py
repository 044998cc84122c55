"""Measuring in turns: what else a machine does comes and goes, and is to meet every side alike.

Every side is a process of its own. It gets ready, runs once for every line that it is sent, and ends with the lines.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]


def run_when_told(run: Callable[[], Any], describe: Callable[[Any], dict[str, Any]]) -> None:
    """Answer, in the measured process, every line with the seconds of one run, and the end with the outcome."""
    outcome = None
    for _ in sys.stdin:
        started, processor_started = time.perf_counter(), time.process_time()
        outcome = run()
        took = [time.perf_counter() - started, time.process_time() - processor_started]
        print(json.dumps(took), flush=True)
    print(json.dumps({"peak_kib": peak_kib(), **describe(outcome)}))


def peak_kib() -> int:
    """Peak resident memory of this process."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found.group(1)) if found else 0


class Side:
    """One process that is measured, seen from the bench."""

    def __init__(self, name: str, command: list[str], cwd: Path = REPOSITORY) -> None:
        self.name = name
        self._process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._took: list[list[float]] = []

    def take_turn(self) -> None:
        """Run once."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._took.append(self._read())

    def end(self) -> dict[str, Any]:
        """Return the seconds of every run, and the last words of the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        outcome: dict[str, Any] = self._read()
        self._process.wait()
        seconds, processor_seconds = zip(*self._took, strict=True)
        return {"seconds": seconds, "processor_seconds": processor_seconds, **outcome}

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with code {self._process.wait()}.")
        return json.loads(line)
