"""Run as a process of its own: drops removed rows, and kills itself at a named point, the n-th time it gets there.

python -m tests.recovery.killed_drop <lake> <limit> <point> <n>
"""

import sys
from pathlib import Path

from experiment_pipeline.lake import delta
from experiment_pipeline.lake.delta import Snapshot
from experiment_pipeline.lake.dropping import drop_removed
from experiment_pipeline.lake.lake import Lake
from tests.recovery.kill_points import KillPoints

POINTS = ("write", "commit_rewrite", "sync")  # each is passed twice: before it happens and after


def main(root: Path, limit: int, point: str, at: int) -> None:
    """Drop the removed rows of a lake."""
    points = KillPoints(point, at)
    points.mark(Snapshot, "write", "write")
    points.mark(Snapshot, "commit_rewrite", "commit_rewrite")
    points.mark(delta, "sync", "sync")
    drop_removed(Lake(root, threads=1), limit)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
