"""The self-check: the control arm split in two at random, many times, and how often its halves are called different."""

from dataclasses import dataclass
from datetime import UTC, datetime

SPLITS = 200


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The self-check of one metric.

    Attributes:
        calls: of `SPLITS` splits, those whose halves a test calls different; None where it cannot be told.
        reason: why it cannot be told; None where it is.
    """

    calls: int | None
    reason: str | None = None


def is_self_check_due(as_of: datetime, ended_at: datetime | None, checked_as_of: datetime | None) -> bool:
    """Return whether a refresh checks: the first of a UTC day does, and every one as of the experiment's end.

    Args:
        as_of: of the refresh.
        ended_at: of the experiment; None while it runs.
        checked_as_of: of the refresh that checked last, by the stored finding; None before.
    """
    if checked_as_of is None or (ended_at is not None and as_of >= ended_at):
        return True
    return as_of.astimezone(UTC).date() != checked_as_of.astimezone(UTC).date()
