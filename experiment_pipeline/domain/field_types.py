"""Types in which one property of events came: conditions compare numbers with numbers, texts with texts (rule M7)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

SAMPLES = 2  # values of each type that are kept
SAMPLE_LENGTH = 40  # characters


class FieldType(StrEnum):
    """The types of a JSON value that is not null; `NESTED` is an object or an array."""

    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    NESTED = "nested"


@dataclass(frozen=True, slots=True)
class FieldTypes:
    """The types in which one property of one kind of event came.

    Attributes:
        event: the name of the event.
        path: of the property: `traits.plan`.
        counts: events by the type of their value; those without a value are not among them.
        samples: the smallest and the largest value of each type as JSON text, cut where it is long.
    """

    event: str
    path: str
    counts: dict[FieldType, int]
    samples: dict[FieldType, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_mixed(self) -> bool:
        """Whether it came in more than one type."""
        return sum(count > 0 for count in self.counts.values()) > 1


def stored_types(found: Iterable[FieldTypes]) -> str | None:
    """Return the text that properties are stored as, without samples; None for none."""
    rows = [[each.event, each.path, each.counts] for each in found]
    return json.dumps(rows, ensure_ascii=False) if rows else None


def types_from_stored(text: str | None) -> tuple[FieldTypes, ...]:
    """Return the properties that were stored as such a text."""
    rows = json.loads(text) if text else []
    return tuple(
        FieldTypes(event, path, {FieldType(name): count for name, count in counts.items()})
        for event, path, counts in rows
    )
