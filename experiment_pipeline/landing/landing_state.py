"""The landing zone's state: whether anything waits to be ingested, and what lies there that is not."""

from dataclasses import dataclass

from experiment_pipeline.landing.ignored import IgnoredFiles


@dataclass(frozen=True, slots=True)
class LandingState:
    """The findings of a listing of the landing zone.

    waits:   whether there is anything to ingest: an object that no batch holds, or an interrupted batch
    ignored: what is not ingested; `unreadable` is what may be an object and cannot be read
    changed: objects that have changed since they were ingested; known of a whole listing alone
    """

    waits: bool
    ignored: IgnoredFiles
    unreadable: IgnoredFiles
    changed: IgnoredFiles

    @property
    def all_is_in(self) -> bool:
        """Whether nothing of what the listing has looked into is missing from the lake."""
        return not (self.waits or self.unreadable.count)
