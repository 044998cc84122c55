"""Run as a process of its own: ingests and compacts, and kills itself at a named point, the n-th time it gets there.

python -m tests.recovery.killed_ingestion <folder> [<point> <n> | unlocked]

Where EXPERIMENT_PIPELINE_STORAGE names an object storage, landing zone and lake are there.
"""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from experiment_pipeline.lake import delta, ingestion
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.delta import Snapshot
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry.batches import Batches
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from experiment_pipeline.storage import locks
from experiment_pipeline.storage.places import places_of
from tests.lake.ledger import NOW
from tests.recovery.kill_points import KillPoints

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
    points = KillPoints(point, at)
    points.mark(Snapshot, "write", _of_table("write"))
    points.mark(Snapshot, "commit_batch", _of_table("commit"))
    points.mark(Snapshot, "commit_rewrite", _of_table("rewrite"))
    points.mark(Batches, "plan_batch", "plan_batch")
    points.mark(Batches, "commit_batch", "commit_batch")
    delta.sync = lambda path: None  # type: ignore[attr-defined]  # noqa: ARG005  # only a power cut loses it

    if point == UNLOCKED:
        ingestion.exclusive_lock = nullcontext  # type: ignore[assignment]
    locks.LEASE_SECONDS = 1.0
    registry = Registry.open(f"sqlite:///{root / 'registry.sqlite'}")
    places = places_of(Settings(data_dir=root))
    lake = Lake(places.lake, threads=1)
    ingestion.ingest(lake, registry.batches, places.landing, NOW)
    compact(lake, NOW, whole=True)


def _of_table(verb: str) -> Callable[..., str]:
    return lambda snapshot, *_: f"{verb} {snapshot._definition.name}"


if __name__ == "__main__":
    folder, named, count = [*sys.argv[1:], None, None][:3]
    main(Path(str(folder)), named, int(count or 1))
