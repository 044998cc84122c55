"""Run as a process of its own: repairs a lake, and kills itself at a named point, the n-th time it gets there.

python -m tests.recovery.killed_repair <folder> <point> <n>
"""

import sys
from pathlib import Path

from experiment_pipeline.lake import delta
from experiment_pipeline.lake.delta import Snapshot
from experiment_pipeline.registry.batches import Batches
from experiment_pipeline.registry.repairs import Repairs
from tests.lake.installations import Installation
from tests.recovery.kill_points import KillPoints

POINTS = ("open_or_create", "bind", "write", "commit_batch", "commit_rewrite", "accept_loss", "adopt")


def main(root: Path, point: str, at: int) -> None:
    """Repair the installation below a folder, and accept the loss of batch 2."""
    points = KillPoints(point, at)
    for owner, name in (
        (Snapshot, "open_or_create"),
        (Snapshot, "write"),
        (Snapshot, "commit_batch"),
        (Snapshot, "commit_rewrite"),
        (Batches, "bind"),
        (Repairs, "accept_loss"),
        (Repairs, "adopt"),
    ):
        points.mark(owner, name, name)
    delta.sync = lambda path: None  # type: ignore[attr-defined]  # noqa: ARG005  # only a power cut loses it
    Installation(root, f"sqlite:///{root / 'registry.sqlite'}").repair(2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
