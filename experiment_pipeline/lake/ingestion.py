"""Ingestion: landing objects become numbered batches of the lake, each object exactly once (rules E3-E7).

    plan    the ledger fixes a batch's number and objects
    write   DuckDB reads, judges and deduplicates them against one snapshot, and writes files nobody sees yet
    reject  one commit makes the rejected records visible
    accept  one commit makes the events visible
    commit  the ledger closes the batch

Whatever dies in between, the next ingestion finds the planned batch still open and takes it up again: each table knows
by its own log whether it holds the batch already. docs/adr/0010 walks through every point of a kill.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Protocol

import duckdb
import structlog

from experiment_pipeline.domain.batches import (
    IngestedFile,
    LakeVersion,
    LandedObject,
    LedgerState,
    PlannedBatch,
    RejectedRows,
)
from experiment_pipeline.domain.delivered_records import EnvironmentCounts
from experiment_pipeline.domain.erasures import ErasedIdentities
from experiment_pipeline.domain.events import Reason
from experiment_pipeline.domain.unknown_fields import UnknownFields
from experiment_pipeline.errors import LakeError
from experiment_pipeline.lake.batch_commits import BatchSummary
from experiment_pipeline.lake.delta import EVENTS, REJECTED, Snapshot
from experiment_pipeline.lake.judging import sql
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.planning import Weigh, Weights, oldest
from experiment_pipeline.lake.reading_mark import ReadingMark
from experiment_pipeline.lake.soundness import require_sound
from experiment_pipeline.lake.staging import OnProgress, Staging
from experiment_pipeline.landing.ignored import IgnoredFiles
from experiment_pipeline.landing.landing_state import LandingState
from experiment_pipeline.landing.landing_zone import AnyListing, listing_of, note_settled
from experiment_pipeline.storage.locks import exclusive
from experiment_pipeline.storage.object_path import StoragePath

LOOKUP = 1_000  # names asked of the ledger at once
LOCK = ".ingestion.lock"
log = structlog.get_logger(__name__)


class BatchLedger(Protocol):
    """Which objects are in which batch: kept by the registry, one transaction per method."""

    def known_objects(self, names: Sequence[str]) -> set[str]:
        """Return those of the names that some batch already holds."""

    def ingested_files(self, names: Sequence[str]) -> Mapping[str, IngestedFile]:
        """Return those of the names that some batch already holds, as their files were when they were read last."""

    def retried_records(self) -> Sequence[tuple[str, RejectedRows]]:
        """Return which rejected records have been taken in again, by the names of their objects."""

    def erased_identities(self) -> ErasedIdentities:
        """Return the identities that were erased, whose earlier records a batch leaves out (rule E6)."""

    def plan_batch(self, objects: Sequence[LandedObject], now: datetime, timezone: str | None = None) -> PlannedBatch:
        """Assign the next number to these objects. Raises Conflict while a batch is open or an object is taken."""

    def open_batch(self) -> PlannedBatch | None:
        """Return the batch that is planned and not committed."""

    def commit_batch(
        self,
        number: int,
        *,
        accepted: int,
        duplicates: int,
        rejected: Mapping[str, int],
        problems: Mapping[str, str],
        by_environment: Mapping[str, EnvironmentCounts] | None = None,
        now: datetime,
    ) -> None:
        """Close the open batch: its data version exists from now on. Raises Conflict when it is not open."""

    def planned_at(self, batch: int) -> datetime | None:
        """Return when a batch was planned; None where there is none of that number."""

    def record_scan(self, scanned_at: datetime, now: datetime | None = None) -> None:
        """Record that all that had landed by then is in the lake; what lies ahead of now is forgotten."""

    def environment_exists(self, key: str) -> bool:
        """Return whether events may be sent for this environment."""

    def lake_version(self) -> LakeVersion:
        """Return the newest committed batch."""

    def state(self) -> LedgerState:
        """Return the installation, and the newest and the open batch."""

    def bind(self, lake: str, now: datetime, *, identity: str | None = None, replaces: str | None = None) -> str:
        """Record which lake the ledger belongs to; return the installation's id. Raises Conflict for another lake."""


@dataclass(frozen=True, slots=True)
class IngestionReport:
    """The counts of an ingestion, over all its batches.

    batch:      the newest batch made; None when nothing had landed
    accepted, duplicates: records; `rejected` counts them by reason (rule E3)
    removed:    rows of earlier batches that left (rule E6)
    erased:     records that were left out, of identities that had been erased
    problems:   what was wrong with an object as a whole, by its name
    unknown_fields: what records hold beside the fields of rule E1
    ignored:    what lies in the landing zone and is not ingested, new or not
    unreadable: what may be an object and cannot be read, and so waits
    changed:    objects that have changed since they were ingested, in the folders that were looked into
    """

    batch: int | None = None
    objects: int = 0
    accepted: int = 0
    duplicates: int = 0
    removed: int = 0
    erased: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    unknown_fields: UnknownFields = field(default_factory=UnknownFields)
    ignored: IgnoredFiles = field(default_factory=IgnoredFiles, compare=False)  # new or not, it was not ingested
    unreadable: IgnoredFiles = field(default_factory=IgnoredFiles, compare=False)
    changed: IgnoredFiles = field(default_factory=IgnoredFiles, compare=False)

    def with_batch(self, batch: PlannedBatch, summary: BatchSummary) -> "IngestionReport":
        """Return this report and one more batch."""
        return replace(
            self,
            batch=batch.number,
            objects=self.objects + len(batch.objects),
            accepted=self.accepted + summary.accepted,
            duplicates=self.duplicates + summary.duplicates,
            removed=self.removed + summary.removed,
            erased=self.erased + summary.erased,
            rejected=dict(Counter(self.rejected) + Counter(summary.rejected)),
            problems=self.problems | summary.problems,
            unknown_fields=self.unknown_fields + UnknownFields(summary.unknown_names, summary.unknown_fields),
        )


