"""Resident memory of a process and all that it has started, over time."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROLES = {  # a part of the command line: the name in the report
    " dev ": "dev",
    " serve ": "API",
    "dagster_webserver": "webserver",
    "dagster_daemon": "daemon",
    "dagster._daemon": "daemon",
    "api grpc": "code server",
    "code-server": "code server",
    "execute_run": "run",
    "resource_tracker": "resource tracker",
    "multiprocessing": "helper process",
}


@dataclass(frozen=True, slots=True)
class Process:
    """A process by its id and its role."""

    pid: int
    role: str


@dataclass(frozen=True, slots=True)
class Growth:
    """Memory of one process at the baseline, and its peak from then on, in bytes."""

    process: Process
    before: int
    peak: int

    @property
    def growth(self) -> float:
        """The peak in terms of the baseline."""
        return self.peak / self.before

    def row(self, minute: float) -> str:
        """Return the figures as two cells of a table."""
        sizes = f"{self.before >> 20} MiB at minute {minute:.1f}, {self.peak >> 20} MiB at most"
        return f"{self.process.role} | {sizes}: {self.growth:.2f}"

    def __str__(self) -> str:
        return f"{self.process.role} {self.process.pid}: {self.before >> 20} to {self.peak >> 20} MiB"


@dataclass
class Memory:
    """Samples: the minute, and each process's bytes then."""

    samples: list[tuple[float, Mapping[Process, int]]] = field(default_factory=list)

    def add(self, minute: float, resident: Mapping[Process, int]) -> None:
        self.samples.append((minute, resident))

    def grown(self, minute: float) -> list[Growth]:
        """Return the growth since a minute of the processes that live from half of that time to the end.

        Younger ones are left out: a process that has just been started is small.
        """
        since = [resident for at, resident in self.samples if at >= minute]
        earlier = [resident for at, resident in self.samples if at >= minute / 2]
        if not since:
            return []
        lasting = [each for each in since[0] if each in since[-1] and each in earlier[0]]
        return [Growth(each, since[0][each], max(sample.get(each, 0) for sample in since)) for each in lasting]

    def short_lived(self, minute: float) -> list[tuple[str, int]]:
        """Peaks of the other processes, by role."""
        lasting = {each.process for each in self.grown(minute)}
        peaks: defaultdict[str, int] = defaultdict(int)
        for _, resident in self.samples:
            for process, size in resident.items():
                if process not in lasting:
                    peaks[process.role] = max(peaks[process.role], size)
        return sorted((f"a short-lived {role}", peak) for role, peak in peaks.items())


def resident_by_process(root: int) -> dict[Process, int]:
    """Return the resident bytes of a process and of its descendants; those that end meanwhile are left out."""
    return dict(_resident(root))


def _resident(pid: int, parent: str = "") -> Iterator[tuple[Process, int]]:
    folder = Path("/proc") / str(pid)
    try:
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        pages = int((folder / "statm").read_text().split()[1])
        children = [each for task in (folder / "task").iterdir() for each in (task / "children").read_text().split()]
    except (OSError, IndexError):
        return
    role = next((name for part, name in ROLES.items() if part in command), "other")
    if parent == "code server" and role in ("code server", "helper process"):
        role = "run"  # Dagster's code server starts it by multiprocessing
    if pages:
        yield Process(pid, role), pages * os.sysconf("SC_PAGE_SIZE")
    for child in children:
        yield from _resident(int(child), role)
