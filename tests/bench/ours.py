"""Our side of the bench, in a process of its own: the analysis of one experiment as its assets run it.

    python -m tests.bench.ours <folder> <repeats> <threads> <ours|limit>     prints one JSON object

`ours` is end to end: first exposures, buckets, aggregates, each written as the artifact that it is in production.
`limit` groups the same rows of the same files by identity, and keeps one number.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import polars as pl
from duckdb import DuckDBPyConnection

from experiment_pipeline.artifacts import ArtifactStore, Stamp, StampedFrame, write_frame
from experiment_pipeline.experiments import Aggregation, Metric
from experiment_pipeline.lake.tables import Lake
from experiment_pipeline.warehouse.base import AnalysisScope, Frame
from experiment_pipeline.warehouse.duckdb import DuckDBWarehouse, KeptConnection
from tests.bench.data import ENVIRONMENT, FEATURE, WINDOW, statement

MEMORY_LIMIT = "2GiB"
METRICS = tuple(
    Metric(id=at, environment_key=ENVIRONMENT, name=event, event=event, aggregation=aggregation)
    for at, (event, aggregation) in enumerate(
        [
            ("signup", Aggregation.OCCURRENCE),
            ("page_view", Aggregation.COUNT),
            ("purchase", Aggregation.SUM),
            ("session", Aggregation.MEAN),
        ],
        start=1,
    )
)


def analyse(warehouse: DuckDBWarehouse, scope: AnalysisScope) -> pl.DataFrame:
    """What one refresh asks of the engine, artifacts written."""

    def keep(name: str, frame: Frame) -> None:
        stamp = Stamp(scope.partition_key, scope.window, scope.data_version, "bench", frame.sql)
        write_frame(StampedFrame(rows=frame.rows, stamp=stamp), warehouse.artifacts.path(name, scope.partition_key))

    warehouse.write_first_exposures(scope)
    keep("exposure_buckets", warehouse.exposure_buckets(scope))
    aggregates = warehouse.variant_aggregates(scope, METRICS)
    keep("variant_aggregates", aggregates)
    warehouse.variant_identities(scope)
    return aggregates.rows


def refresh(lake: Lake, folder: Path, scope: AnalysisScope) -> pl.DataFrame:
    """One run, over one connection."""
    with closing(KeptConnection(lake.connect)) as connect:
        return analyse(DuckDBWarehouse(connect, lake.event_files, ArtifactStore(folder / "artifacts")), scope)


def limit(connect: Callable[[], DuckDBPyConnection], files: list[str]) -> None:
    """Group the same rows by identity."""
    with connect() as connection:
        parameters = {"files": files, "started_at": WINDOW.started_at, "as_of": WINDOW.as_of}
        connection.execute(statement("limit"), parameters).fetchall()


def peak_kib() -> int:
    """Peak resident memory of this process."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found.group(1)) if found else 0


def main(folder: Path, repeats: int, threads: int, what: str) -> None:
    """Run it and print seconds, peak memory and results."""
    lake = Lake(folder / "lake", memory_limit=MEMORY_LIMIT, threads=threads, spill_dir=folder / "spill")
    scope = AnalysisScope("bench-1", ENVIRONMENT, FEATURE, WINDOW, data_version=10**6)
    files = lake.event_files(ENVIRONMENT, WINDOW)
    run = partial(refresh, lake, folder, scope) if what == "ours" else partial(limit, lake.connect, files)
    seconds, processor_seconds = [], []
    rows = None
    for _ in range(repeats):
        started, processor_started = time.perf_counter(), time.process_time()
        rows = run()
        seconds.append(time.perf_counter() - started)
        processor_seconds.append(time.process_time() - processor_started)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "processor_seconds": processor_seconds,
                "peak_kib": peak_kib(),
                "files": len(files),
                "rows": [] if rows is None else rows.to_dicts(),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
