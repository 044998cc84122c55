"""Run as a process of its own: `registry copy` that kills itself around its n-th transaction.

python -m tests.recovery.killed_copy <n> <before | after> <argument> ...
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from experiment_pipeline.cli.main import main
from experiment_pipeline.registry import copying
from experiment_pipeline.registry.engine import Database, writing

passed = 0


@contextmanager
def writing_and_dying(database: Database) -> Iterator[Connection]:
    """A transaction; the process dies right before or right after the n-th one is committed."""
    global passed  # noqa: PLW0603
    passed += 1
    dies = passed == int(sys.argv[1])
    with writing(database) as connection:
        yield connection
        if dies and sys.argv[2] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    copying.BATCH_ROWS = 4
    copying.writing = writing_and_dying  # type: ignore[attr-defined]
    main(sys.argv[3:])
