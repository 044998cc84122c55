"""Refreshes of aggregates: from the totals of the last one where that is exact, from all events otherwise (I1, I4).

Whatever is in doubt makes the refresh a full one, which says why and leaves a new state.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.events import EPOCH
from experiment_pipeline.warehouse.duckdb.entering_events import Known
from experiment_pipeline.warehouse.duckdb.event_scan import EventScan, ScannedRange, Types
from experiment_pipeline.warehouse.duckdb.kept_aggregates import Asked, KeptAggregates, plain
from experiment_pipeline.warehouse.duckdb.metric_aggregation import Row
from experiment_pipeline.warehouse.duckdb.population import Integers, hash_ranges
from experiment_pipeline.warehouse.duckdb.readings import MICROSECOND, Reading, Request
from experiment_pipeline.warehouse.duckdb.resumed_scan import (
    NOT_KNOWN,
    STARTS_AT,
    Resumed,
    ResumedScan,
    StoredTotals,
    resumes,
    text_of,
    total_columns,
)
from experiment_pipeline.warehouse.duckdb.shared_scan import PlannedReading
from experiment_pipeline.warehouse.duckdb.totals_store import (
    IDENTITY,
    Generation,
    TotalsFile,
    TotalsStore,
    frame_of_totals,
    may_append,
)
from experiment_pipeline.warehouse.refreshes import (
    ASKED_FOR,
    AUDIT,
    KnownScope,
    RefreshMode,
    RefreshPolicy,
    RefreshReport,
)

Hashes: TypeAlias = Mapping[str, int]
ScanRange: TypeAlias = Callable[[EventScan, Hashes], ScannedRange]
Columns: TypeAlias = dict[str, NDArray[Any]]
Aggregate: TypeAlias = Callable[[ScanRange], list[Row]]

MOST_IDENTITIES_CHANGED = "most identities are new or have changed"
NOTHING_RESUMES = "no measure has totals of a few numbers per identity"


@dataclass
class TotalsRefresh:
    """One refresh of the aggregates of one experiment.

    Attributes:
        store: of the totals.
        now: what the new state is computed for.
        scope: of the analysis.
        wanted: the readings of its metrics.
        asked: what the aggregates are computed of, beside events.
        obstacle: why no state of the lake as it is can be brought up to date, given what it had seen; None if it can.
        removed: hashes of the identities that have lost rows since something was seen, sorted.
        has_entering: whether events have entered the scope since something was seen.
        policy: bounds of what is worth it.
        mode: what the caller asks for.
    """

    store: TotalsStore
    now: KnownScope
    scope: AnalysisScope
    wanted: Sequence[Reading]
    asked: Asked
    obstacle: Callable[[Known], str | None]
    removed: Callable[[Known], Integers]
    has_entering: Callable[[Known], bool]
    policy: RefreshPolicy
    mode: RefreshMode
    _new: Generation | None = None
    _is_difference: bool = False

    def rows(self, aggregate: Aggregate) -> tuple[list[Row], RefreshReport]:
        """Return the rows of the aggregates, and how they were computed.

        Args:
            aggregate: returns them, given what scans one range of identities.
        """
        if self.mode is RefreshMode.FULL:
            return self._full(aggregate, ASKED_FOR.full_because)
        if (reason := self._reason) is not None:
            return self._full(aggregate, reason)
        if not self._is_audit:
            return self._incremental(aggregate)
        incremental, _ = self._incremental(aggregate)
        full, report = self._full(aggregate, AUDIT)
        mine, theirs = plain(incremental), plain(full)
        self._is_difference = repr(mine) != repr(theirs)  # to the last bit: 0.0 == -0.0
        difference = _difference(mine, theirs) if self._is_difference else None
        return full, replace(report, difference=difference, is_audited=True)

    def planned(self) -> list[PlannedReading]:
        """Return what is going to be read of each kind of event: everything, what entered, or for an audit both.

        Where nothing has entered, there is next to nothing to read, and so nothing to share.
        """
        everything = [PlannedReading(reading, None) for reading in self.wanted]
        if self.mode is RefreshMode.FULL or self._reason is not None:
            return everything
        if not self._is_audit and not self.has_entering(_seen(self._earlier)):
            return []
        (everybody,) = hash_ranges(1)
        stored = self._totals(self._earlier, everybody, rows=())
        entering = [PlannedReading(each, stored.known if stored.is_of(each) else None) for each in self.wanted]
        return [*everything, *entering] if self._is_audit else entering

    def publish(self) -> None:
        """Replace the last state by the new one; drop it where an audit found a difference (rule I4)."""
        if self._is_difference:
            self.store.drop()
        elif self._new is not None:
            self.store.publish(self._new)

    def _full(self, aggregate: Aggregate, reason: str | None) -> tuple[list[Row], RefreshReport]:
        rows_read = 0
        kept = _NewState(self.store, self._requests, self._started_at_us)
        keeps = self.mode is not RefreshMode.FULL and bool(self._requests)

        def scan_range(scan: EventScan, hashes: Hashes) -> ScannedRange:
            nonlocal rows_read
            scanned = scan.scanned(self.wanted)
            rows_read += scanned.events
            if keeps and rows_read >= self.policy.least_rows:
                kept.add_all(scanned, hashes)
            return scanned

        began = time.monotonic()
        rows = aggregate(scan_range)
        self._new = None
        if keeps and rows_read >= self.policy.least_rows:
            self._new = self._with_rows(kept.generation(self.now, rows_read, time.monotonic() - began), rows)
        elif keeps:
            reason = f"fewer than {self.policy.least_rows:,} events are read sooner than a state"
        elif self.mode is not RefreshMode.FULL:
            reason = NOTHING_RESUMES
        return rows, RefreshReport(reason, rows_read, None if self._new is None else self._new.bytes)

    def _incremental(self, aggregate: Aggregate) -> tuple[list[Row], RefreshReport]:
        began, earlier, rows_read, incremental = time.monotonic(), self._earlier, 0, False
        if (same := self._rows_of(earlier)) is not None:
            self._new = replace(earlier, known=earlier.known.then(self.now))
            took = time.monotonic() - began
            return same, RefreshReport(None, 0, earlier.bytes, seconds_saved=earlier.full_seconds - took)
        kept = _NewState(self.store, self._requests, self._started_at_us, earlier)

        def scan_range(scan: EventScan, hashes: Hashes) -> ScannedRange:
            nonlocal rows_read, incremental
            stored = self._stored(earlier, hashes)
            with TemporaryDirectory(prefix="experiment-pipeline-changed-") as folder:
                resumed = ResumedScan(scan, stored, Path(folder)).scanned(self.wanted)
            rows_read += resumed.scanned.events
            incremental |= resumed.is_incremental
            kept.add_changed(resumed, hashes)
            return resumed.scanned

        rows = aggregate(scan_range)
        saved = earlier.full_seconds - (time.monotonic() - began) if incremental else None
        known = earlier.known.then(self.now) if incremental else self.now
        self._new = self._with_rows(kept.generation(known, earlier.full_rows, earlier.full_seconds), rows)
        reason = None if incremental else MOST_IDENTITIES_CHANGED
        return rows, RefreshReport(reason, rows_read, self._new.bytes, seconds_saved=saved)

    def _rows_of(self, earlier: Generation) -> list[Row] | None:
        """Return the rows that the earlier refresh kept, where they are those of this one; else None."""
        kept = earlier.aggregates
        if kept is None or kept.asked != self.asked or (kept.wait and earlier.known.as_of != self.now.as_of):
            return None
        if len(self._removed) or self.has_entering(_seen(earlier)):
            return None
        return list(kept.rows)

    def _with_rows(self, generation: Generation, rows: Sequence[Row]) -> Generation:
        return replace(generation, aggregates=KeptAggregates(self.asked, plain(rows)))

    @property
    def _is_audit(self) -> bool:
        """Whether an incremental refresh, where it is possible, is compared with a full one."""
        return self.mode is RefreshMode.AUDITED or self._earlier.known.since_full + 1 >= self.policy.audit_every

    @cached_property
    def _generation(self) -> Generation | None:
        return self.store.generation()

    @property
    def _earlier(self) -> Generation:
        assert self._generation is not None  # noqa: S101 - asked for where there is no reason for a full refresh
        return self._generation

    @cached_property
    def _removed(self) -> Integers:
        return self.removed(_seen(self._earlier))

    @cached_property
    def _reason(self) -> str | None:
        """Why everything has to be read; None where the last refresh's totals can be brought up to date."""
        if not self._requests:
            return NOTHING_RESUMES
        earlier = self._generation
        if earlier is None:
            return "no state of an earlier refresh"
        if (reason := earlier.known.obstacle(self.now)) is not None:
            return reason
        if earlier.requests and not set(earlier.requests) & self._requests.keys():
            return "the measures are new"
        return self.obstacle(_seen(earlier))

    @cached_property
    def _requests(self) -> dict[str, tuple[Reading, Request]]:
        """The requests that totals are kept of, by their texts."""
        readings = [reading for reading in self.wanted if resumes(reading)]
        return {text_of(request, reading): (reading, request) for reading in readings for request in reading.requests}

    @property
    def _started_at_us(self) -> int:
        return (self.scope.window.started_at - EPOCH) // MICROSECOND

    def _stored(self, earlier: Generation, hashes: Hashes) -> StoredTotals:
        rows = self.store.rows(earlier, hashes["lowest_hash"], hashes["highest_hash"])
        return self._totals(earlier, hashes, list(rows))

    def _totals(self, earlier: Generation, hashes: Hashes, rows: Sequence[pl.DataFrame]) -> StoredTotals:
        numbers = {text: number for number, text in enumerate(earlier.requests)}
        types: Types = {}
        for reading in self.wanted:
            for path in reading.types:
                if (counts := earlier.types.get(_type_key(reading, path, hashes))) is not None:
                    types[reading.name, path] = np.array(counts, np.int64)
        return StoredTotals(_seen(earlier), self._started_at_us, numbers, types, rows, self._removed)


