"""Batches: how landing objects enter the lake, one numbered ingestion after another (rules E6, E7)."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LandedObject:
    """One immutable file of the landing zone.

    name:      path below the landing zone, with forward slashes; at most 1,024 characters
    landed_at: the stamp it was written with, UTC
    bytes:     its size as stored
    """

    name: str
    environment_key: str
    landed_at: datetime
    bytes: int


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """A batch whose objects are chosen and whose events are not yet in the lake for certain."""

    number: int
    planned_at: datetime
    objects: tuple[LandedObject, ...]


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A committed batch as the registry knows it.

    environments:  those that existed when it was ingested; records of others were rejected
    loss_accepted: whether somebody has accepted that objects of it are gone
    """

    batch: PlannedBatch
    environments: frozenset[str]
    loss_accepted: bool


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
