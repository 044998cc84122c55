"""Run as a process of its own: pulls a source and ingests it, and kills itself at a named point, the n-th time there.

python -m tests.recovery.killed_pull <folder> [<point> <n>]
"""

import os
import sys
from pathlib import Path

from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.registry.source_ranges import SourceRanges
from experiment_pipeline.sources import landing_folder
from experiment_pipeline.sources.adbc_rows import AdbcDatabase
from experiment_pipeline.sources.file_rows import FileRows
from experiment_pipeline.sources.pull import Pull, open_ranges
from tests.lake.ledger import NOW
from tests.recovery.kill_points import KillPoints

SOURCE = "orders"
POINTS = ("plan", "open rows", "write part", "rename folder", "close")  # each is passed twice: before it and after


def main(root: Path, point: str | None = None, at: int = 1) -> None:
    """Pull and ingest what lies below a folder."""
    points = KillPoints(point, at)
    points.mark(SourceRanges, "plan", "plan")
    points.mark(SourceRanges, "close", "close")
    points.mark(FileRows, "__init__", "open rows")
    points.mark(AdbcDatabase, "rows", "open rows")
    points.mark(landing_folder, "_write", "write part")
    points.mark(Path, "rename", "rename folder")

    registry = Registry.open(f"sqlite:///{root / 'registry.sqlite'}")
    source = registry.sources.find(SOURCE)
    ranges, landing = open_ranges(source, registry.connections.of(source), os.environ), root / "landing"
    Pull(source, ranges, registry.source_ranges, landing, lambda: NOW, lambda _, __: None).run()
    ingest(Lake(root / "lake", threads=1), registry.batches, landing, NOW)


if __name__ == "__main__":
    folder, named, count = [*sys.argv[1:], None, None][:3]
    main(Path(str(folder)), named, int(count or 1))
