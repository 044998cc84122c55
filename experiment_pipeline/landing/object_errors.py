"""Errors of one object's content, and errors of the operating system, which no object is to blame for.

An object that a decoder fails on is set aside, so that a damaged file does not stop the others. Every other error ends
the ingestion, which is repeated later: a good object that is set aside because the disk is full would be lost.
"""

import errno
import os
import re
import zlib

from polars.exceptions import PanicException, PolarsError

EVERYWHERE = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS,  # the disk
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EINTR, errno.EBUSY,  # this machine
    errno.ESTALE, errno.ENOTCONN, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE,
    errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH,  # a file server
}  # fmt: skip
SPELLED = "|".join(re.escape(os.strerror(number)) for number in sorted(EVERYWHERE | {errno.EIO, errno.EACCES}))
# Rust's libraries write an operating system's error in one of the first two ways.
OS_ERROR = re.compile(
    rf"\(os error \d+\)|\bOs \{{ code: \d+|{SPELLED}|memory allocation|out of memory|can't start new thread"
    "|instance has previously been poisoned",  # what a library makes once per process could not be made
    re.IGNORECASE,
)
# A processor addresses 2^47 bytes, which have 15 digits: damaged files ask for 2^61, which no machine ever gives.
IMPOSSIBLE_ALLOCATION = re.compile(r"memory allocation of \d{16,} bytes failed")
DECODERS = (PolarsError, PanicException, zlib.error, ValueError, ArithmeticError, RecursionError)


def is_of_one_object(error: BaseException) -> bool:
    """Return whether an error that occurred while reading an object is about that object's content.

    PanicException, which Polars raises on some damaged files, is among them, although it derives from BaseException.
    """
    return isinstance(error, DECODERS) and not is_operating_system_error(error)


def is_operating_system_error(error: BaseException) -> bool:
    """Return whether an error is the operating system's: it is not about the content of a file."""
    return isinstance(error, OSError | MemoryError) or names_the_operating_system(str(error))


def names_the_operating_system(text: str) -> bool:
    """Return whether an error's text names an error of the operating system."""
    return OS_ERROR.search(IMPOSSIBLE_ALLOCATION.sub("", text)) is not None


def affects_all_files(error: OSError) -> bool:
    """Return whether an error would occur with any file now. Another one keeps only the file in question waiting."""
    return isinstance(error, TimeoutError | ConnectionError) or error.errno in EVERYWHERE
