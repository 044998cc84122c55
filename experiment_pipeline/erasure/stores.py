"""The stores that may hold an identity's records: each is searched, erased from, and searched again (rule E6)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.erasures import ErasedIdentity, Erasure, identity_hash_of
from experiment_pipeline.domain.experiments import Experiment, MultipleExposures
from experiment_pipeline.lake.erasing import Held, LakeErasing
from experiment_pipeline.landing.erasing import Erased, erase_from_object, search_object
from experiment_pipeline.landing.landing_zone import landed_objects
from experiment_pipeline.landing.segments import opened_segments
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.storage.object_path import StoragePath
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.duckdb.totals_store import TotalsStore
from experiment_pipeline.warehouse.erasing import first_exposures, holds_identity, totals

OnStep = Callable[[], None]  # told after each file or object


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of searching one store.

    Attributes:
        searched: how many objects, files or rows were looked into.
        unit: of them.
        holders: how many of them hold records of the identity.
        records: how many records these are.
        unsearchable: names of those that could not be read to their end.
    """

    searched: int
    unit: str
    holders: int = 0
    records: int = 0
    unsearchable: tuple[str, ...] = ()


class Store(Protocol):
    """One place that may hold records of an identity."""

    @property
    def name(self) -> str:
        """The name of the store for people."""

    def search(self) -> Finding:
        """Return what it holds of the identity."""

    def erase(self) -> None:
        """Rewrite it without that; nothing where it holds nothing."""


@dataclass(frozen=True)
class Landing:
    """Landing objects of one environment that arrived before the erasure.

    What arrives later and is dated before is kept out of the lake; it goes with the next erasure, or `landing_keep`.

    Attributes:
        erasure: that is told of every object before it is replaced; None for a search alone.
    """

    root: StoragePath
    environment_key: str
    identity: ErasedIdentity
    registry: Registry
    erasure: Erasure | None
    on_step: OnStep
    name: str = "landing objects"

    def search(self) -> Finding:
        """Read every object of the environment."""
        found = [(landed, search_object(self.root, landed, self.identity)) for landed in self._objects()]
        return _of_objects(found, "objects")

    def erase(self) -> None:
        """Replace the objects that hold records of the identity, one by one."""
        assert self.erasure is not None  # noqa: S101 - a search alone erases nothing
        for landed in self._objects():
            if search_object(self.root, landed, self.identity).records:
                follow = partial(
                    self.registry.erasures.begin_object,
                    self.erasure,
                    landed.name,
                    landed.bytes,
                    keeps_time=isinstance(self.root, Path),
                )
                erase_from_object(self.root, landed, self.identity, follow)

    def _objects(self) -> Iterator[LandedObject]:
        for landed in landed_objects(self.root):
            if landed.environment_key == self.environment_key and landed.landed_at < self.identity.before:
                yield landed
                self.on_step()


@dataclass(frozen=True)
class Segments:
    """Segments that collectors are writing: they are published before landing objects are searched.

    Attributes:
        root: the local landing zone of this machine's collectors; with a bucket their spool, of which what is published
            already is searched, too, until it has been brought there.
    """

    root: Path
    is_spool: bool
    environment_key: str
    identity: ErasedIdentity
    wait: Callable[[datetime], None]
    name: str = "open segments"

    def search(self) -> Finding:
        """Read the segments that were opened before the erasure."""
        spooled = landed_objects(self.root) if self.is_spool else ()
        mine = [
            each
            for each in [*opened_segments(self.root), *spooled]
            if each.environment_key == self.environment_key and each.landed_at < self.identity.before
        ]
        return _of_objects([(each, search_object(self.root, each, self.identity)) for each in mine], "segments")

    def erase(self) -> None:
        """Wait until they are landing objects."""
        self.wait(self.identity.before)


@dataclass(frozen=True)
class Lake:
    """One part of the lake: its events, its rejected records, or files of older versions."""

    name: str
    find: Callable[[], Held]
    erase: Callable[[], None]

    def search(self) -> Finding:
        """Search its files."""
        held = self.find()
        return Finding(held.searched, "files", len(held.records), held.total)

    @classmethod
    def parts(cls, erasing: LakeErasing) -> "list[Lake]":
        """Return the parts, in the order in which they are erased."""
        return [
            cls("rejected records", erasing.rejected, erasing.erase_rejected),
            cls("lake, present version", erasing.events, erasing.erase_events),
            cls("lake, files of older versions", erasing.old_files, erasing.delete_old_files),
        ]


@dataclass(frozen=True)
class FirstExposures:
    """First exposures of the environment's experiments, and of those that were deleted."""

    artifacts: ArtifactStore
    identity: ErasedIdentity
    registry: Registry
    erasure: Erasure | None
    experiments: dict[str, Experiment]
    others: frozenset[str]
    name: str = "first exposures"

    def search(self) -> Finding:
        """Look for the identity's row in every file."""
        found = [each for each in first_exposures(self.artifacts) if each.partition_key not in self.others]
        held = sum(each.row(self._hash) is not None for each in found)
        return Finding(len(found), "files", held, held)

    def erase(self) -> None:
        """Take the row out, and note first that it had been counted."""
        for each in first_exposures(self.artifacts):
            row = None if each.partition_key in self.others else each.row(self._hash)
            if row is None:
                continue
            experiment = self.experiments.get(each.partition_key)
            if experiment is not None and self.erasure is not None and _is_counted(experiment, row):
                self.registry.erasures.record_exposure(
                    self.erasure, experiment.id, each.phase, datetime.now(self.identity.before.tzinfo)
                )
            TotalsStore(self.artifacts, each.partition_key, each.phase).drop()  # computed of these rows
            each.erase(self._hash)

    @property
    def _hash(self) -> int:
        return identity_hash_of(self.identity.identifier)


@dataclass(frozen=True)
class Totals:
    """Incremental state of the environment's experiments: where it held the identity, the next refresh reads all."""

    artifacts: ArtifactStore
    identity: ErasedIdentity
    others: frozenset[str]
    name: str = "incremental state"

    def search(self) -> Finding:
        """Look for the identity's row in every file."""
        found = [each for each in totals(self.artifacts) if each.partition_key not in self.others]
        held = sum(holds_identity(each, self._hash) for each in found)
        return Finding(len(found), "states", held, held)

    def erase(self) -> None:
        """Drop the totals that hold it."""
        for each in totals(self.artifacts):
            if each.partition_key not in self.others and holds_identity(each, self._hash):
                each.drop()

    @property
    def _hash(self) -> int:
        return identity_hash_of(self.identity.identifier)


@dataclass
class StoreReport:
    """One line of the proof: what a store held before, and what it holds afterwards; None where nothing was erased."""

    store: str
    before: Finding
    after: Finding | None = field(default=None)


def _of_objects(found: list[tuple[LandedObject, Erased]], unit: str) -> Finding:
    return Finding(
        searched=len(found),
        unit=unit,
        holders=sum(each.records > 0 for _, each in found),
        records=sum(each.records for _, each in found),
        unsearchable=tuple(landed.name for landed, each in found if not each.is_searched),
    )


def _is_counted(experiment: Experiment, row: dict[str, object]) -> bool:
    """Return whether an identity's row is one of those that results count."""
    keeps = experiment.multiple_exposures is not MultipleExposures.EXCLUDE or not row["quarantined"]
    return keeps and row["variant"] in experiment.compared_keys
