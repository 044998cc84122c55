"""Ingestion: landing objects become numbered batches of the lake, each object exactly once (rules E3-E7).

    plan    the ledger fixes a batch's number and objects
    write   DuckDB reads, judges and deduplicates them against one snapshot, and writes files nobody sees yet
    reject  one commit makes the rejected records visible
    accept  one commit makes the events visible
    commit  the ledger closes the batch

Whatever dies in between, the next ingestion finds the planned batch still open and takes it up again: each table knows
by its own log whether it holds the batch already. docs/adr/0010 walks through every point of a kill.
"""

import fcntl
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Protocol

from experiment_pipeline.domain.batches import LakeVersion, LandedObject, PlannedBatch
from experiment_pipeline.lake.delta import EVENTS, REJECTED, BatchSummary, Snapshot
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.staging import OnProgress, Staging, sql
from experiment_pipeline.landing.listing import landed_objects

BATCH_BYTES = 256 << 20  # of objects as stored: bounds what one batch stages
LOOKUP = 1_000  # names asked of the ledger at once
LOCK = ".ingestion.lock"
SETTLED = ".settled.json"  # in the landing zone: a hint that spares listing what is known to be in the lake
SETTLED_MARGIN = timedelta(minutes=15)  # more than clocks of a writer and of a file system differ


class BatchLedger(Protocol):
    """Which objects are in which batch: kept by the registry, one transaction per method."""

    def known_objects(self, names: Sequence[str]) -> set[str]:
        """Those of the names that some batch already holds."""

    def plan_batch(self, objects: Sequence[LandedObject], now: datetime) -> PlannedBatch:
        """Fix the next number for these objects. Raises Conflict while a batch is open or an object is taken."""

    def open_batch(self) -> PlannedBatch | None:
        """The batch that is planned and not committed."""

    def commit_batch(
        self,
        number: int,
        *,
        accepted: int,
        duplicates: int,
        rejected: Mapping[str, int],
        problems: Mapping[str, str],
        now: datetime,
    ) -> None:
        """Close the open batch: its data version exists from now on. Raises Conflict when it is not open."""

    def record_scan(self, scanned_at: datetime) -> None:
        """Remember that all that had landed by then is in the lake."""

    def environment_exists(self, key: str) -> bool:
        """Whether events may be sent for this environment."""

    def lake_version(self) -> LakeVersion:
        """The newest committed batch."""


@dataclass(frozen=True, slots=True)
class IngestionReport:
    """What an ingestion came to, over all its batches.

    batch:      the newest batch made; None when nothing had landed
    accepted, duplicates: records; `rejected` counts them by reason (rule E3)
    problems:   what was wrong with an object as a whole, by its name
    """

    batch: int | None = None
    objects: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def with_batch(self, batch: PlannedBatch, summary: BatchSummary) -> "IngestionReport":
        """This report and one more batch."""
        return IngestionReport(
            batch=batch.number,
            objects=self.objects + len(batch.objects),
            accepted=self.accepted + summary.accepted,
            duplicates=self.duplicates + summary.duplicates,
            rejected=dict(Counter(self.rejected) + Counter(summary.rejected)),
            problems=self.problems | summary.problems,
        )


def ingest(
    lake: Lake,
    ledger: BatchLedger,
    landing: Path,
    now: datetime,
    on_progress: OnProgress | None = None,
    *,
    object_age: timedelta = timedelta(0),
) -> IngestionReport:
    """Ingest everything that has landed and is in no batch yet, an interrupted batch first.

    object_age: how long a writer keeps an object hidden after its stamp; of younger ones a listing says nothing (R6)
    Where another process is ingesting into the same lake, waits for it: afterwards all that had landed is in.
    """
    report = IngestionReport()
    with _alone(lake.root):
        while (batch := ledger.open_batch() or _plan(ledger, landing, now)) is not None:
            environments = {landed.environment_key for landed in batch.objects}
            known = {key for key in environments if ledger.environment_exists(key)}
            summary = write_batch(lake, batch, landing, known, on_progress)
            ledger.commit_batch(batch.number, **asdict(summary), now=now)
            report = report.with_batch(batch, summary)
        ledger.record_scan(now - object_age)
    return report


