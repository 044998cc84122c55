"""Batches of the Delta tables: published looks that are written with one commit to each table, and when that is due."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from experiment_pipeline.times import is_within

WRITE_INTERVAL = timedelta(minutes=1)  # at most one commit within it to each table


@dataclass(frozen=True, slots=True)
class TableBatch:
    """Looks that are written together.

    Attributes:
        number: the transaction number in every table, from 1.
        is_rebuild: whether everything that was published is written anew, in the place of what the tables hold.
        planned_at: UTC.
        written_at: when it was in every table; None before that.
    """

    number: int
    is_rebuild: bool
    planned_at: datetime
    written_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OutboxState:
    """State of the outbox.

    Attributes:
        newest: the batch that was planned last; None for none.
        waiting: publications that are not in every table yet.
        has_published: whether anything was published at all.
    """

    newest: TableBatch | None
    waiting: int
    has_published: bool

    @property
    def is_interrupted(self) -> bool:
        """Whether a batch was planned and is not in every table."""
        return self.newest is not None and self.newest.written_at is None

    def fits(self, held: Mapping[str, int]) -> bool:
        """Whether every table holds what the registry has written.

        Args:
            held: the newest batch that each table holds, by its name.
        """
        return self.newest is not None and set(held.values()) == {self.newest.number}

    def is_due(self, now: datetime, interval: timedelta = WRITE_INTERVAL) -> bool:
        """Whether there is something to write now, and the last write is at least an interval ago."""
        if self.newest is None:
            return self.has_published
        if self.newest.written_at is None:
            return True
        return self.waiting > 0 and not is_within(self.newest.written_at, interval, now)


@dataclass(frozen=True, slots=True)
class DueLook:
    """One look, and what a batch has to write of it.

    Attributes:
        number: of the look among those of its phase, from 1.
        payload_id: of the results payload that is the look.
        is_final: whether no later look will come (rule R6).
        is_new: whether the batch writes its results and its findings.
        exposures_id: of the exposures payload as of the same moment and data version, where the batch writes it; None
            where it is in another batch, or was never published.
    """

    experiment_id: int
    phase: int
    number: int
    payload_id: int
    is_final: bool
    is_new: bool
    exposures_id: int | None
