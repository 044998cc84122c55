"""Retries of transient errors of engines and databases, a few and soon; nothing else is retried (docs/adr/0026).

The policy is set on no asset: Dagster would then retry bugs and bad data too, and runs that somebody cancelled.
"""

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import dagster as dg
import duckdb
import structlog

from experiment_pipeline.errors import SourceUnreachable
from experiment_pipeline.registry.outages import outage_of

log = structlog.get_logger(__name__)

POLICY = dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)

# A missing file was removed by a vacuum between listing and reading; the next attempt lists anew.
TRANSIENT_ERRNOS = {
    errno.ENOENT, errno.ESTALE, errno.EIO, errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EMFILE, errno.ENFILE,
}  # fmt: skip

T = TypeVar("T")


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed a moment later. A query that needs too much memory will need it again."""
    if outage_of(error) is not None or isinstance(error, SourceUnreachable):
        return True
    if isinstance(error, OSError):  # deltalake's own have no number: the storage did not answer
        unnumbered = error.errno is None and type(error) is OSError
        return unnumbered or isinstance(error, ConnectionError | TimeoutError) or error.errno in TRANSIENT_ERRNOS
    return isinstance(error, duckdb.IOException)


@contextmanager
def requesting_retry(retries: int) -> Iterator[None]:
    """Ask Dagster to retry the step after a transient error in the block, as often as the policy allows.

    Args:
        retries: how often the step has been retried already. After the last retry an error is raised as it is.
    """
    try:
        yield
    except Exception as error:
        if retries < POLICY.max_retries and is_transient(error):
            delay = POLICY.calculate_delay(retries + 1)
            raise dg.RetryRequested(max_retries=POLICY.max_retries, seconds_to_wait=delay) from error
        raise


def retry_transient(attempt: Callable[[], T]) -> T:
    """Call a function, and again after a transient error, as often and as far apart as the policy says."""
    for number in range(1, POLICY.max_retries + 1):
        try:
            return attempt()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("transient_error", attempt=number, error=type(error).__name__)
            time.sleep(max(0.0, POLICY.calculate_delay(number)))
    return attempt()
