"""Costs: what an analysis took of a warehouse that is paid by what it reads (rule N5)."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """Statements of one analysis, and what they read; None where the engine does not say.

    Attributes:
        statements: that ran.
        seconds: from sending them to their last row.
        read_rows: of all tables.
        read_bytes: of all tables, before compression.
        query_ids: the engine's names for them, by which its own log is searched.
    """

    statements: int = 0
    seconds: float = 0.0
    read_rows: int | None = None
    read_bytes: int | None = None
    query_ids: tuple[str, ...] = ()

    @classmethod
    def total(cls, costs: Iterable["Cost"]) -> "Cost":
        """Return the sum of several costs."""
        every = list(costs)
        return cls(
            sum(each.statements for each in every),
            sum(each.seconds for each in every),
            _sum(each.read_rows for each in every),
            _sum(each.read_bytes for each in every),
            tuple(query_id for each in every for query_id in each.query_ids),
        )

    def to_json(self) -> dict[str, object]:
        """Return the cost as payloads and findings have it; what the engine does not say is left out."""
        told = {
            "statements": self.statements,
            "seconds": round(self.seconds, 3),
            "read_rows": self.read_rows,
            "read_bytes": self.read_bytes,
            "query_ids": list(self.query_ids) or None,
        }
        return {name: value for name, value in told.items() if value is not None}


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
