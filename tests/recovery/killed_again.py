"""Run as a process of its own: `sources pull orders --again`, which kills itself at a named point, the n-th time there.

python -m tests.recovery.killed_again [<point> <n>]
"""

import sys
from collections.abc import Callable
from pathlib import Path

from experiment_pipeline.cli.main import main as command
from experiment_pipeline.lake.delta import Snapshot
from experiment_pipeline.registry.batches import Batches
from experiment_pipeline.registry.source_ranges import SourceRanges
from experiment_pipeline.sources import landing_folder
from experiment_pipeline.sources.adbc_rows import AdbcDatabase
from experiment_pipeline.sources.file_rows import FileRows
from tests.recovery.kill_points import KillPoints

SOURCE = "orders"
POINTS = (  # each is passed twice: before it and after
    "plan",
    "open rows",
    "write part",
    "rename folder",
    "close",
    "plan_batch",
    "write events",
    "commit events",
    "commit_batch",
)


def main(point: str | None = None, at: int = 1) -> None:
    """Read the source anew, with its environment as it is."""
    points = KillPoints(point, at)
    points.mark(SourceRanges, "plan", "plan")
    points.mark(SourceRanges, "close", "close")
    points.mark(FileRows, "__init__", "open rows")
    points.mark(AdbcDatabase, "rows", "open rows")
    points.mark(landing_folder, "_write", "write part")
    points.mark(Path, "rename", lambda path, _: "rename folder" if SOURCE in path.parts else None)
    points.mark(Batches, "plan_batch", "plan_batch")
    points.mark(Snapshot, "write", _of_events("write events"))
    points.mark(Snapshot, "commit_batch", _of_events("commit events"))
    points.mark(Batches, "commit_batch", "commit_batch")
    command(["sources", "pull", SOURCE, "--again"])


def _of_events(name: str) -> Callable[..., str | None]:
    return lambda snapshot, *_: name if snapshot._definition.name == "events" else None


if __name__ == "__main__":
    named, count = [*sys.argv[1:], None, None][:2]
    main(named, int(count or 1))
