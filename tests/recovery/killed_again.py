"""Run as a process of its own: `sources pull orders --again`, which kills itself at a named point, the n-th time there.

python -m tests.recovery.killed_again [<point> <n>]
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiment_pipeline.cli.main import main as command
from experiment_pipeline.lake.delta import Snapshot
from experiment_pipeline.registry.batches import Batches
from experiment_pipeline.registry.source_ranges import SourceRanges
from experiment_pipeline.sources import landing_folder
from experiment_pipeline.sources.adbc_rows import AdbcDatabase
from experiment_pipeline.sources.file_rows import FileRows

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
    passed: Counter[str] = Counter()

    def pass_by(name: str) -> None:
        passed[name] += 1
        if name == point and passed[name] == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def mark(owner: Any, method: str, name: str, matters: Callable[..., bool] = lambda *_: True) -> None:
        function = getattr(owner, method)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            is_point = matters(*args)
            if is_point:
                pass_by(name)
            result = function(*args, **kwargs)
            if is_point:
                pass_by(name)
            return result

        setattr(owner, method, wrapper)

    def is_of_events(snapshot: Snapshot, *_: object) -> bool:
        return snapshot._definition.name == "events"

    mark(SourceRanges, "plan", "plan")
    mark(SourceRanges, "close", "close")
    mark(FileRows, "__init__", "open rows")
    mark(AdbcDatabase, "rows", "open rows")
    mark(landing_folder, "_write", "write part")
    mark(Path, "rename", "rename folder", lambda path, _: SOURCE in path.parts)
    mark(Batches, "plan_batch", "plan_batch")
    mark(Snapshot, "write", "write events", is_of_events)
    mark(Snapshot, "commit_batch", "commit events", is_of_events)
    mark(Batches, "commit_batch", "commit_batch")
    command(["sources", "pull", SOURCE, "--again"])


if __name__ == "__main__":
    named, count = [*sys.argv[1:], None, None][:2]
    main(named, int(count or 1))