def has_landed(ledger: BatchLedger, landing: Path) -> bool:
    """Whether there is anything to ingest: an object that no batch holds, or an interrupted batch."""
    return ledger.open_batch() is not None or any(True for _ in _unknown(ledger, landing))


def write_batch(
    lake: Lake, batch: PlannedBatch, landing: Path, environments: set[str], on_progress: OnProgress | None = None
) -> BatchSummary:
    """Bring a planned batch into both tables, as far as they do not hold it already. Raises Conflict when outrun.

    environments: those that exist; other records of the batch are rejected

    The snapshots are opened before anything is read: what the batch is deduplicated against is also what the commit is
    checked against.
    """
    rejected = Snapshot.open_or_create(lake.root, REJECTED)
    events = Snapshot.open_or_create(lake.root, EVENTS)
    if events.batch >= batch.number:
        return events.summary(batch.number)
    if rejected.batch >= batch.number:  # keep to what the interrupted ingestion knew of the environments
        refused = _refused_environments(lake, rejected, batch.number)
        environments = {landed.environment_key for landed in batch.objects} - refused
    with lake.connect() as connection:
        staging = Staging(connection, batch)
        staging.read(landing, environments, on_progress)
        staging.deduplicate(events)
        summary = staging.summary()
        if rejected.batch < batch.number:
            rejected.commit_batch(batch.number, staging.write_rejected(rejected), summary)
        events.commit_batch(batch.number, staging.write_events(events), summary)
    return summary


def _refused_environments(lake: Lake, rejected: Snapshot, batch: int) -> set[str]:
    if not (files := rejected.all_files()):
        return set()
    with lake.connect() as connection:
        rows = connection.execute(sql("refused_environments"), {"files": files, "batch": batch}).fetchall()
    return {key for (key,) in rows}


def _plan(ledger: BatchLedger, landing: Path, now: datetime) -> PlannedBatch | None:
    """The oldest objects that no batch holds, up to `BATCH_BYTES`."""
    chosen: list[LandedObject] = []
    size = 0
    for landed in sorted(_unknown(ledger, landing), key=lambda landed: (landed.landed_at, landed.name)):
        size += landed.bytes
        if chosen and size > BATCH_BYTES:
            break
        chosen.append(landed)
    return ledger.plan_batch(chosen, now) if chosen else None


def _unknown(ledger: BatchLedger, landing: Path) -> Iterator[LandedObject]:
    """Objects that no batch holds. Hours that were settled at the last listing and have not changed are passed over."""
    started, version, some_unknown = datetime.now(UTC), ledger.lake_version().data_version, False
    objects = landed_objects(landing, changed_since=_settled_at(landing, version))
    while some := list(islice(objects, LOOKUP)):
        known = ledger.known_objects([landed.name for landed in some])
        for landed in some:
            if landed.name not in known:
                some_unknown = True
                yield landed
    if not some_unknown and version:
        with suppress(OSError):  # a landing zone that may only be read is listed whole each time
            (landing / SETTLED).write_text(json.dumps({"batch": version, "at": started.timestamp()}))


def _settled_at(landing: Path, data_version: int) -> datetime | None:
    """Before when every object that had landed is known to be in the lake; None to look at everything.

    A note of a ledger that was further on than ours is another ledger's, and says nothing here.
    """
    try:
        note = json.loads((landing / SETTLED).read_text())
        moment = datetime.fromtimestamp(note["at"], UTC) - SETTLED_MARGIN
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return moment if note["batch"] <= data_version else None


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the lake's lock, which the system lets go of when a process dies.

    It saves work and is not what exactly once rests on: where a file system knows no locks, the commits still refuse.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
