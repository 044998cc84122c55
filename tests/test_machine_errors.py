"""Errors of the machine are told from bugs, and told with a remedy, whichever library met them."""

import errno
import os
import sqlite3

import duckdb
import pytest
from polars.exceptions import ComputeError, PanicException
from sqlalchemy.exc import OperationalError

from experiment_pipeline.machine_errors import REMEDIES, TEXT, explained


def wrapped(error: Exception, *, is_cause: bool) -> Exception:
    """Return another error that was raised from this one, or while it was handled."""
    other = RuntimeError("The step failed.")
    other.__context__ = error
    other.__cause__ = error if is_cause else None
    return other


@pytest.mark.parametrize("number", REMEDIES)
def test_explained__error_of_the_system__is_its_text_its_file_and_a_remedy(number: int) -> None:
    error = OSError(number, os.strerror(number), "/data/lake")
    assert explained(error) == f"{os.strerror(number)}: /data/lake. {REMEDIES[number]}, then try again."


FULL = "No space left on device"


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (duckdb.IOException(f'IO Error: Could not write file "a.parquet": {FULL}'), errno.ENOSPC),
        (
            duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate data\n\nPossible solutions:"),
            errno.ENOMEM,
        ),
        (OSError(f"Generic LocalFileSystem error\n  caused by: {FULL} (os error 28)"), errno.ENOSPC),
        (ComputeError(f"{FULL} (os error 28)"), errno.ENOSPC),
        (OperationalError("insert", {}, sqlite3.OperationalError("database or disk is full")), errno.ENOSPC),
        (PanicException(f'Failed: Os {{ code: 24, message: "{os.strerror(errno.EMFILE)}" }}'), errno.EMFILE),
        (sqlite3.OperationalError("attempt to write a readonly database"), errno.EROFS),
        (MemoryError(), errno.ENOMEM),
        (wrapped(OSError(errno.EMFILE, os.strerror(errno.EMFILE)), is_cause=True), errno.EMFILE),
    ],
)
def test_explained__error_of_a_library__is_one_line_with_the_remedy(error: BaseException, number: int) -> None:
    told = explained(error)
    assert told is not None
    assert told.endswith(f"{REMEDIES[number]}, then try again.")
    assert "\n" not in told
    assert TEXT.search(told.partition(f" {REMEDIES[number]}")[0])


def test_explained__a_database_that_cannot_be_opened__names_both_reasons() -> None:
    told = explained(sqlite3.OperationalError("unable to open database file"))
    assert told == (
        "unable to open database file. Let this user read and write there, or raise the limit of open files "
        "(ulimit -n), then try again."
    )


def test_explained__no_more_threads__names_memory_and_the_limit_of_processes() -> None:
    told = explained(RuntimeError("can't start new thread"))
    remedy = f"{REMEDIES[errno.ENOMEM]}, or raise the limit of processes (ulimit -u)"
    assert told == f"can't start new thread. {remedy}, then try again."


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("somebody says: can't start new thread"),
        ValueError(f"{FULL}: so somebody called an experiment"),
        FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/data/lake"),
        duckdb.BinderException("Binder Error: no such column"),
        wrapped(OSError(errno.ENOSPC, FULL), is_cause=False),
    ],
)
def test_explained__every_other_error__is_none(error: Exception) -> None:
    assert explained(error) is None
