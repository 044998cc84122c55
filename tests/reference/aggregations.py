"""The aggregations: from the counted events of one identity to one number (rules M3 and M6). Each is one entry."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from tests.reference.events import Event


@dataclass(frozen=True)
class Aggregating:
    """How events become a number, of one event or more, and of one numeric value or more where it reads numbers.

    `reads_numbers`: other values are invalid ones (rule E5). `may_lack`: without a number there is no value (rule M6).
    """

    of: Callable[[Sequence[Event]], int | Fraction]
    reads_numbers: bool = False
    may_lack: bool = False


def numbers(events: Sequence[Event]) -> list[tuple[datetime, Fraction]]:
    """The numeric values of events, with their times."""
    return [(event.timestamp, Fraction(event.number)) for event in events if event.number is not None]


def of_numbers(reduced: Callable[[list[tuple[datetime, Fraction]]], Fraction]) -> Aggregating:
    """One that has a value only where there is a number."""
    return Aggregating(lambda events: reduced(numbers(events)), reads_numbers=True, may_lack=True)


def total(events: Sequence[Event]) -> Fraction:
    """The sum of the numeric values."""
    return sum((number for _, number in numbers(events)), Fraction(0))


AGGREGATIONS = {
    "occurrence": Aggregating(lambda events: int(bool(events))),
    "count": Aggregating(len),
    "sum": Aggregating(total, reads_numbers=True),
    "mean": of_numbers(lambda found: sum((number for _, number in found), Fraction(0)) / len(found)),
    "min": of_numbers(lambda found: min(number for _, number in found)),
    "max": of_numbers(lambda found: max(number for _, number in found)),
    "first": of_numbers(lambda found: min(found)[1]),  # of two at one time the smallest
    "last": of_numbers(lambda found: max(found)[1]),  # and the largest
    "days": Aggregating(lambda events: len({event.timestamp.astimezone(UTC).date() for event in events})),
    "weeks": Aggregating(lambda events: len({event.timestamp.astimezone(UTC).isocalendar()[:2] for event in events})),
    "distinct": Aggregating(lambda events: len({event.value for event in events if event.value is not None})),
}
