"""Files of events: what an engine reads of the lake, all of one version of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventFiles:
    """The Parquet files that may hold events of some months of one environment.

    Attributes:
        events: rows of the table `events`.
        removals: rows that hide those of `events` with the same hash and a smaller batch, from their own batch on (rule
            E6); none where nothing of these months was ever removed.
    """

    events: list[str]
    removals: list[str]
