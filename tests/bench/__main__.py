"""`make bench`: analysis against a peer and against the engine's limit, ingestion, memory and growth, in one table.

    python -m tests.bench [--identities N] [--repeats N] [--peer-python PATH] [--folder PATH] [--no-peer] [--write]

Every side is a process of its own with the same number of threads over the same data, and the sides take turns.
Machines differ, and so does the load on one: read the ratios.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.times import iso_utc
from tests.bench import data
from tests.bench.report import Measured, Report, markdown, with_sections_of
from tests.bench.turns import REPOSITORY, Side

THREADS = 2
GROWTH = (16, 4, 1)  # the data set, divided
OTHER_SETS = ("self-check", "eight", "condition", "dimension")  # of metrics, measured against the four
INGESTED_ROWS, INGESTED_OBJECTS = 500_000, 10


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a measurement."""

    identities: int
    repeats: int
    peer_python: Path | None
    folder: Path
    write: bool


def main(options: Options) -> None:
    """Measure, and print one table."""
    console = Console()
    started = time.monotonic()
    report = Report(events=options.identities * data.EVENTS_PER_IDENTITY, threads=THREADS)
    for divisor in GROWTH:
        identities = options.identities // divisor
        folder = options.folder / f"1-{divisor}"
        with console.status(f"Generating {identities * data.EVENTS_PER_IDENTITY:,} events ..."):
            raw = data.generate(folder / "raw", identities)
            lake = Lake(folder / "lake", threads=THREADS)
            data.load(lake, folder / "raw")
        if divisor == 1:
            shutil.copytree(folder / "lake", folder / "before" / "lake")
        with console.status("Compacting ..."):
            compact(lake, datetime.now(UTC), whole=True)
        if divisor > 1:
            (after,) = in_turns(console, options.repeats, [Side(f"ours, {identities:,} identities", ours(folder))])
        else:
            sides = [
                Side("ours before compaction", ours(folder / "before")),
                Side("ours after compaction", ours(folder)),
                Side("ours with sensitivity", ours(folder, "sensitive")),
                Side("the engine's limit", ours(folder, "limit")),
                *(Side(f"ours, {name}", ours(folder, name)) for name in OTHER_SETS),
            ]
            if options.peer_python is not None:
                sides.append(Side("the peer", peer(options.peer_python, raw)))
            report.before, after, report.sensitive, report.limit, *others = in_turns(console, options.repeats, sides)
            report.after = after
            report.sets = dict(zip(OTHER_SETS, others, strict=False))
            for report.peer in others[len(OTHER_SETS) :]:
                require_equal(after, report.peer)
            report.ingestion = ingestion(console, folder, raw)
        report.growth.append((identities * data.EVENTS_PER_IDENTITY, after))
        shutil.rmtree(folder)
    report.seconds = time.monotonic() - started
    console.print(report.table())
    if options.write:
        page = REPOSITORY / "docs" / "benchmarks.md"
        page.write_text(with_sections_of(markdown(report, dict(machine())), page.read_text("utf-8")))


def ours(folder: Path, what: str = "ours") -> list[str]:
    """The command of our side."""
    return [sys.executable, "-m", "tests.bench.ours", str(folder), str(THREADS), what]


def peer(python: Path, raw: str) -> list[str]:
    """The command of the peer."""
    window = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (data.WINDOW.started_at, data.WINDOW.as_of))
    return [str(python), "-m", "tests.bench.peer", raw, *window, str(THREADS)]


def in_turns(console: Console, repeats: int, sides: list[Side]) -> list[Measured]:
    """Every side once, and again, and again."""
    os.sync()  # what was written before is not to be written meanwhile
    for number in range(1, repeats + 1):
        for side in sides:
            with console.status(f"Measuring {side.name}, {number} of {repeats} ..."):
                side.take_turn()
    return [measured(side.end()) for side in sides]


def ingestion(console: Console, folder: Path, raw: str) -> Measured:
    """Gzip JSON lines to a committed version of the lake, once."""
    rows, objects = str(INGESTED_ROWS), str(INGESTED_OBJECTS)
    command = [sys.executable, "-m", "tests.bench.ingested", str(folder / "ingested"), raw, rows, objects]
    os.sync()
    with console.status("Measuring ingestion ..."):
        printed = subprocess.run(command, check=True, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True).stdout
    return measured(json.loads(printed.splitlines()[-1]))


def measured(outcome: dict[str, Any]) -> Measured:
    """The medians of what a process printed."""
    return Measured(
        seconds=statistics.median(outcome["seconds"]),
        processor_seconds=statistics.median(outcome["processor_seconds"]),
        peak_kib=outcome["peak_kib"],
        rows=outcome["rows"],
        version=outcome.get("version", ""),
        events=outcome.get("events", 0),
    )


def require_equal(mine: Measured, theirs: Measured) -> None:
    """Both sides computed the same: n exactly, sums to 1e-9."""
    for variant, n, *moments in theirs.rows:
        sums = moments[::2]
        rows = [row for row in mine.rows if row["variant"] == variant]
        assert [row["n"] for row in rows] == [n] * len(rows), f"{variant}: n differs"
        for row, total in zip(rows, sums, strict=True):
            assert abs(row["n"] * row["mean"] - total) <= 1e-9 * abs(total), f"{variant}: metric {row['metric_id']}"


def machine() -> Iterator[tuple[str, str]]:
    """Return the machine and the versions that the figures were taken with."""
    processors = Path("/proc/cpuinfo").read_text().split("model name\t: ")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 2**20
    yield "date", iso_utc(datetime.now(UTC).replace(microsecond=0))
    yield "processor", f"{os.cpu_count()} x {processors[1].splitlines()[0] if len(processors) > 1 else '?'}"
    yield "memory", f"{memory} GiB"
    yield "system", platform.platform()
    yield "load at the end", f"{os.getloadavg()[0]:.1f} processes ready to run"
    yield "python", platform.python_version()
    for package in ("duckdb", "polars", "deltalake"):
        yield package, version(package)


def parse(arguments: list[str]) -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--identities", type=int, default=750_000, help="23 events each")
    parser.add_argument("--repeats", type=int, default=5, help="runs of which the median counts")
    parser.add_argument("--peer-python", type=Path, default=REPOSITORY / ".venv-bench/bin/python")
    parser.add_argument("--no-peer", action="store_true", help="leave the peer out")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "bench-data", help="is emptied afterwards")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    given = parser.parse_args(arguments)
    python = None if given.no_peer else given.peer_python
    return Options(given.identities, given.repeats, python, given.folder, given.write)


if __name__ == "__main__":
    main(parse(sys.argv[1:]))
