"""Batches: how landing objects enter the lake, one numbered ingestion after another (rules E6, E7)."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RejectedRows:
    """Rejected records of one object: those that one batch rejected for one reason."""

    batch: int
    reason: str


@dataclass(frozen=True, slots=True)
class LandedObject:
    """One immutable file of the landing zone.

    name:      path below the landing zone, with forward slashes; at most 1,024 characters
    landed_at: the stamp it was written with, UTC
    bytes:     its size as stored
    modified_at: its file's time when it was ingested, UTC; None where that is not known
    reading:   the n-th time that it is read; from 2 on only on request
    retried:   what is taken in is not the file, but these rejected records of it; None for the file
    """

    name: str
    environment_key: str
    landed_at: datetime
    bytes: int
    modified_at: datetime | None = None
    reading: int = 1
    retried: RejectedRows | None = None

    def is_same(self, size: int, modified_at: datetime | None) -> bool:
        """Return whether a file is still what was ingested, as far as size and time tell."""
        return _is_same(self, size, modified_at)


@dataclass(frozen=True, slots=True)
class IngestedFile:
    """A landing object as it was when it was ingested last, in which batch, and how often it had been read then."""

    bytes: int
    modified_at: datetime | None
    batch: int
    reading: int

    def is_same(self, size: int, modified_at: datetime | None) -> bool:
        """Return whether a file is still what was ingested, as far as size and time tell."""
        return _is_same(self, size, modified_at)


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """A batch whose objects are chosen and whose events are not yet in the lake for certain.

    timezone: of timestamps without one, in the IANA database; without it they are rejected
    """

    number: int
    planned_at: datetime
    objects: tuple[LandedObject, ...]
    timezone: str | None = None


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A committed batch as the registry knows it.

    environments:  those that existed when it was ingested; records of others were rejected
    loss_accepted: whether somebody has accepted that objects of it are gone
    lost:          the objects of which that was accepted; none where nobody knows its objects
    events:        how many it had, duplicates of other batches' among them; None where that is not known
    """

    batch: PlannedBatch
    environments: frozenset[str]
    loss_accepted: bool
    lost: frozenset[LandedObject] = frozenset()
    events: int | None = None


@dataclass(frozen=True, slots=True)
class Installation:
    """The registry and the lake that belong together.

    identity: the id that stands in the registry and in every commit of the lake
    lake:     the id of the lake's table of events
    """

    identity: str
    lake: str


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The registry's knowledge of its lake, at one moment.

    installation: None before the first ingestion, and of a registry from before there were installations
    newest:       the newest committed batch; 0 for none
    planned:      the batch that is planned and not committed; None for none
    """

    installation: Installation | None
    newest: int
    planned: int | None


@dataclass(frozen=True, slots=True)
class LakeVersion:
    """The newest state of the lake that a run may be fixed to.

    data_version: highest committed batch, 0 for an empty lake
    landed_at:    when the newest object of that batch landed; None for an empty lake
    """

    data_version: int
    landed_at: datetime | None


def _is_same(known: LandedObject | IngestedFile, size: int, modified_at: datetime | None) -> bool:
    times = {known.modified_at, modified_at} - {None}
    return size == known.bytes and len(times) <= 1