def ingest(
    lake: Lake,
    ledger: BatchLedger,
    landing: StoragePath,
    now: datetime,
    on_progress: OnProgress | None = None,
    *,
    object_age: timedelta = timedelta(0),
    whole: bool = True,
    timezone: str | None = None,
) -> IngestionReport:
    """Ingest everything that has landed and is in no batch yet, an interrupted batch first.

    Where another process is ingesting into the same lake, waits for it: afterwards all that had landed is in.

    Args:
        now: the moment of the call, UTC; a complete listing is recorded as of then (R6).
        object_age: how long a writer hides an object after stamping it; a listing says nothing about younger objects.
        whole: read every folder, and not only those that have changed; nothing becomes final without a whole listing.
        timezone: of timestamps without one; without it they are rejected.

    Returns:
        The counts of all its batches together, and what lies in the landing zone without being ingested.

    Raises:
        UnsoundLake: the lake does not fit the ledger.
    """
    report = IngestionReport()
    with exclusive_lock(lake.root):
        pair = require_sound(lake.root, ledger).installation
        installation = pair.identity if pair else None
        weigh = Weights(landing, ReadingMark(lake.root))
        while True:
            listing = listing_of(landing, ledger.planned_at, whole=whole)
            unknown = _unknown(ledger, landing, listing, compare=True)  # not read where a batch is open
            batch = ledger.open_batch() or _plan(ledger, unknown, weigh, now, timezone)
            if batch is None:
                break
            summary = finish_batch(
                lake, ledger, landing, batch, now=now, installation=installation, on_progress=on_progress
            )
            report = report.with_batch(batch, summary)
        if whole and not listing.unreadable.count:
            ledger.record_scan(now - object_age, now)
    return replace(report, ignored=listing.ignored, unreadable=listing.unreadable, changed=listing.changed)


def finish_batch(
    lake: Lake,
    ledger: BatchLedger,
    landing: StoragePath,
    batch: PlannedBatch,
    *,
    now: datetime,
    installation: str | None = None,
    on_progress: OnProgress | None = None,
) -> BatchSummary:
    """Bring a planned batch into the lake, and close it. Only the holder of the lake's lock may do so.

    Args:
        now: UTC.
        installation: the id that the commits carry; asked of the ledger where it is not given.
    """
    environments = {landed.environment_key for landed in batch.objects}
    known = {key for key in environments if ledger.environment_exists(key)}
    installation = installation or ledger.bind(create_tables(lake), now)
    erased = ledger.erased_identities()
    summary = write_batch(lake, batch, landing, known, on_progress, installation=installation, erased=erased)
    ledger.commit_batch(batch.number, **summary.counts, now=now)
    return summary


def landing_state(ledger: BatchLedger, landing: StoragePath, *, whole: bool = True) -> LandingState:
    """List the landing zone; nothing changes but the note of settled folders.

    Args:
        whole: look into every folder, to the end. Else only into those that have changed, and only until something
            is found that waits.
    """
    listing = listing_of(landing, ledger.planned_at, whole=whole)
    unknown = _unknown(ledger, landing, listing, compare=whole)
    waits = (sum(1 for _ in unknown) > 0) if whole else any(True for _ in unknown)
    waits = waits or ledger.open_batch() is not None
    return LandingState(waits, listing.ignored, listing.unreadable, listing.changed)


def has_landed(ledger: BatchLedger, landing: StoragePath) -> bool:
    """Return whether there is anything to ingest: an object that no batch holds, or an interrupted batch."""
    return ledger.open_batch() is not None or landing_state(ledger, landing, whole=False).waits


def create_tables(lake: Lake) -> str:
    """Create the tables that are not there yet, and return the lake's id: that of its table of events."""
    Snapshot.open_or_create(lake.root, REJECTED)
    return Snapshot.open_or_create(lake.root, EVENTS).identity


