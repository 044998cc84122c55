"""Errors of the machine: a full disk, a folder that may not be written, too few open files, too little memory.

They are expected, so one sentence with the remedy is told of them, and no traceback. Libraries raise them as errors of
their own, whose text then names the system's error.
"""

import errno
import os
import re
import resource
from collections.abc import Iterator

FREE, WRITABLE, OWNER = "Free some space there", "Make the file system writable", "Let this user read and write there"
MEMORY = "Give the process more memory, or set EXPERIMENT_PIPELINE_DUCKDB_MEMORY_LIMIT to what it has"
FILES = "Raise the limit of open files (ulimit -n)"
REMEDIES = {
    errno.ENOSPC: FREE, errno.EDQUOT: "Free some space there, or raise the quota",
    errno.EFBIG: "Raise the limit of a file's size (ulimit -f)",
    errno.EROFS: WRITABLE, errno.EACCES: OWNER, errno.EPERM: OWNER,
    errno.EMFILE: FILES, errno.ENFILE: "Raise the machine's limit of open files",
    errno.ENOMEM: MEMORY, errno.EIO: "See whether the disk is full or failing",
}  # fmt: skip
LIBRARIES = {"duckdb", "_duckdb", "deltalake", "_internal", "polars", "pyo3_runtime", "sqlite3", "sqlalchemy"}
SPELLED = (
    {  # beside what the system says itself
        "database or disk is full": FREE,
        "attempt to write a readonly database": WRITABLE,
        "unable to open database file": f"{OWNER}, or r{FILES[1:]}",  # SQLite does not say which
        "disk I/O error": REMEDIES[errno.EIO],
        "out of memory": MEMORY,
        "memory allocation": MEMORY,
    }
    | {os.strerror(number): remedy for number, remedy in REMEDIES.items()}
)
TEXT = re.compile("|".join(map(re.escape, SPELLED)), re.IGNORECASE)
REMEDIES_OF_TEXTS = {text.lower(): remedy for text, remedy in SPELLED.items()}
LEAST_OPEN_FILES = 64
NO_THREAD = "can't start new thread"  # Python's own error has no other sign


def explained(error: BaseException) -> str | None:
    """Return an error of the machine and its remedy in one line; None for every other error."""
    for each in _with_causes(error):
        remedy = _remedy(each)
        if remedy is not None:
            return f"{_first_line(each)} {remedy}, then try again."
    return None


def too_few_open_files() -> str | None:
    """Return that this process may open too few files for any work, and the remedy; None where it may open enough.

    Libraries that meet the limit at their start end in a panic and leave the process unusable.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= LEAST_OPEN_FILES:
        return None
    return f"{limit} open files are allowed, and {LEAST_OPEN_FILES} are needed at least. {FILES}, then try again."


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it was raised from, but not what was merely being handled meanwhile."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _remedy(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return MEMORY
    if isinstance(error, RuntimeError) and str(error) == NO_THREAD:
        return f"{MEMORY}, or raise the limit of processes (ulimit -u)"
    if isinstance(error, OSError) and error.errno is not None:
        return REMEDIES.get(error.errno)
    if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in LIBRARIES:
        return None  # its text may quote what somebody wrote
    found = TEXT.search(str(error))
    return REMEDIES_OF_TEXTS[found.group().lower()] if found else None


def _first_line(error: BaseException) -> str:
    """Return the first line of an error's text, and what the system says: other lines may hold a database's values."""
    if isinstance(error, OSError) and error.strerror:
        named = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{named}."
    text = str(error).strip()
    first = text.partition("\n")[0].rstrip(".:") or "Out of memory"
    found = TEXT.search(text)
    return f"{first}." if found is None or found.group() in first else f"{first}: {found.group()}."
