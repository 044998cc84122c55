"""Timing of events: how late they landed, and whether they came shortly before the exposure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from experiment_pipeline.domain.events import EXPOSURE_EVENT

SHORTLY = timedelta(hours=1)  # before the first exposure


@dataclass(frozen=True, slots=True)
class NearExposure:
    """Events of one name and of exposed identities, from an hour before the first exposure on.

    Attributes:
        events: all of them.
        before: those of the hour before it, which do not count (rule M2).
    """

    events: int
    before: int


@dataclass(frozen=True, slots=True)
class EventTiming:
    """Exposures of the flag and events of the metrics in the window, counted.

    Attributes:
        events: that happened since a moment from which on they can have landed in time.
        late: those of them that landed long after they happened.
        near_exposure: by the name of a metric's event.
        share: of all identities, those that were looked at; 1 for all.
    """

    events: int = 0
    late: int = 0
    near_exposure: Mapping[str, NearExposure] = field(default_factory=dict)
    share: float = 1.0


def event_timing(rows: Sequence[tuple[str, int, int, int, int]], share: float) -> EventTiming:
    """Return the timing of events by their name, events since the moment, late ones, near the exposure, before it."""
    near = {event: NearExposure(near, before) for event, _, _, near, before in rows if near and event != EXPOSURE_EVENT}
    return EventTiming(sum(row[1] for row in rows), sum(row[2] for row in rows), near, share)
