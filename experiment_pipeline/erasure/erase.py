"""Erasure of one identity in one environment: every store is searched, rewritten, and searched again (rule E6).

    begin      the registry knows the keyed hash and the moment: from now on ingestion leaves earlier records out
    segments   what collectors had open by then becomes landing objects
    rewrite    under the lake's lock and the leases of the environment's experiments, each store loses what it holds
    prove      every store is searched once more
    complete   nothing is left: the audit log says what was rewritten, without the identifier

Whatever is killed in between, the same command goes on: each store is rewritten in steps that leave it sound, and a
step that was made finds nothing more to do. docs/adr/0068 says why it goes this way.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.environments import EMBEDDED
from experiment_pipeline.domain.erasures import ErasedIdentity, Erasure
from experiment_pipeline.erasure.stores import (
    Finding,
    FirstExposures,
    Lake,
    Landing,
    Segments,
    Store,
    StoreReport,
    Totals,
)
from experiment_pipeline.erasure.temporary import TemporaryFiles
from experiment_pipeline.erasure.texts import DagsterHistory, Logs, LookTexts, RegistryTexts
from experiment_pipeline.errors import ErasureIncomplete, Leased, NotFound
from experiment_pipeline.lake.erasing import LakeErasing
from experiment_pipeline.lake.ingestion import exclusive_lock
from experiment_pipeline.lake.lake import Lake as EventsLake
from experiment_pipeline.lake.soundness import require_sound
from experiment_pipeline.landing.segments import opened_segments, recover
from experiment_pipeline.landing.spool import upload
from experiment_pipeline.registry.identity_texts import IdentityTexts
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from experiment_pipeline.storage.object_path import ObjectPath
from experiment_pipeline.storage.places import places_of
from experiment_pipeline.warehouse.artifacts import ArtifactStore

LEASE = timedelta(minutes=15)  # of the experiments, renewed long before it ends; a killed erasure keeps it so long
RENEWED_AFTER = timedelta(minutes=1)
LONGEST_WAIT = timedelta(minutes=10)  # for a run that has an experiment, and for a collector's segment
POLL_SECONDS = 0.5

OnProgress = Callable[[str, int], None]  # told the store and how many files of it were searched, at each


@dataclass
class ErasureReport:
    """The proof of one erasure, or what it would find.

    Attributes:
        erased_at: the moment before which nothing is left; None of a dry run.
        stores: in the order in which they were searched.
        linked: other identifiers that were linked with the identity (rule D6): their own records stay.
        warehouse: where the environment's events lie besides, and where nothing was searched; None for nowhere.
    """

    environment_key: str
    erased_at: datetime | None
    stores: list[StoreReport] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    warehouse: str | None = None

    @property
    def remaining(self) -> int:
        """The records that are left; of a dry run, all that were found."""
        return sum((each.before if each.after is None else each.after).records for each in self.stores)

    @property
    def unsearchable(self) -> list[str]:
        """The objects that could not be read to their end."""
        last = (each.before if each.after is None else each.after for each in self.stores)
        return [name for each in last for name in each.unsearchable]

    def counts(self) -> dict[str, object]:
        """Return what the audit log keeps: how many records of each store were erased."""
        return {each.store: each.before.records for each in self.stores if each.before.records}


@dataclass
class Eraser:
    """Erases one identity in one environment.

    Attributes:
        lake: of the installation.
        on_progress: is told of each file that was searched.
    """

    settings: Settings
    registry: Registry
    lake: EventsLake
    environment_key: str
    identifier: str
    actor: str
    on_progress: OnProgress = lambda _store, _done: None
    _leased: dict[int, datetime] = field(default_factory=dict)
    _store: str = ""
    _done: int = 0

    def plan(self, now: datetime) -> ErasureReport:
        """Search every store, and change nothing."""
        report = ErasureReport(self.environment_key, None, warehouse=self._warehouse())
        identity = ErasedIdentity(self.identifier, now)
        report.linked = self._lake(identity).linked()
        for store in self._stores(identity, None):
            report.stores.append(StoreReport(store.name, self._searching(store)))
        return report

    def run(self, now: datetime) -> ErasureReport:
        """Erase, and search once more.

        Raises:
            ErasureIncomplete: something is left, or could not be searched, or an ingestion into a bucket has not ended.
            Leased: a run has had an experiment of the environment for longer than `LONGEST_WAIT`.
            UnsoundLake: lake and registry do not fit; nothing was erased.
        """
        require_sound(self.lake.root, self.registry.batches)
        erasure = self.registry.erasures.begin(self.environment_key, self.identifier, now)
        identity = ErasedIdentity(self.identifier, now)
        report = ErasureReport(self.environment_key, now, warehouse=self._warehouse())
        segments, *stores = self._stores(identity, erasure)
        self._erase(segments, report)
        with self._alone(erasure):
            report.linked = self._lake(identity).linked()
            for store in stores:
                self._renew(erasure)
                self._erase(store, report)
            for each, store in zip(report.stores, (segments, *stores), strict=True):
                self._renew(erasure)
                each.after = self._searching(store)
        if report.remaining or report.unsearchable:
            raise ErasureIncomplete(_incomplete(report))
        self.registry.erasures.complete(erasure, report.counts(), actor=self.actor, now=datetime.now(UTC))
        return report

    def _stores(self, identity: ErasedIdentity, erasure: Erasure | None) -> list[Store]:
        """Return the stores in the order in which they are erased: what others are made from comes first."""
        settings, registry, places = self.settings, self.registry, places_of(self.settings)
        artifacts = ArtifactStore(places.artifacts)
        experiments = {each.partition_key: each for each in registry.experiments.list(self.environment_key)}
        others = frozenset(registry.experiments.partition_keys() - experiments.keys())
        return [
            Segments(settings.segments_dir, places.is_shared, self.environment_key, identity, self._wait_for_segments),
            Landing(places.landing, self.environment_key, identity, registry, erasure, self._step),
            *Lake.parts(self._lake(identity)),
            Totals(artifacts, identity, others),
            FirstExposures(artifacts, identity, registry, erasure, experiments, others),
            RegistryTexts(IdentityTexts(registry.engine, identity)),
            LookTexts(places.tables, identity, registry.table_outbox.forget_batches),
            DagsterHistory(settings.dagster_home, identity),
            Logs(settings.dagster_home, identity),
            TemporaryFiles(
                (settings.spill_dir, settings.lake_dir / ".spill"),
                (settings.segments_dir, settings.artifacts_dir, settings.lake_dir),
            ),
        ]

    def _warehouse(self) -> str | None:
        """Return the connection to where the environment's events lie; None for the lake alone."""
        environments = self.registry.environments
        known = environments.get(self.environment_key) if environments.exists(self.environment_key) else None
        named = known.warehouse if known else None
        if named is None and self.settings.default_warehouse != EMBEDDED:
            return "of the installation"  # its URL may hold a password
        return None if named == EMBEDDED else named

    def _lake(self, identity: ErasedIdentity) -> LakeErasing:
        return LakeErasing(self.lake, self.environment_key, identity, self._step)

    def _erase(self, store: Store, report: ErasureReport) -> None:
        before = self._searching(store)
        report.stores.append(StoreReport(store.name, before))
        if before.records:
            store.erase()

    def _searching(self, store: Store) -> Finding:
        self._store, self._done = store.name, 0
        return store.search()

    def _step(self) -> None:
        self._done += 1
        self.on_progress(self._store, self._done)

    @contextmanager
    def _alone(self, erasure: Erasure) -> Iterator[None]:
        """Keep ingestion and runs of the environment's experiments out, and what writes to the lake."""
        with exclusive_lock(self.lake.root):
            self._require_no_open_batch()
            try:
                self._renew(erasure)
                with self.lake.alone():
                    yield
            finally:
                self.registry.erasures.release(erasure)

    def _require_no_open_batch(self) -> None:
        """Refuse a bucket while a batch is open: a lease keeps out no ingestion that was stopped and goes on later.

        Raises:
            ErasureIncomplete: there is one.
        """
        if isinstance(self.lake.root, ObjectPath) and self.registry.batches.open_batch() is not None:
            raise ErasureIncomplete("An ingestion has not ended. Run `lake ingest`, and erase again.")

    def _renew(self, erasure: Erasure) -> None:
        """Acquire or renew the leases of the environment's experiments; wait for runs that have one."""
        until = time.monotonic() + LONGEST_WAIT.total_seconds()
        for experiment in self.registry.experiments.list(self.environment_key):
            last = self._leased.get(experiment.id)
            if last is not None and datetime.now(UTC) - last < RENEWED_AFTER:
                continue
            while True:
                try:
                    self.registry.erasures.acquire(experiment.id, erasure, now := datetime.now(UTC), LEASE)
                except Leased:
                    if time.monotonic() > until:
                        raise
                    time.sleep(POLL_SECONDS)
                except NotFound:  # deleted meanwhile
                    break
                else:
                    self._leased[experiment.id] = now
                    break

    def _wait_for_segments(self, before: datetime) -> None:
        """Publish the segments of dead collectors, and wait until living ones have published what they had open."""
        segments, until = self.settings.segments_dir, time.monotonic() + LONGEST_WAIT.total_seconds()
        recover(segments)
        while any(self._is_awaited(each, before) for each in opened_segments(segments)):
            if time.monotonic() > until:
                raise ErasureIncomplete("A collector does not publish a segment: see its log, and erase again.")
            time.sleep(POLL_SECONDS)
        if isinstance(landing := places_of(self.settings).landing, ObjectPath):
            upload(segments, landing)

    def _is_awaited(self, segment: LandedObject, before: datetime) -> bool:
        return segment.environment_key == self.environment_key and segment.landed_at < before


def _incomplete(report: ErasureReport) -> str:
    """Return what is left of an identity, in words."""
    after = [(each.store, each.after.records) for each in report.stores if each.after is not None]
    left = ", ".join(f"{records:,} in {store}" for store, records in after if records)
    told = f"Records are left: {left}. " if left else ""
    if names := report.unsearchable:
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
        told += f"Damaged objects cannot be searched to their end: {shown}. Mend or delete them. "
    return f"{told}The erasure stays open: erase again."
