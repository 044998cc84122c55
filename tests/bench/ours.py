"""Our side of the bench, in a process of its own: the analysis of one experiment as its assets run it.

    python -m tests.bench.ours <folder> <threads> <set|limit>     runs once for every line that it is sent

What a set has analysed (`tests/bench/metric_sets.py`) is end to end: first exposures, buckets, aggregates, each written
as the artifact that it is in production.
`limit` groups the same rows of the same files by identity, and keeps one number.
"""

import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import polars as pl
from duckdb import DuckDBPyConnection

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.warehouse.artifacts import ArtifactStore, Stamp, StampedFrame, write_frame
from experiment_pipeline.warehouse.base import Frame
from experiment_pipeline.warehouse.duckdb.connection import KeptConnection
from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse
from tests.bench.data import DAYS, ENVIRONMENT, FEATURE, WINDOW, statement
from tests.bench.metric_sets import SETS, Analysed
from tests.bench.turns import run_when_told

MEMORY_LIMIT = "2GiB"


def analyse(warehouse: DuckDBWarehouse, scope: AnalysisScope, analysed: Analysed) -> pl.DataFrame:
    """Ask the engine for everything that one refresh needs, artifacts included."""

    def keep(name: str, frame: Frame) -> None:
        stamp = Stamp(scope.partition_key, scope.window, scope.data_version, "bench", frame.sql)
        write_frame(StampedFrame(rows=frame.rows, stamp=stamp), warehouse.artifacts.path(name, scope.partition_key))

    warehouse.write_first_exposures(scope)
    keep("exposure_buckets", warehouse.exposure_buckets(scope))
    aggregates = warehouse.variant_aggregates(
        scope, analysed.metrics, sensitive=analysed.sensitive, self_check=analysed.self_check
    )
    keep("variant_aggregates", aggregates)
    warehouse.variant_identities(scope)
    return aggregates.rows


def refresh(lake: Lake, folder: Path, scope: AnalysisScope, analysed: Analysed) -> pl.DataFrame:
    """One run, over one connection."""
    with closing(KeptConnection(lake.connect)) as connect:
        warehouse = DuckDBWarehouse(connect, lake.event_files, ArtifactStore(folder / "artifacts"))
        return analyse(warehouse, scope, analysed)


def limit(connect: Callable[[], DuckDBPyConnection], files: list[str]) -> None:
    """Group the same rows by identity."""
    with connect() as connection:
        parameters = {"files": files, "started_at": WINDOW.started_at, "as_of": WINDOW.as_of}
        connection.execute(statement("limit"), parameters).fetchall()


def main(folder: Path, threads: int, what: str) -> None:
    """Get ready, and run when told."""
    lake = Lake(folder / "lake", memory_limit=MEMORY_LIMIT, threads=threads, spill_dir=folder / "spill")
    if what == "limit":
        run_when_told(
            partial(limit, lake.connect, lake.event_files(ENVIRONMENT, WINDOW).events), lambda _: {"rows": []}
        )
    else:
        analysed = SETS[what]
        scope = AnalysisScope("bench-1", ENVIRONMENT, FEATURE, WINDOW, data_version=DAYS, audience=analysed.audience)
        run_when_told(partial(refresh, lake, folder / what, scope, analysed), lambda rows: {"rows": rows.to_dicts()})


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
