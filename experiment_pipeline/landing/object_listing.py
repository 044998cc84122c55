"""Listing of a landing zone in a bucket: which objects there are, without folders that tell when they changed (E6, E7).

A bucket has no folders, so nothing says which of them have changed. A listing of everything asks for all keys, a
thousand a request. A quick one asks for what comes after an hour up to which everything is known to be in the lake: the
folders are named by the hour of arrival. An object that is put into an older hour is seen by the next listing of
everything, which is made each day, by `lake ingest`, and before anything becomes final (rule R6).

The objects of a source's range are seen together: once the range's `COMPLETE` is there, which is written last.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from experiment_pipeline.domain.batches import IngestedFile, LandedObject
from experiment_pipeline.landing.ignored import IgnoredFiles, IgnoredReason, ignored
from experiment_pipeline.landing.layout import (
    ENVIRONMENT_FOLDER,
    EVENTS,
    HIDDEN_PREFIXES,
    NAME_LIMIT,
    is_object,
    stamp,
)
from experiment_pipeline.landing.listing import ObjectName, believable_arrival
from experiment_pipeline.landing.source_objects import COMPLETE, range_of
from experiment_pipeline.storage.object_path import PAGE, ObjectPath, StoredObject

AFTER_ALL = "~"  # after the names of an hour: stores do not agree about what comes after the hour's folder itself
PAGES_KEPT = 3  # whoever reads names by the thousand asks about those of two pages


@dataclass(frozen=True, slots=True)
class SettledHours:
    """The hours of arrival up to which every object is in the lake.

    Attributes:
        up_to: the last such hour by environment, as folders are named: `2026/03/01/05`.
        whole_at: when everything was listed last.
    """

    up_to: Mapping[str, str]
    whole_at: datetime


class ObjectListing:
    """One pass over a landing zone in a bucket, with the attributes of a `Listing` of a folder.

    Attributes:
        begun_ns: when it began, by this machine's clock.
        ignored: objects that do not hold events.
        unreadable: none: who may list a bucket is told of every object.
        changed: objects that `compare` has found to be others than were ingested.
        settled: what need not be listed; None where everything is.
    """

    def __init__(self, landing: ObjectPath, settled: SettledHours | None = None) -> None:
        self.begun_ns = time.time_ns()
        self.ignored = IgnoredFiles()
        self.unreadable = IgnoredFiles()
        self.changed = IgnoredFiles()
        self.settled = settled
        self._environments: set[str] = set()
        self._landing = landing
        self._pages: deque[dict[str, StoredObject]] = deque([{}], maxlen=PAGES_KEPT)
        self._range = ""  # the range whose `COMPLETE` was listed last

    @property
    def begun(self) -> datetime:
        """The moment at which it began."""
        return datetime.fromtimestamp(self.begun_ns / 1e9, UTC)

    def settled_up_to(self, margin: timedelta) -> dict[str, str]:
        """Return the hours for the next listing, where all that this one has found is in the lake.

        Args:
            margin: how long an object may take from its stamp until it is listed.
        """
        hour = (self.begun - margin - timedelta(hours=1)).strftime("%Y/%m/%d/%H")
        return dict.fromkeys(sorted({*self._environments, *(self.settled.up_to if self.settled else ())}), hour)

    def names(self) -> Iterator[ObjectName]:
        """Yield the objects, in order of their keys."""
        for stored in self._stored():
            name = str(stored.path.relative_to(self._landing))
            reason = self._why_ignored(name)
            if reason is not None:
                self.ignored += ignored(name, reason)
            elif self._is_whole(name):
                self._keep(name, stored)
                key = name.split("/")[1].removeprefix(ENVIRONMENT_FOLDER)
                self._environments.add(key)
                yield ObjectName(name, key)

    def landed(self, found: ObjectName) -> LandedObject | None:
        """Return an object with its size and arrival; None when it is gone."""
        stored = self._known(found.name)
        if stored is None:
            return None
        return LandedObject(
            name=found.name,
            environment_key=found.environment_key,
            landed_at=believable_arrival(stamp(found.name.rpartition("/")[2]), stored.st_mtime, self.begun),
            bytes=stored.size,
            modified_at=stored.modified_at,
        )

    def compare(self, name: str, ingested: IngestedFile) -> None:
        """Note an object that has changed since it was ingested; one that is gone has not."""
        if self._known(name) is not None and not self.is_what_was_ingested(name, ingested):
            self.changed += ignored(name, IgnoredReason.CHANGED)

    def is_what_was_ingested(self, name: str, ingested: IngestedFile) -> bool:
        """Return whether an object is there, with the size and the time that it was ingested with."""
        stored = self._known(name)
        return stored is not None and ingested.is_same(stored.size, stored.modified_at)

    def arrival_of_file(self, landed: LandedObject) -> datetime:
        """Return when an object was written, whatever its name says."""
        return believable_arrival(None, landed.modified_at.timestamp() if landed.modified_at else 0.0, self.begun)

    def _stored(self) -> Iterator[StoredObject]:
        if self.settled is None:
            yield from (each for each in self._landing.below() if not each.path.key.endswith("/"))
            return
        for folder in sorted((self._landing / EVENTS).iterdir()):
            key = folder.name.removeprefix(ENVIRONMENT_FOLDER)
            self._environments.add(key)
            up_to = self.settled.up_to.get(key)
            yield from folder.below(after=None if up_to is None else f"{up_to}/{AFTER_ALL}")

    def _is_whole(self, name: str) -> bool:
        """Return whether an object counts: one of a source's range does once the whole range is there."""
        folder, _, last = name.rpartition("/")
        if last == COMPLETE:
            self._range = folder  # it sorts before the range's objects
            return False
        if not is_object(name) or last.startswith("."):
            return False
        if range_of(name) is not None and folder != self._range:
            self.ignored += ignored(name, IgnoredReason.INCOMPLETE)
            return False
        return True

    def _why_ignored(self, name: str) -> IgnoredReason | None:
        parts = name.split("/")
        if any(part.startswith(".") for part in parts):
            return None  # the pipeline's own, or a writer's
        if any(part.startswith(HIDDEN_PREFIXES) for part in parts):
            return IgnoredReason.HIDDEN if is_object(name) else None
        if len(parts) < 3 or parts[0] != EVENTS or not parts[1].startswith(ENVIRONMENT_FOLDER):
            return IgnoredReason.WRONG_PLACE
        if not is_object(name):
            return IgnoredReason.UNKNOWN_SUFFIX
        return IgnoredReason.NAME_TOO_LONG if len(name) > NAME_LIMIT else None

    def _keep(self, name: str, stored: StoredObject) -> None:
        if len(self._pages[-1]) >= PAGE:
            self._pages.append({})
        self._pages[-1][name] = stored

    def _known(self, name: str) -> StoredObject | None:
        for page in self._pages:
            if name in page:
                return page[name]
        try:
            return (self._landing / name).stat()
        except FileNotFoundError:
            return None
