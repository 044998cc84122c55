"""Run as a process of its own: ingests and compacts, and kills itself at a named point, the n-th time it gets there.

python -m tests.recovery.killed_ingestion <folder> [<point> <n> | unlocked]
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from experiment_pipeline.lake import delta, ingestion
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.delta import Snapshot
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry.batches import Batches
from experiment_pipeline.registry.registry import Registry
from tests.lake.ledger import NOW

POINTS = (  # each is passed twice: before it happens and after
    "plan_batch",
    "write rejected",
    "commit rejected",
    "write events",
    "commit events",
    "commit_batch",
    "rewrite events",
)
UNLOCKED = "unlocked"  # instead of a point: where the file system knows no locks


def main(root: Path, point: str | None = None, at: int = 1) -> None:
    """Ingest and compact everything below a folder."""
    passed: Counter[str] = Counter()

    def pass_by(name: str) -> None:
        passed[name] += 1
        if name == point and passed[name] == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def marked(function: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            pass_by(name(*args))
            result = function(*args, **kwargs)
            pass_by(name(*args))
            return result

        return wrapper

    def table(verb: str) -> Callable[..., str]:
        return lambda snapshot, *_: f"{verb} {snapshot._definition.name}"

    Snapshot.write = marked(Snapshot.write, table("write"))  # type: ignore[method-assign]
    Snapshot.commit_batch = marked(Snapshot.commit_batch, table("commit"))  # type: ignore[method-assign]
    Snapshot.commit_rewrite = marked(Snapshot.commit_rewrite, table("rewrite"))  # type: ignore[method-assign]
    for method in ("plan_batch", "commit_batch"):
        setattr(Batches, method, marked(getattr(Batches, method), lambda *_, method=method: method))
    delta.sync = lambda path: None  # type: ignore[attr-defined]  # noqa: ARG005  # only a power cut loses it

    if point == UNLOCKED:
        ingestion.exclusive_lock = nullcontext  # type: ignore[assignment]
    registry = Registry.open(f"sqlite:///{root / 'registry.sqlite'}")
    lake = Lake(root / "lake", threads=1)
    ingestion.ingest(lake, registry.batches, root / "landing", NOW)
    compact(lake, NOW, whole=True)


if __name__ == "__main__":
    folder, named, count = [*sys.argv[1:], None, None][:3]
    main(Path(str(folder)), named, int(count or 1))
