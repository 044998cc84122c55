"""Runs that a command executes in its own process, and how others know that such a process was killed.

Dagster's daemon watches the processes that it has started, and takes a run of any other one for running until an hour
has passed. Meanwhile the run's claims would wait for it (rule R7). So a process locks a file for each of its runs, and
the operating system unlocks it when the process ends, whatever ends it.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg

FOLDER = "own_runs"  # below the home of the installation's Dagster instance


@contextmanager
def locked_run(home: Path, run_id: str) -> Iterator[None]:
    """Tell others that this process executes a run, for as long as the block lasts."""
    file = home / FOLDER / run_id
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def killed_runs(home: Path) -> list[str]:
    """Return the ids of the runs whose process ended before they did."""
    return sorted(file.name for file in (home / FOLDER).glob("*") if not _is_locked(file))


def close_killed_run(home: Path, instance: dg.DagsterInstance, run_id: str) -> None:
    """Record in Dagster that a run has failed, where it knows the run, and forget its file."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_failed(run, "The process that executed the run was killed.")
    (home / FOLDER / run_id).unlink(missing_ok=True)


def _is_locked(file: Path) -> bool:
    with suppress(FileNotFoundError), file.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
    return True  # it ended in good order just now
