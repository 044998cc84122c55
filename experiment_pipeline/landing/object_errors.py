"""Errors that one object is to blame for, and those that reading anything would meet now.

The first set their object aside, so that one damaged file holds up nobody; the second end the ingestion, which is taken
up again: setting objects aside because the disk is full would lose them.
"""

import errno
import re

EVERYWHERE = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS,  # the disk
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EINTR, errno.EBUSY,  # this machine
    errno.ESTALE, errno.ENOTCONN, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE,
    errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH,  # a file server
}  # fmt: skip
OS_ERROR = re.compile(r"\(os error (\d+)\)|\bcode: (\d+)")  # how Rust's libraries spell a number of the system's


def is_of_one_object(error: BaseException) -> bool:
    """Return whether an error met while reading an object is that object's alone.

    PanicException, which Polars raises on some damaged files, derives from BaseException: it is one. Interrupts of
    every kind derive from it too, and are none.
    """
    if isinstance(error, MemoryError | TimeoutError | ConnectionError):
        return False
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        return False
    return not _numbers(error) & EVERYWHERE


def speaks_of_the_system(error: BaseException) -> bool:
    """Return whether an error carries one of the system's numbers: it tells nothing about what a file holds."""
    return bool(_numbers(error))


def _numbers(error: BaseException) -> set[int]:
    """Return the system's error numbers that an error speaks of."""
    spelled = {int(first or second) for first, second in OS_ERROR.findall(str(error))}
    return spelled | {error.errno} if isinstance(error, OSError) and error.errno is not None else spelled
