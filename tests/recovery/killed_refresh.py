"""Run as a process of its own: one incremental refresh of a history that kills itself at a named point.

python -m tests.recovery.killed_refresh <folder> <point> <which>

Prints how often each point was passed, where it comes to the end.
"""

import json
import pickle
import sys
from contextlib import closing
from pathlib import Path

from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.duckdb import totals_store
from experiment_pipeline.warehouse.duckdb.connection import KeptConnection
from experiment_pipeline.warehouse.duckdb.totals_store import TotalsStore
from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse
from experiment_pipeline.warehouse.refreshes import RefreshMode, RefreshPolicy
from tests.incremental.histories import connect
from tests.recovery.kill_points import KillPoints

REFRESH = "refresh.pickle"  # scope and metrics


def main(folder: Path, point: str, which: int) -> None:
    """Refresh, and die on the way."""
    points = KillPoints(point, which)
    points.mark(TotalsStore, "append", "rows of totals are written")
    points.mark(totals_store, "sync", "totals are synced")
    points.mark(TotalsStore, "publish", "a generation is published")
    points.mark(Path, "replace", "a file replaces the last one")
    points.mark(Path, "unlink", "a file is removed")
    scope, metrics = pickle.loads((folder / REFRESH).read_bytes())  # noqa: S301 - the test wrote it
    with closing(KeptConnection(connect)) as kept:
        lake, artifacts = Lake(folder / "lake"), ArtifactStore(folder / "artifacts")
        engine = DuckDBWarehouse(kept, lake.event_files, artifacts, RefreshPolicy(least_rows=0))
        engine.write_first_exposures(scope, RefreshMode.INCREMENTAL)
        engine.variant_aggregates(scope, metrics, mode=RefreshMode.INCREMENTAL)
    print(json.dumps(points.passed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
