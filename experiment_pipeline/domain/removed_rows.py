"""Removed rows: those that later batches hide, and when they are dropped from the lake's files (rule E6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, order=True)
class NeededVersion:
    """A data version that an experiment may still read.

    It is that of a published payload, which the next look is compared with (rule R9), or of a run that has published
    nothing yet.
    """

    environment_key: str
    experiment_key: str
    data_version: int

    def __str__(self) -> str:
        return f"{self.environment_key}/{self.experiment_key}"


@dataclass(frozen=True, slots=True)
class DropLimit:
    """The limit up to which removals count as over: what the batches up to it removed is dropped.

    aged:   the newest batch that was committed long enough ago, all before it, too; 0 for none
    needed: data versions that somebody may still read; the removals of later batches stay for them
    """

    aged: int
    needed: tuple[NeededVersion, ...] = ()

    @property
    def batch(self) -> int:
        """The newest batch whose removals are over: every data version from it on sees the same before and after."""
        return min([self.aged, *(each.data_version for each in self.needed)])

    @property
    def holders(self) -> tuple[str, ...]:
        """The experiments that hold up what is old enough, as `environment/key`."""
        return tuple(sorted({str(each) for each in self.needed if each.data_version < self.aged}))


@dataclass(frozen=True, slots=True)
class RemovedRows:
    """The removed rows that the lake stores.

    stored:  how many there are
    due:     of them, how many the next clean-up drops
    held:    of them, how many are old enough, and stay for experiments
    held_by: these, as `environment/key`
    next_at: when the oldest of the others are old enough, UTC; None where there are no others
    """

    stored: int
    due: int = 0
    held: int = 0
    held_by: tuple[str, ...] = ()
    next_at: datetime | None = None

    @classmethod
    def of(cls, rows: Mapping[int, int], limit: DropLimit, next_at: datetime | None) -> "RemovedRows":
        """Return what is to be told of removed rows, which are counted by the batch that removed them."""
        due = sum(number for batch, number in rows.items() if batch <= limit.batch)
        held = sum(number for batch, number in rows.items() if limit.batch < batch <= limit.aged)
        return cls(sum(rows.values()), due, held, limit.holders if held else (), next_at)