def write_batch(
    lake: Lake,
    batch: PlannedBatch,
    landing: StoragePath,
    environments: set[str],
    on_progress: OnProgress | None = None,
    *,
    installation: str,
    without: Collection[str] = (),
    erased: ErasedIdentities | None = None,
) -> BatchSummary:
    """Bring a planned batch into both tables, as far as they do not hold it already.

    Args:
        environments: those that exist; other records of the batch are rejected.
        installation: the id that the commits carry.
        without: objects of the batch that are not read: they are gone.
        erased: identities whose earlier records are left out; None for none.

    Raises:
        Conflict: when another process was faster.
    """
    attempt = partial(
        partial(_write_batch, lake, batch, landing, environments, on_progress),
        installation=installation,
        without=without,
        erased=erased or ErasedIdentities(),
    )
    with lake.writing():
        try:
            summary = attempt()
        except (duckdb.InternalException, duckdb.FatalException) as broken:
            # A bug of the engine's takes its whole database with it, and one line may be what meets it, again and again
            log.warning("ingestion.engine_broken", batch=batch.number, error=str(broken))
            summary = attempt(in_python=True)
    ReadingMark(lake.root).clear()
    return summary


def _write_batch(
    lake: Lake,
    batch: PlannedBatch,
    landing: StoragePath,
    environments: set[str],
    on_progress: OnProgress | None,
    *,
    installation: str,
    without: Collection[str],
    erased: ErasedIdentities,
    in_python: bool = False,
) -> BatchSummary:
    """The snapshots come first: what the batch is deduplicated against is also what the commit is checked against."""
    rejected = Snapshot.open_or_create(lake.root, REJECTED)
    events = Snapshot.open_or_create(lake.root, EVENTS)
    if min(events.batch, rejected.batch) >= batch.number:
        return events.summary(batch.number)
    objects = tuple(landed for landed in batch.objects if landed.name not in without)
    set_aside: set[str] = set()
    if rejected.batch >= batch.number:  # keep to what the interrupted ingestion knew
        unknown, set_aside = _rejected_before(lake, rejected, batch.number)
        environments = {landed.environment_key for landed in batch.objects} - unknown
    with lake.connect() as connection:
        staging = Staging(connection, replace(batch, objects=objects), ReadingMark(lake.root))
        staging.read(
            landing,
            environments,
            on_progress,
            rejected=rejected.all_files(),
            set_aside=set_aside,
            in_python=in_python,
        )
        if rejected.batch >= batch.number and (lost := staging.set_aside - set_aside):
            raise LakeError(
                f"Batch {batch.number} stays open: {min(lost)} could be read when the batch was begun, and cannot be "
                "read now. Restore the object, then ingest again."
            )
        staging.leave_out(erased)
        staging.deduplicate(events)
        summary = staging.summary()
        if rejected.batch < batch.number:
            rejected.commit_batch(batch, installation, staging.write_rejected(rejected), summary)
        if events.batch < batch.number:
            events.commit_batch(batch, installation, staging.write_events(events), summary)
    return summary


def _rejected_before(lake: Lake, rejected: Snapshot, batch: int) -> tuple[set[str], set[str]]:
    """Return the unknown environments and the unreadable objects of a batch whose rejected records are stored."""
    found: dict[str, set[str]] = {Reason.UNKNOWN_ENVIRONMENT: set(), Reason.UNREADABLE_OBJECT: set()}
    if files := rejected.all_files():
        parameters = {"files": files, "batch": batch, **{reason: reason for reason in found}}
        with lake.connect() as connection:
            for reason, name in connection.execute(sql("rejected_by_batch"), parameters).fetchall():
                found[reason].add(name)
    return found[Reason.UNKNOWN_ENVIRONMENT], found[Reason.UNREADABLE_OBJECT]


def _plan(
    ledger: BatchLedger, unknown: Iterable[LandedObject], weigh: Weigh, now: datetime, timezone: str | None
) -> PlannedBatch | None:
    """Plan the oldest objects that no batch holds."""
    chosen = oldest(list(unknown), weigh)
    return ledger.plan_batch(chosen, now, timezone) if chosen else None


def _unknown(
    ledger: BatchLedger, landing: StoragePath, listing: AnyListing, *, compare: bool
) -> Iterator[LandedObject]:
    """Yield the objects that no batch holds, and compare the others with what was ingested.

    If there are none, note the folders that need not be read again.
    The note names a batch that is not older than any that the ledger has found an object in: a ledger restored from a
    backup that has lost one of these must not find the note valid. So none is written while a batch is open.
    """
    some_unknown = False
    names = listing.names()
    while some := list(islice(names, LOOKUP)):
        asked = [found.name for found in some]
        known = ledger.ingested_files(asked) if compare else dict.fromkeys(ledger.known_objects(asked))
        for found in some:
            if (ingested := known.get(found.name)) is not None:
                listing.compare(found.name, ingested)
            if found.name not in known and (landed := listing.landed(found)) is not None:
                some_unknown = True
                yield landed
    if some_unknown or ledger.open_batch() is not None:
        return
    if version := ledger.lake_version().data_version:
        note_settled(landing, listing, version, ledger.planned_at)


def exclusive_lock(root: StoragePath) -> AbstractContextManager[None]:
    """Acquire the lake's lock, which is released when a process dies.

    It saves work, and exactly once does not depend on it: where it does not work, the second commit fails.
    """
    return exclusive(root, LOCK)
