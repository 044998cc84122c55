"""Files of events: what an engine reads of the lake, all of one version of it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EventFiles:
    """The Parquet files that may hold events of some months of one environment, and what tells how to read them.

    Attributes:
        events: rows of the table `events`.
        removals: rows that hide those of `events` with the same hash and a smaller batch, from their own batch on (rule
            E6); none where nothing of these months was ever removed.
        links: rows that link an anonymous identity, their identifier, to the known one that is their value (rule D6);
            of the whole environment.
        removed_links: removals of these.
        history: of the lake; it changes where rows of batches that were there already may have changed.
    """

    events: list[str]
    removals: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    removed_links: list[str] = field(default_factory=list)
    history: str = ""
