"""The events that a data version sees, under the identities that count (rules E6, D6)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from tests.reference.events import LINK, Event, LandingObject, ingest


def visible_events(objects_by_batch: Sequence[Sequence[LandingObject]], data_version: int) -> set[Event]:
    """`objects_by_batch[n - 1]` are the objects of batch n; batches after the data version are not seen."""
    events: set[Event] = set()
    for batch in ingest(objects_by_batch[:data_version]):
        events -= batch.removed
        events |= batch.new
    return under_known_identities(events)


def under_known_identities(events: set[Event]) -> set[Event]:
    """Rule D6: an anonymous identifier with links to one known one is that one, and any other is itself."""
    known: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for event in events:
        if event.event == LINK and event.value is not None and event.value != event.identifier:
            known[event.environment_key, event.identifier].add(event.value)
    found = set()
    for event in events:
        linked = known[event.environment_key, event.identifier]
        if event.event != LINK:
            is_linked = len(linked) == 1
            found.add(replace(event, identifier=min(linked), sent_as=event.identifier) if is_linked else event)
    return found
