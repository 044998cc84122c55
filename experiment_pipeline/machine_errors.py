"""Errors of the machine: a full disk, a folder that may not be written, too few open files, too little memory.

They are expected, so one sentence with the remedy is told of them, and no traceback. Libraries raise them as errors of
their own, whose text then names the system's error.
"""

import errno
import os
import re
from collections.abc import Iterator

FREE, WRITABLE, OWNER = "Free some space there", "Make the file system writable", "Let this user read and write there"
MEMORY = "Give the process more memory, or set EXPERIMENT_PIPELINE_DUCKDB_MEMORY_LIMIT to what it has"
REMEDIES = {
    errno.ENOSPC: FREE, errno.EDQUOT: "Free some space there, or raise the quota",
    errno.EFBIG: "Raise the limit of a file's size (ulimit -f)",
    errno.EROFS: WRITABLE, errno.EACCES: OWNER, errno.EPERM: OWNER,
    errno.EMFILE: "Raise the limit of open files (ulimit -n)", errno.ENFILE: "Raise the machine's limit of open files",
    errno.ENOMEM: MEMORY, errno.EIO: "See whether the disk is full or failing",
}  # fmt: skip
LIBRARIES = {"duckdb", "_duckdb", "deltalake", "_internal", "polars", "sqlite3", "sqlalchemy"}
SPELLED = {  # beside what the system says itself
    "database or disk is full": errno.ENOSPC,
    "attempt to write a readonly database": errno.EROFS,
    "disk I/O error": errno.EIO,
    "out of memory": errno.ENOMEM,
    "memory allocation": errno.ENOMEM,
} | {os.strerror(number): number for number in REMEDIES}
TEXT = re.compile("|".join(map(re.escape, SPELLED)), re.IGNORECASE)
NUMBERS = {text.lower(): number for text, number in SPELLED.items()}


def explained(error: BaseException) -> str | None:
    """Return an error of the machine and its remedy in one line; None for every other error."""
    for each in _with_causes(error):
        number = _number(each)
        if number is not None:
            return f"{_first_line(each)} {REMEDIES[number]}, then try again."
    return None


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it was raised from, but not what was merely being handled meanwhile."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _number(error: BaseException) -> int | None:
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in REMEDIES else None
    if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in LIBRARIES:
        return None  # its text may quote what somebody wrote
    found = TEXT.search(str(error))
    return NUMBERS[found.group().lower()] if found else None


def _first_line(error: BaseException) -> str:
    """Return the first line of an error's text, and what the system says: other lines may hold a database's values."""
    if isinstance(error, OSError) and error.strerror:
        named = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{named}."
    text = str(error).strip()
    first = text.partition("\n")[0].rstrip(".:") or "Out of memory"
    found = TEXT.search(text)
    return f"{first}." if found is None or found.group() in first else f"{first}: {found.group()}."
