"""Delivered records: what became of the records that landed for one environment, over batches (rules E3, E4)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict


class EnvironmentCounts(TypedDict):
    """Records of one batch in one environment, that of the folder that their object landed in.

    accepted:   new events
    duplicates: events that are in the lake already, or came twice in the batch (rule E4), outdated ones included
    rejected:   records by reason (rule E3)
    retried:    rejected records of earlier batches that this one took in again, by the reason that they had
    """

    accepted: int
    duplicates: int
    rejected: dict[str, int]
    retried: dict[str, int]


@dataclass(frozen=True, slots=True)
class DeliveredRecords:
    """Records of one environment, over several batches; each delivery of a record counts.

    Attributes:
        batches: whose records are counted.
        uncounted: batches of an earlier release, which did not count by environment.
        accepted: new events.
        duplicates: events that were delivered before.
        rejected: records by reason, without those that were taken in again since.
    """

    batches: int = 0
    uncounted: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """Events that were delivered, new ones and duplicates."""
        return self.accepted + self.duplicates

    @property
    def all_rejected(self) -> int:
        """Rejected records of every reason."""
        return sum(self.rejected.values())

    @property
    def most_frequent_reason(self) -> str | None:
        """The reason of most rejected records, of equal ones the first by name; None where none was rejected."""
        return min(self.rejected, key=lambda reason: (-self.rejected[reason], reason), default=None)

    @property
    def without_uncounted(self) -> str:
        """A sentence on the batches that are not counted, to be added to others; empty where there are none."""
        left_out = f" {self.uncounted:,} batches of a release that did not count by environment are left out."
        return left_out if self.uncounted else ""


def delivered_records(batches: Iterable[EnvironmentCounts | None]) -> DeliveredRecords:
    """Return the sum of an environment's counts over batches; None stands for a batch that was not counted."""
    each = list(batches)
    counted = [counts for counts in each if counts is not None]
    rejected: Counter[str] = Counter()
    for counts in counted:
        rejected.update(counts["rejected"])
        rejected.subtract(counts["retried"])
    return DeliveredRecords(
        batches=len(counted),
        uncounted=len(each) - len(counted),
        accepted=sum(counts["accepted"] for counts in counted),
        duplicates=sum(counts["duplicates"] for counts in counted),
        rejected=dict(sorted((+rejected).items())),  # what an uncounted batch rejected may have been taken in again
    )