@dataclass
class _NewState:
    """The state that a refresh leaves, while its ranges come one by one."""

    store: TotalsStore
    requests: Mapping[str, tuple[Reading, Request]]
    started_at_us: int
    earlier: Generation | None = None
    files: list[TotalsFile] = field(default_factory=list)
    types: dict[str, Integers] = field(default_factory=dict)

    def add_all(self, scanned: ScannedRange, hashes: Hashes) -> None:
        """Keep all identities of a range."""
        self._count_types(scanned, hashes)
        self.files.append(self._written(self._columns(scanned), hashes))

    def add_changed(self, resumed: Resumed, hashes: Hashes) -> None:
        """Keep the identities of a range that have changed; all of them where these have become many."""
        scanned = resumed.scanned
        changed, gone = np.flatnonzero(resumed.touched), resumed.gone
        files = self._files_of(hashes)
        if files is None or not may_append(files, len(changed) + len(gone)):
            self.add_all(scanned, hashes)
            return
        self._count_types(scanned, hashes)
        self.files += files
        if len(changed) or len(gone):
            changed_rows = {name: values[changed] for name, values in self._columns(scanned).items()}
            self.files.append(self._written(with_gone(changed_rows, gone), hashes))

    def generation(self, known: KnownScope, full_rows: int, full_seconds: float) -> Generation:
        """Return the generation of all ranges."""
        types = {key: counts.tolist() for key, counts in self.types.items()}
        return Generation(known, tuple(self.requests), types, full_rows, full_seconds, tuple(self.files))

    def _columns(self, scanned: ScannedRange) -> Columns:
        numbered = {request: number for number, (_, request) in enumerate(self.requests.values())}
        return total_columns(scanned.population, scanned.kept, numbered, self.started_at_us)

    def _written(self, columns: Columns, hashes: Hashes) -> TotalsFile:
        return self.store.append(frame_of_totals(columns), hashes["lowest_hash"], hashes["highest_hash"])

    def _files_of(self, hashes: Hashes) -> list[TotalsFile] | None:
        """Return the earlier files of a range; None where rows cannot be appended to them."""
        if self.earlier is None or self.earlier.requests != tuple(self.requests):
            return None
        bounds = hashes["lowest_hash"], hashes["highest_hash"]
        of_range = [file for file in self.earlier.files if (file.lowest_hash, file.highest_hash) == bounds]
        overlapping = [
            file for file in self.earlier.files if file.lowest_hash <= bounds[1] and bounds[0] <= file.highest_hash
        ]
        return of_range if of_range and of_range == overlapping else None

    def _count_types(self, scanned: ScannedRange, hashes: Hashes) -> None:
        """Keep the counts of types of a range; without anybody to analyse, no event of it was looked at."""
        if not len(scanned.population):
            return
        for reading, _ in self.requests.values():
            for path in reading.types:
                self.types[_type_key(reading, path, hashes)] = scanned.types[reading.name, path]


