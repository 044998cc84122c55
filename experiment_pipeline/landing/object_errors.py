"""Errors of one object, and errors that would occur with any object now.

An error of one object sets that object aside, so that a damaged file does not stop the others. An error that affects
all objects ends the ingestion, which is repeated later: setting objects aside because the disk is full would lose them.
"""

import errno
import re

EVERYWHERE = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS,  # the disk
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EINTR, errno.EBUSY,  # this machine
    errno.ESTALE, errno.ENOTCONN, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE,
    errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH,  # a file server
}  # fmt: skip
OS_ERROR = re.compile(
    r"\(os error (\d+)\)|\bcode: (\d+)"
)  # how Rust's libraries write an operating system's error number


def is_of_one_object(error: BaseException) -> bool:
    """Return whether an error that occurred while reading an object is about that object alone.

    PanicException, which Polars raises on some damaged files, is about the object, although it derives from
    BaseException. Interrupts derive from BaseException as well, and are not about the object.
    """
    if isinstance(error, MemoryError | TimeoutError | ConnectionError):
        return False
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        return False
    return not _numbers(error) & EVERYWHERE


def is_operating_system_error(error: BaseException) -> bool:
    """Return whether an error has an error number of the operating system: it is not about the content of a file."""
    return bool(_numbers(error))


def _numbers(error: BaseException) -> set[int]:
    """Return the error numbers of the operating system that an error names."""
    spelled = {int(first or second) for first, second in OS_ERROR.findall(str(error))}
    return spelled | {error.errno} if isinstance(error, OSError) and error.errno is not None else spelled
