"""Differences between two payloads, member by member and to the last bit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

MISSING: Final = "(missing)"


@dataclass(frozen=True, slots=True)
class Difference:
    """One place in which two payloads differ.

    Attributes:
        path: of the place: `metrics[0].effect.larger.value`.
        published: what the published payload has there; `MISSING` for nothing.
        replayed: what the replayed one has there; `MISSING` for nothing.
    """

    path: str
    published: object
    replayed: object


def differences(published: Any, replayed: Any, path: str = "") -> Iterator[Difference]:
    """Yield every place in which two JSON values differ, in their order. Numbers differ by their last bit, too."""
    if isinstance(published, Mapping) and isinstance(replayed, Mapping):
        for name in {**published, **replayed}:
            at = f"{path}.{name}" if path else str(name)
            yield from differences(published.get(name, MISSING), replayed.get(name, MISSING), at)
    elif isinstance(published, list) and isinstance(replayed, list):
        for number in range(max(len(published), len(replayed))):
            was, now = (each[number] if number < len(each) else MISSING for each in (published, replayed))
            yield from differences(was, now, f"{path}[{number}]")
    elif type(published) is not type(replayed) or published != replayed:
        yield Difference(path, published, replayed)