def _seen(earlier: Generation) -> Known:
    return Known(earlier.known.as_of, earlier.known.data_version)


def _type_key(reading: Reading, path: str, hashes: Hashes) -> str:
    return "\n".join([reading.name, path, str(reading.before), str(hashes["lowest_hash"]), str(hashes["highest_hash"])])


def with_gone(rows: Columns, gone: Integers) -> Columns:
    """Return rows with those of identities that are not analysed any more: without them they would go on, once back."""
    if not len(gone):
        return rows
    empty = {name: np.zeros(len(gone), values.dtype) for name, values in rows.items()}
    empty |= {IDENTITY: gone, STARTS_AT: np.full(len(gone), NOT_KNOWN)}
    order = np.argsort(np.concatenate([rows[IDENTITY], gone]), kind="stable")
    return {name: np.concatenate([values, empty[name]])[order] for name, values in rows.items()}


def _difference(incremental: Sequence[Row], full: Sequence[Row]) -> str:
    """Return what differs: the columns, and in how many rows."""
    if len(incremental) != len(full):
        return f"{len(incremental)} rows instead of {len(full)}"
    differing = [(one, other) for one, other in zip(incremental, full, strict=True) if repr(one) != repr(other)]
    names = dict.fromkeys(name for one, other in differing for name in other if repr(one[name]) != repr(other[name]))
    return f"{', '.join(names)} of {len(differing)} rows of {len(full)}"
