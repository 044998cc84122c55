"""The events that a data version sees (rule E6)."""

from collections.abc import Sequence

from tests.reference.events import Event, LandingObject, ingest


def visible_events(objects_by_batch: Sequence[Sequence[LandingObject]], data_version: int) -> set[Event]:
    """`objects_by_batch[n - 1]` are the objects of batch n; batches after the data version are not seen."""
    events: set[Event] = set()
    for batch in ingest(objects_by_batch[:data_version]):
        events -= batch.removed
        events |= batch.new
    return events
