"""Repair: lake and registry fit again, with every batch under its old number and arrival stamps (rules E6, E7).

    the lake is ahead     the registry adopts the batches, as the lake's own commits say them
    the lake lacks some   they are ingested again from the landing zone, oldest first, each as the batch that it was
    files are missing     the batches that they may hold are read again; what the lake still holds is dropped as known

A batch of which objects are gone stops the repair, until somebody has accepted its loss by name: what comes later must
not be counted in its place before. Each step is one that an ingestion makes, too: whatever dies in between, the next
repair goes on behind the last step.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from experiment_pipeline.domain.batches import LandedObject, PlannedBatch, StoredBatch
from experiment_pipeline.domain.delivered_records import EnvironmentCounts
from experiment_pipeline.errors import ConfigurationError, UnsoundLake
from experiment_pipeline.lake.batch_commits import BatchCommit, BatchSummary
from experiment_pipeline.lake.delta import EVENTS, REJECTED, DataFile, Snapshot
from experiment_pipeline.lake.ingestion import BatchLedger, create_tables, exclusive_lock, write_batch
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.partitions import is_of_removals, removals_of
from experiment_pipeline.lake.reading_mark import ReadingMark
from experiment_pipeline.lake.soundness import Batches, Finding, Flaw, LakeState, batches_of, find_flaw, state_of
from experiment_pipeline.lake.staging import Staging
from experiment_pipeline.landing.listing import modified_at
from experiment_pipeline.storage.object_path import ObjectPath, StoragePath

NOTHING = BatchSummary(0, 0, {}, {})
OnBatch = Callable[[int, int], None]


class RepairLedger(Protocol):
    """The part of the registry that a repair needs besides the ledger of ingestion."""

    def batch(self, number: int) -> StoredBatch:
        """Return a batch, with the environments that existed when it was ingested."""

    def accept_loss(self, number: int, gone: Sequence[LandedObject], *, actor: str, now: datetime) -> None:
        """Record that objects of a batch are gone for good."""

    def adopt(
        self,
        batch: PlannedBatch,
        *,
        committed_at: datetime | None,
        accepted: int | None = None,
        duplicates: int | None = None,
        rejected: dict[str, int] | None = None,
        problems: dict[str, str] | None = None,
        by_environment: dict[str, EnvironmentCounts] | None = None,
    ) -> None:
        """Add a batch that the lake holds and the registry does not know."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The objects of one batch that cannot be read again.

    gone:    not in the landing zone any more
    changed: there, but of another size than was ingested
    retimed: there and of the same size, but of another time
    is_known: False where nobody knows any more which objects the batch had
    """

    batch: int
    gone: tuple[LandedObject, ...] = ()
    changed: tuple[LandedObject, ...] = ()
    retimed: tuple[LandedObject, ...] = ()
    is_known: bool = True
    is_accepted: bool = False

    @property
    def objects(self) -> tuple[LandedObject, ...]:
        """The objects that cannot be read again."""
        return (*self.gone, *self.changed, *self.retimed)


@dataclass(slots=True)
class RepairReport:
    """The steps that a repair made, or would make.

    adopted:  batches that the registry has learnt from the lake; `unknown` are those whose objects nobody knows any
        more: objects of theirs that still lie in the landing zone are read once more, and their events count once
    restored: batches that the lake holds again
    differing: those of them with another number of events than they had, as (batch, had, has): an object is damaged
    losses:   what is not there any more, batch by batch
    stopped:  the first batch whose loss is not accepted; None where registry and lake fit
    """

    adopted: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    restored: list[int] = field(default_factory=list)
    differing: list[tuple[int, int, int]] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    stopped: int | None = None


@dataclass(frozen=True, slots=True)
class Repair:
    """One repair of a lake.

    Attributes:
        accepted: batches whose loss is accepted.
        ignores_times: take an object of the same size for what was ingested, whatever its file's time is.
        actor: for the audit log (rule L5).
        on_batch: is told how many batches are done, of how many.
    """

    lake: Lake
    ledger: BatchLedger
    repairs: RepairLedger
    landing: StoragePath
    now: datetime
    actor: str
    accepted: Collection[int] = ()
    ignores_times: bool = False
    on_batch: OnBatch = lambda done, total: None  # noqa: ARG005

    def run(self) -> RepairReport:
        """Repair until registry and lake fit, or a loss is met that is not accepted.

        Raises:
            UnsoundLake: the lake is another installation's.
            ConfigurationError: a loss is accepted of a batch that there is not.
        """
        with exclusive_lock(self.lake.root):
            report, last = RepairReport(), None
            while (finding := self._find()) is not None and report.stopped is None:
                if finding == last:
                    raise UnsoundLake(finding.message)
                last = finding
                self.lake.begin_history()  # a batch may get other rows than refreshes have seen of it
                if finding.flaw is Flaw.OTHER_LAKE:
                    self._replace_lake(finding)
                elif finding.flaw is Flaw.LAKE_AHEAD:
                    self._adopt(report)
                elif finding.flaw is Flaw.BATCHES_MISSING:
                    self._restore_batches(finding.batches, report)
                else:
                    self._restore_files(report)
            return report

    def plan(self) -> RepairReport:
        """Return what `run` would do first; nothing changes."""
        report, finding = RepairReport(), self._find()
        if finding is None:
            return report
        if finding.flaw is Flaw.OTHER_LAKE:
            self._require_replaceable(finding)
        elif finding.flaw is Flaw.LAKE_AHEAD:
            commits = self._commits()
            report.adopted = list(finding.batches)
            report.unknown = [number for number in finding.batches if not _objects(commits.get(number))]
        else:
            for stored, loss in self._look_for(finding.batches, self._keys_of_lost_files(finding)):
                if loss is not None:
                    report.losses.append(loss)
                if report.stopped is None and loss is not None and not loss.is_accepted:
                    report.stopped = stored.batch.number
                if report.stopped is None:
                    report.restored.append(stored.batch.number)
        return report

    def _keys_of_lost_files(self, finding: Finding) -> set[str] | None:
        """Return the environments that missing files are of; None where others may be needed."""
        state = state_of(self.lake.root)
        if finding.flaw is not Flaw.FILES_MISSING or state.lost_rejected:
            return None
        return {file.partition["environment_key"] for file in state.lost_events}

    def _find(self) -> Finding | None:
        newest = max(self.ledger.state().newest, state_of(self.lake.root).newest)
        if beyond := [number for number in self.accepted if not 1 <= number <= newest]:
            message = f"There is no batch {beyond[0]}: the newest one is {newest}."
            raise ConfigurationError.of("--accept-loss", message)
        return find_flaw(self.lake.root, self.ledger)

    def _require_replaceable(self, finding: Finding) -> None:
        if state_of(self.lake.root).events:
            raise UnsoundLake(finding.message)

    def _bind_tables(self) -> str:
        """Create the tables where they are gone, and return the installation's id."""
        known = self.ledger.state().installation
        return self.ledger.bind(create_tables(self.lake), self.now, replaces=known.lake if known else None)

    def _replace_lake(self, finding: Finding) -> None:
        """Make an empty lake in the place of one that is gone and that no batch was ever committed to."""
        self._require_replaceable(finding)
        self._bind_tables()

    def _commits(self) -> dict[int, BatchCommit]:
        events = Snapshot.open(self.lake.root, EVENTS)
        return {commit.batch.number: commit for commit in events.batch_commits()}

    def _adopt(self, report: RepairReport) -> None:
        """Add what the lake's commits say to the registry, oldest first."""
        events, commits = Snapshot.open(self.lake.root, EVENTS), self._commits()
        known = self.ledger.state()
        identity = next((commit.installation for commit in commits.values() if commit.installation), None)
        for number in range(known.newest + 1, events.batch + 1):
            commit = commits.get(number) or BatchCommit(PlannedBatch(number, self.now, ()), None, NOTHING)
            if number == known.planned:
                self.ledger.commit_batch(number, **commit.summary.counts, now=self.now)
            else:
                if number in commits:
                    self.repairs.adopt(commit.batch, committed_at=self.now, **commit.summary.counts)
                else:
                    self.repairs.adopt(commit.batch, committed_at=self.now)
                report.adopted.append(number)
                if not commit.batch.objects:
                    report.unknown.append(number)
            self.on_batch(number - known.newest, events.batch - known.newest)
        self._adopt_open(events.batch, report)
        self.ledger.bind(events.identity, self.now, identity=identity)

    def _adopt_open(self, newest: int, report: RepairReport) -> None:
        """Add the batch whose rejected records are in the lake and whose events are not: ingestion finishes it."""
        rejected = Snapshot.open_or_create(self.lake.root, REJECTED)
        if rejected.batch > newest and self.ledger.open_batch() is None:
            commit = next((each for each in rejected.batch_commits() if each.batch.number == rejected.batch), None)
            batch = commit.batch if commit else PlannedBatch(rejected.batch, self.now, ())
            self.repairs.adopt(batch, committed_at=None)
            report.adopted.append(batch.number)

    def _restore_batches(self, numbers: Batches, report: RepairReport) -> None:
        """Ingest batches again that the lake lacks."""
        installation: str | None = None
        for stored, gone in self._acceptable(numbers, report):
            # Not earlier: a repair of the wrong data directory stops here, and the registry still belongs to its lake.
            installation = installation or self._bind_tables()
            names = {landed.name for landed in gone}
            summary = write_batch(
                self.lake,
                stored.batch,
                self.landing,
                set(stored.environments),
                installation=installation,
                without=names,
                erased=self.ledger.erased_identities(),
            )
            report.restored.append(stored.batch.number)
            events = summary.accepted + summary.duplicates
            if not names and stored.events not in {None, events}:
                report.differing.append((stored.batch.number, stored.events or 0, events))

    def _restore_files(self, report: RepairReport) -> None:
        """Read again what missing files may hold, and strike them from the log at the end of each table."""
        state = state_of(self.lake.root)
        by_batch = {file.batch: file for file in state.lost_rejected if file.batch is not None}
        for stored, gone in self._acceptable(sorted(by_batch), report):  # first: batches that retry read them
            names = {landed.name for landed in gone}
            objects = [each for each in stored.batch.objects if each.name not in names]
            lost = by_batch[stored.batch.number]
            self._restage(replace(stored, batch=replace(stored.batch, objects=tuple(objects))), lost)
        if report.stopped is None:
            self._restore_events(state, report)

    def _restore_events(self, state: LakeState, report: RepairReport) -> None:
        """Add the events that missing files held, and strike these from the log."""
        keys = {file.partition["environment_key"] for file in state.lost_events}
        partitions = _to_restore(state.lost_events)
        for stored, gone in self._acceptable(batches_of(state.lost_events, state.held), report, keys):
            names = {landed.name for landed in gone}
            objects = [each for each in stored.batch.objects if each.environment_key in keys and each.name not in names]
            self._restage(replace(stored, batch=replace(stored.batch, objects=tuple(objects))), partitions=partitions)
            report.restored.append(stored.batch.number)
        if report.stopped is None and state.lost_events:
            Snapshot.open(self.lake.root, EVENTS).commit_rewrite(state.lost_events, [])

    def _restage(
        self,
        stored: StoredBatch,
        lost_rejected: DataFile | None = None,
        *,
        partitions: Collection[tuple[str, str]] = (),
    ) -> None:
        """Add those events of a batch that the lake's partitions have lost, or write its rejected records again."""
        table = Snapshot.open(self.lake.root, REJECTED if lost_rejected else EVENTS)
        with self.lake.writing(), self.lake.connect() as connection:
            staging = Staging(connection, stored.batch, ReadingMark(self.lake.root))
            log = Snapshot.open(self.lake.root, REJECTED)
            missing = log.missing_files()
            rejected = [log.readable(file) for file in log.data_files() if file not in missing]
            staging.read(self.landing, stored.environments, None, rejected=rejected)
            staging.leave_out(self.ledger.erased_identities())
            if lost_rejected is not None:
                table.commit_rewrite([lost_rejected], staging.write_rejected(table))
                return
            staging.deduplicate(table, without_missing=True)
            if added := staging.write_events(table, partitions):
                table.commit_rewrite([], added)

    def _acceptable(
        self, numbers: Batches, report: RepairReport, keys: Collection[str] | None = None
    ) -> Iterator[tuple[StoredBatch, tuple[LandedObject, ...]]]:
        """Yield batches with their objects that are gone, up to a loss that is not accepted; report every loss."""
        for done, (stored, loss) in enumerate(self._look_for(numbers, keys), start=1):
            if loss is not None:
                report.losses.append(loss)
                if not loss.is_accepted and report.stopped is None:
                    report.stopped = stored.batch.number
            if report.stopped is None:
                if loss is not None:
                    self.repairs.accept_loss(stored.batch.number, loss.objects, actor=self.actor, now=self.now)
                yield stored, loss.objects if loss is not None else ()
            self.on_batch(done, len(numbers))

    def _look_for(
        self, numbers: Iterable[int], keys: Collection[str] | None = None
    ) -> Iterator[tuple[StoredBatch, Loss | None]]:
        """Yield each batch and what of it is not in the landing zone as it was ingested.

        Args:
            numbers: of the batches.
            keys: environments whose objects are needed; None for all.
        """
        for number in numbers:
            stored = self.repairs.batch(number)
            gone, changed, retimed = [], [], []
            for landed in stored.batch.objects:
                if landed.retried is not None:  # it is read from the table of rejected records
                    continue
                if keys is not None and landed.environment_key not in keys:
                    continue
                state = _state(self.landing / landed.name)
                if state is None:
                    gone.append(landed)
                elif state[0] != landed.bytes:
                    changed.append(landed)
                elif not (self.ignores_times or landed.is_same(*state)):
                    retimed.append(landed)
            is_known = bool(stored.batch.objects)
            loss = Loss(number, tuple(gone), tuple(changed), tuple(retimed), is_known)
            was_accepted = stored.loss_accepted and stored.lost.issuperset(loss.objects)
            loss = replace(loss, is_accepted=was_accepted or number in self.accepted)
            yield stored, loss if loss.objects or not is_known else None


def _to_restore(lost: Iterable[DataFile]) -> set[tuple[str, str]]:
    """Return the partitions, as (environment, month), that a repair of lost files adds rows to.

    A partition that has lost events may get back some that were removed, so its removals are restored with it. Others
    have lost nothing: what they lack of a batch was removed and dropped (rule E6), and does not come back.
    """
    partitions = {(file.partition["environment_key"], file.partition["month"]) for file in lost}
    return partitions | {(key, removals_of(month)) for key, month in partitions if not is_of_removals(month)}


def _objects(commit: BatchCommit | None) -> tuple[LandedObject, ...]:
    return commit.batch.objects if commit is not None else ()


def _state(path: StoragePath) -> tuple[int, datetime | None] | None:
    """Return a file's size and time; None where there is none. Another error of the system is no loss: it is raised."""
    try:
        if isinstance(path, ObjectPath):
            stored = path.stat()
            return stored.size, stored.modified_at
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_size, modified_at(status)
