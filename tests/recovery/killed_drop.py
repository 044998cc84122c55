"""Run as a process of its own: drops removed rows, and kills itself at a named point, the n-th time it gets there.

python -m tests.recovery.killed_drop <lake> <limit> <point> <n>
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiment_pipeline.lake import delta
from experiment_pipeline.lake.delta import Snapshot
from experiment_pipeline.lake.dropping import drop_removed
from experiment_pipeline.lake.lake import Lake

POINTS = ("write", "commit_rewrite", "sync")  # each is passed twice: before it happens and after


def main(root: Path, limit: int, point: str, at: int) -> None:
    """Drop the removed rows of a lake."""
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

    Snapshot.write = marked(Snapshot.write, "write")  # type: ignore[method-assign]
    Snapshot.commit_rewrite = marked(Snapshot.commit_rewrite, "commit_rewrite")  # type: ignore[method-assign]
    delta.sync = marked(delta.sync, "sync")  # type: ignore[attr-defined]
    drop_removed(Lake(root, threads=1), limit)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
