"""Run as a process of its own: a restart that kills itself before or after the n-th statement of its transaction.

python -m tests.recovery.killed_restart <registry URL> <n> <moment>; it ends with 0 where there are fewer statements.
"""

import os
import signal
import sys
from datetime import datetime
from typing import Any

from sqlalchemy import event

from experiment_pipeline.domain.drafts import VariantDraft
from experiment_pipeline.registry.registry import Registry


def kill_at(registry: Registry, number: int) -> None:
    """Kill this process when so many statements were executed; the commit counts as one."""
    left = [number]

    def count(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(registry.engine, "after_cursor_execute", count)
    event.listen(registry.engine, "commit", count)


if __name__ == "__main__":
    opened = Registry.open(sys.argv[1])
    kill_at(opened, int(sys.argv[2]))
    opened.experiments.restart(
        1, (VariantDraft("treatment", 20.0),), actor="tests", now=datetime.fromisoformat(sys.argv[3]), ends=1
    )
