"""Run as a process of its own: repairs a lake, and kills itself at a named point, the n-th time it gets there.

python -m tests.recovery.killed_repair <folder> <point> <n>
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
from experiment_pipeline.registry.batches import Batches
from experiment_pipeline.registry.repairs import Repairs
from tests.lake.installations import Installation

POINTS = ("open_or_create", "bind", "write", "commit_batch", "commit_rewrite", "accept_loss", "adopt")


def main(root: Path, point: str, at: int) -> None:
    """Repair the installation below a folder, and accept the loss of batch 2."""
    passed: Counter[str] = Counter()

    def pass_by(name: str) -> None:
        passed[name] += 1
        if name == point and passed[name] == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def mark(owner: type, name: str) -> None:
        function: Callable[..., Any] = getattr(owner, name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            pass_by(name)
            result = function(*args, **kwargs)
            pass_by(name)
            return result

        setattr(owner, name, wrapper)

    for owner, name in (
        (Snapshot, "write"),
        (Snapshot, "commit_batch"),
        (Snapshot, "commit_rewrite"),
        (Batches, "bind"),
        (Repairs, "accept_loss"),
        (Repairs, "adopt"),
    ):
        mark(owner, name)
    opened = Snapshot.open_or_create

    def open_or_create(*args: Any) -> Snapshot:
        pass_by("open_or_create")
        snapshot = opened(*args)
        pass_by("open_or_create")
        return snapshot

    Snapshot.open_or_create = open_or_create  # type: ignore[method-assign, assignment]
    delta.sync = lambda path: None  # type: ignore[attr-defined]  # noqa: ARG005  # only a power cut loses it
    Installation(root, f"sqlite:///{root / 'registry.sqlite'}").repair(2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
