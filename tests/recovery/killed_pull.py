"""Run as a process of its own: pulls a source and ingests it, and kills itself at a named point, the n-th time there.

python -m tests.recovery.killed_pull <folder> [<point> <n>]
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.registry.source_ranges import SourceRanges
from experiment_pipeline.sources import landing_folder
from experiment_pipeline.sources.adbc_rows import AdbcDatabase
from experiment_pipeline.sources.file_rows import FileRows
from experiment_pipeline.sources.pull import Pull, open_ranges
from tests.lake.ledger import NOW

SOURCE = "orders"
POINTS = ("plan", "open rows", "write part", "rename folder", "close")  # each is passed twice: before it and after


def main(root: Path, point: str | None = None, at: int = 1) -> None:
    """Pull and ingest what lies below a folder."""
    passed: Counter[str] = Counter()

    def pass_by(name: str) -> None:
        passed[name] += 1
        if name == point and passed[name] == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def marked(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            pass_by(name)
            result = function(*args, **kwargs)
            pass_by(name)
            return result

        return wrapper

    SourceRanges.plan = marked(SourceRanges.plan, "plan")  # type: ignore[method-assign]
    SourceRanges.close = marked(SourceRanges.close, "close")  # type: ignore[method-assign]
    FileRows.__init__ = marked(FileRows.__init__, "open rows")  # type: ignore[method-assign]
    AdbcDatabase.rows = marked(AdbcDatabase.rows, "open rows")  # type: ignore[method-assign]
    landing_folder._write = marked(landing_folder._write, "write part")
    Path.rename = marked(Path.rename, "rename folder")  # type: ignore[method-assign]

    registry = Registry.open(f"sqlite:///{root / 'registry.sqlite'}")
    source = registry.sources.find(SOURCE)
    connection = None if source.connection is None else registry.connections.find(source.connection)
    ranges, landing = open_ranges(source, connection, os.environ), root / "landing"
    Pull(source, ranges, registry.source_ranges, landing, lambda: NOW, lambda _, __: None).run()
    ingest(Lake(root / "lake", threads=1), registry.batches, landing, NOW)


if __name__ == "__main__":
    folder, named, count = [*sys.argv[1:], None, None][:3]
    main(Path(str(folder)), named, int(count or 1))
