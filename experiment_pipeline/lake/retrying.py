"""Retrying: rejected records are taken in again, as a batch of their own, once the cause is gone (rule E3).

A batch takes in what one batch rejected of one object for one reason, wherever that holds a record that is accepted
now. The ledger keeps which these were, so that an interrupted one is finished as it was begun, and nothing is taken in
twice. What is still rejected is stored anew, with the reason of today.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from experiment_pipeline.domain import events
from experiment_pipeline.domain.batches import LandedObject, RejectedRows
from experiment_pipeline.domain.envelopes import decode_record
from experiment_pipeline.domain.events import Event
from experiment_pipeline.lake.ingestion import BatchLedger, exclusive_lock, finish_batch
from experiment_pipeline.lake.inspection import standing_rejected
from experiment_pipeline.lake.judging import sql, verdict
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.soundness import require_sound
from experiment_pipeline.storage.object_path import StoragePath

ROWS_AT_ONCE = 20_000
Row = tuple[LandedObject, RejectedRows, str]  # the object, where the record is from, and its text


@dataclass(slots=True)
class Retry:
    """Outcome of a retry, or of a dry run.

    batch:    the newest batch that it made; None for none
    records:  rejected records that were judged once more, by their reason
    accepted: those of them that are accepted now
    new_events, duplicates, rejected: what became of them in the batch; nothing in a dry run
    """

    batch: int | None = None
    records: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    new_events: int = 0
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Retrying:
    """One retry.

    Attributes:
        reason: of records that are taken in; `bad_type` is every `bad_type:<name>`. None for all.
        timezone: of timestamps without one; None where they are rejected.
    """

    lake: Lake
    ledger: BatchLedger
    landing: StoragePath
    now: datetime
    reason: str | None = None
    timezone: str | None = None

    def plan(self) -> Retry:
        """Return what `run` would do; nothing changes."""
        return self._choose()[0]

    def run(self) -> Retry:
        """Take in the records that are accepted now, an interrupted batch first."""
        with exclusive_lock(self.lake.root):
            require_sound(self.lake.root, self.ledger)
            interrupted = Retry()
            if (batch := self.ledger.open_batch()) is not None:
                self._finish(interrupted)
                if not any(landed.retried for landed in batch.objects):
                    interrupted = Retry()
            report, chosen = self._choose()
            report.batch, report.new_events = interrupted.batch, interrupted.new_events
            report.duplicates, report.rejected = interrupted.duplicates, interrupted.rejected
            if chosen:
                self.ledger.plan_batch(chosen, self.now, self.timezone)
                self._finish(report)
        return report

    def _finish(self, report: Retry) -> None:
        batch = self.ledger.open_batch()
        assert batch is not None  # noqa: S101 - planned just now, under the lock
        summary = finish_batch(self.lake, self.ledger, self.landing, batch, now=self.now)
        report.batch = batch.number
        report.new_events += summary.accepted
        report.duplicates += summary.duplicates
        report.rejected += Counter(summary.rejected)

    def _choose(self) -> tuple[Retry, list[LandedObject]]:
        """Judge what is rejected, and return the objects of which something is accepted now."""
        report = Retry()
        sizes: Counter[tuple[LandedObject, RejectedRows]] = Counter()
        accepted: set[tuple[LandedObject, RejectedRows]] = set()
        environments: dict[str, bool] = {}
        zone = ZoneInfo(self.timezone) if self.timezone else None
        for landed, source, text in self._rows():
            key = landed.environment_key
            if key not in environments:
                environments[key] = self.ledger.environment_exists(key)
            report.records[source.reason] += 1
            sizes[landed, source] += len(text)
            found = verdict(landed, decode_record(text), is_known=environments[key], timezone=zone)
            if isinstance(found, Event):
                report.accepted[source.reason] += 1
                accepted.add((landed, source))
        return report, self._objects({each: sizes[each] for each in accepted})

    def _rows(self) -> Iterator[Row]:
        with standing_rejected(self.lake, self.ledger.retried_records()) as connection:
            if connection is None:
                return
            parameters = {"reason": self.reason, "record_limit": events.RECORD_LIMIT}
            found = connection.execute(sql("retriable"), parameters)
            while rows := found.fetchmany(ROWS_AT_ONCE):
                for name, key, landed_at, batch, reason, _, _, record in rows:
                    landed = LandedObject(name, key, landed_at.astimezone(UTC), 0)
                    yield landed, RejectedRows(batch, reason), record

    def _objects(self, chosen: dict[tuple[LandedObject, RejectedRows], int]) -> list[LandedObject]:
        """Return the objects of the batch, each with a reading of its own."""
        names = sorted({landed.name for landed, _ in chosen})
        known = self.ledger.ingested_files(names) if names else {}
        readings = Counter({name: known[name].reading if name in known else 1 for name in names})
        objects = []
        for (landed, source), size in sorted(chosen.items(), key=lambda item: (item[0][0].name, item[0][1].batch)):
            readings[landed.name] += 1
            objects.append(
                LandedObject(
                    landed.name,
                    landed.environment_key,
                    landed.landed_at,
                    size,
                    reading=readings[landed.name],
                    retried=source,
                )
            )
        return objects
