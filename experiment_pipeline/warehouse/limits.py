"""Limits of the statements that run in a warehouse, and whether anything is written there (rules N3-N5)."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class WarehouseLimits:
    """Limits of one connection to a warehouse.

    Attributes:
        timeout: of one statement.
        settle: how old a data version is at least: a transaction that began earlier may commit later (rule N4).
        bytes_read: of one statement, at most, by the engine's own estimate; None for any number. An engine that cannot
            estimate runs it.
        unique_rows: whether each event is declared to have one row, so that no duplicates are removed (rule N2).
        writes: whether first exposures are stored as a table there; if not, each statement computes them (rule N3).
    """

    timeout: timedelta = timedelta(minutes=10)
    settle: timedelta = timedelta(minutes=5)
    bytes_read: int | None = None
    writes: bool = False
    unique_rows: bool = False


DEFAULT_LIMITS = WarehouseLimits()
