"""Unknown fields: what records hold beside the fields of rule E1. It is not kept, so it is counted and named."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from experiment_pipeline.domain.events import FIELDS

NAMES_KEPT = 20  # the rest is a count
NAMES_COUNTED = 1_000  # of one request: its sender chooses how many there are
NAME_KEPT = 200  # characters of a name
KNOWN = frozenset(FIELDS)
SIMILARITY = 0.75  # `revenue` and `event` have 0.67
ADVICE = "only the fields of an event are kept: a number belongs in value, everything else in metadata"
NO_LETTER = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True, slots=True)
class UnknownFields:
    """How many names there are, and the records of the `NAMES_KEPT` most frequent of them."""

    count: int = 0
    records: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, more: "UnknownFields") -> "UnknownFields":
        """Return both. A name that neither has among its first is counted in each."""
        records = Counter(self.records) + Counter(more.records)
        known_twice = len(self.records.keys() & more.records.keys())
        return UnknownFields(self.count + more.count - known_twice, dict(_first(records)))

    @property
    def unnamed(self) -> int:
        """How many there are beside those that are named."""
        return self.count - len(self.records)


def unknown_in(record: object) -> list[str]:
    """Return the names of a decoded record's fields that rule E1 does not know."""
    if not isinstance(record, dict):
        return []
    return [name[:NAME_KEPT].encode(errors="replace").decode() for name in record if name not in FIELDS]


def count_unknown(records: Iterable[object]) -> UnknownFields:
    """Return the unknown fields of decoded records, of the first `NAMES_COUNTED` names.

    A record without any costs one comparison of its names: a collector asks this of all that it takes.
    """
    found: Counter[str] = Counter()
    for record in records:
        if isinstance(record, dict) and not record.keys() <= KNOWN:
            found.update(name for name in unknown_in(record) if name in found or len(found) < NAMES_COUNTED)
    return UnknownFields(len(found), dict(_first(found)))


def likely_field(name: str, fields: Iterable[str] = FIELDS) -> str | None:
    """Return the field that a name is probably meant to be; None where none is near."""
    asked = _letters(name)
    by_letters = {_letters(each): each for each in fields}
    if asked in by_letters:
        return by_letters[asked]
    near = get_close_matches(asked, by_letters, n=1, cutoff=SIMILARITY)
    return by_letters[near[0]] if near else None


def _first(records: Counter[str]) -> list[tuple[str, int]]:
    return sorted(records.items(), key=lambda item: (-item[1], item[0]))[:NAMES_KEPT]


def _letters(name: str) -> str:
    return NO_LETTER.sub("", name.lower())
