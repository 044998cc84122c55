"""How far is `lake ingest` from what the engine needs at least to read, sort and store the same files?

    python -m tests.bench.ingested_files [--events N] [--files N] [--repeats N] [--write]

Both sides are whole processes with two threads each, in turns. The engine's side reads the files, sorts the rows and
writes one zstd Parquet file; it judges no record, drops no duplicate, and is not exactly once.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tests.bench import data
from tests.bench.report import replace_section
from tests.bench.turns import REPOSITORY

EVENTS, FILES, REPEATS, THREADS = 2_000_000, 20, 5, 2
SECTION = "Ingestion of files"
CLI = [str(Path(sys.executable).parent / "experiment-pipeline")]
LANDED = Path("landing", "events", f"env_key={data.ENVIRONMENT}", "2026", "02", "15", "00")
KINDS = {"gzip files of JSON lines": ("json_lines", "jsonl.gz"), "Parquet objects": ("parquet_objects", "parquet")}
ENGINE = """
import duckdb
files, target = {files!r}, {target!r}
with duckdb.connect(config={{"threads": {threads}, "memory_limit": "2GiB"}}) as connection:
    connection.execute(
        "copy (from {read}(?) order by event, feature_name, identifier, timestamp) to '" + target + "' "
        "(format parquet, compression zstd)",
        [files],
    )
"""


@dataclass(frozen=True, slots=True)
class Took:
    """Figures of one process: seconds, seconds of processor time, and its peak memory in KiB."""

    seconds: float
    processor_seconds: float
    peak_kib: int


@dataclass(frozen=True, slots=True)
class Compared:
    """The runs of both sides, turn by turn."""

    kind: str
    ours: list[Took]
    engine: list[Took]

    def cells(self) -> str:
        """Return the row of the table."""
        ratios = [
            (mine.seconds / theirs.seconds, mine.processor_seconds / theirs.processor_seconds)
            for mine, theirs in zip(self.ours, self.engine, strict=True)
        ]
        clock, processor = (statistics.median(each) for each in zip(*ratios, strict=True))
        peak = max(each.peak_kib for each in self.ours) // 1024
        sides = f"{_median(self.ours)} | {_median(self.engine)}"
        return f"| {self.kind} | {sides} | {clock:.2f} ({processor:.2f}) | {peak} MiB |"


def _median(took: list[Took]) -> str:
    seconds = statistics.median(each.seconds for each in took)
    return f"{seconds:.2f} s ({statistics.median(each.processor_seconds for each in took):.2f} s)"


def compare(kind: str, folder: Path, raw: str, *, events: int, files: int, repeats: int) -> Compared:
    """Write the files of one kind, and let both sides take turns; the first turn fills the caches."""
    statement, suffix = KINDS[kind]
    prepared = folder / "prepared"
    (prepared / LANDED).mkdir(parents=True)
    with duckdb.connect() as connection:
        for number in range(files):
            target = str(prepared / LANDED / f"20260215T000000Z-{number:02}.{suffix}")
            parameters = {"files": raw, "objects": files, "object": number, "rows": events // files, "target": target}
            connection.execute(data.statement(statement), parameters)
    run([*CLI, "--data-dir", str(prepared), "environments", "create", data.ENVIRONMENT])
    ours, engine = [], []
    for _ in range(repeats + 1):
        fresh = folder / "fresh"
        shutil.copytree(prepared, fresh)
        os.sync()
        ours.append(run([*CLI, "--data-dir", str(fresh), "lake", "ingest"]))
        shutil.rmtree(fresh)
        read = "read_parquet" if suffix == "parquet" else "read_json"
        landed = [str(path) for path in sorted((prepared / LANDED).iterdir())]
        script = ENGINE.format(files=landed, target=str(folder / "engine.parquet"), read=read, threads=THREADS)
        engine.append(run([sys.executable, "-c", script]))
    shutil.rmtree(prepared)
    return Compared(kind, ours[1:], engine[1:])


def run(command: list[str]) -> Took:
    """Run a process to its end, and return what it took."""
    environment = {**os.environ, "EXPERIMENT_PIPELINE_DUCKDB_THREADS": str(THREADS)}
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Took(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def section(compared: Iterator[Compared], events: int, files: int) -> str:
    """Return the section of docs/benchmarks.md."""
    rows = "\n".join(each.cells() for each in compared)
    return f"""Written by `python -m tests.bench.ingested_files --write`, which `make bench` calls: {events:,} events
in {files} files, by `lake ingest` (whole process), and by DuckDB's own `read_json` or `read_parquet`, sort and zstd
Parquet of the same files, {THREADS} threads each, in turns. Wall-clock time, and in brackets processor time; medians,
of the ratios of each turn, too. For JSON lines the target is a ratio of at most 3 by both. The load at the end was
{os.getloadavg()[0]:.0f} processes ready to run.

| files | `lake ingest` | the engine alone | ratio | peak memory |
| --- | ---: | ---: | ---: | ---: |
{rows}
"""


def main(events: int, files: int, repeats: int, *, write: bool) -> None:
    """Measure, print, and write where it is asked for."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = data.generate(folder / "raw", -(-events * 11 // 10 // data.EVENTS_PER_IDENTITY))
        found = (compare(kind, folder, raw, events=events, files=files, repeats=repeats) for kind in KINDS)
        text = section(found, events, files)
    print(text)
    if write:
        page = REPOSITORY / "docs" / "benchmarks.md"
        page.write_text(replace_section(page.read_text("utf-8"), SECTION, text))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--write", action="store_true", help="write the section of docs/benchmarks.md")
    given = parser.parse_args()
    main(given.events, given.files, given.repeats, write=given.write)
