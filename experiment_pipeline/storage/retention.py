"""Retention of replaced files in a bucket, where no lock keeps a vacuum waiting for those who write (docs/adr/0072).

A vacuum deletes what no commit names once it is old. Over a folder it waits for living writers. In a bucket it is safe
by time alone: the retention has to be longer than any writer takes, and the clock has to be the bucket's.
"""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.storage.object_path import ObjectPath

LEAST_RETENTION = timedelta(hours=2)  # no writer takes so long from its first file to its commit
MOST_AHEAD = timedelta(minutes=15)


def require_retention(root: ObjectPath, retention: timedelta) -> None:
    """Refuse a vacuum that might delete what a living writer has not committed yet.

    Raises:
        ConfigurationError: the retention is too short, or this machine's clock goes ahead of the bucket's.
    """
    if retention < LEAST_RETENTION:
        least = LEAST_RETENTION // timedelta(hours=1)
        raise ConfigurationError.of(
            "retention", f"must be {least} hours at least in an object storage, which has no locks of writers."
        )
    probe = root / f".clock-{uuid4().hex}"
    probe.write_text("")
    ahead = datetime.now(UTC) - probe.stat().modified_at
    probe.unlink(missing_ok=True)
    if ahead > MOST_AHEAD:
        raise ConfigurationError.of(
            "clock", f"This machine's clock is {ahead} ahead of the object storage's. Set it, then vacuum."
        )
