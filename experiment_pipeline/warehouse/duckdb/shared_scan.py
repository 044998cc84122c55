"""Shared scans: the experiments of a batch read each kind of event once, for all of them together (rule N8).

Analyses of one environment at one data version share a kind of event. Some may go on from the totals of an earlier
refresh, and then take of the shared rows those that entered their scope since; identities that are read again are read
by each alone. What cannot be shared, for whatever reason, is read as if there were no batch.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import duckdb
import structlog

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.storage.files import readable
from experiment_pipeline.storage.object_path import ObjectPath, StoragePath
from experiment_pipeline.warehouse.base import WantedAggregates
from experiment_pipeline.warehouse.duckdb.arrow_columns import ahead, batches, columns
from experiment_pipeline.warehouse.duckdb.entering_events import Known
from experiment_pipeline.warehouse.duckdb.metric_values import Booleans, Kept
from experiment_pipeline.warehouse.duckdb.population import Population, hash_ranges
from experiment_pipeline.warehouse.duckdb.readings import Reading, Request, merged, readings
from experiment_pipeline.warehouse.duckdb.shared_events import (
    BATCH,
    SharedEvents,
    SharedEventsFile,
    SharedIdentities,
    Span,
)
from experiment_pipeline.warehouse.duckdb.statements import statement
from experiment_pipeline.warehouse.duckdb.visible_events import over_visible
from experiment_pipeline.warehouse.refreshes import SharedScan

log = structlog.get_logger(__name__)

MOST_BYTES = 4 * 2**30  # on disk, of one kind of event: some 150 million events; more are read by each alone
EVENT_FILES = "event_files"

EventParameters: TypeAlias = Callable[[AnalysisScope], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class PlannedReading:
    """One kind of event that an analysis is going to read.

    Attributes:
        known: what its earlier refresh had seen, where it goes on from that; None where it reads everything.
    """

    reading: Reading
    known: Known | None

    def span_in(self, window: Window) -> Span:
        """Return the rows of it in an analysis of a window."""
        return Span.of(window, self.reading, self.known)


@dataclass(frozen=True, slots=True)
class PlannedAnalysis:
    """One analysis of a batch.

    Attributes:
        first_exposures: the file of its identities, and `version` what tells whether it is still the same.
        readings: by the name of the event.
    """

    scope: AnalysisScope
    first_exposures: StoragePath
    version: object
    readings: Sequence[PlannedReading]

    @classmethod
    def of(
        cls, scope: AnalysisScope, first_exposures: StoragePath, read: Sequence[PlannedReading]
    ) -> "PlannedAnalysis":
        """Return the analysis of a scope with the first exposures as they are now."""
        return cls(scope, first_exposures, file_version(first_exposures), read)


@dataclass(frozen=True, slots=True)
class Shared:
    """The scans of one group of analyses: of one environment, at one data version."""

    analyses: Sequence[PlannedAnalysis]
    events: Mapping[str, SharedEvents]
    scan: SharedScan


@dataclass
class SharedReader:
    """The shared scan, as one analysis reads it.

    Attributes:
        is_used: whether it has read anything of it.
    """

    scope: AnalysisScope
    shared: Shared
    is_used: bool = False

    def find(self, reading: Reading, known: Known | None = None) -> "SharedRows | None":
        """Return the rows of a reading, or those that entered since an earlier refresh; None if they are not shared."""
        events = self.shared.events.get(reading.name)
        span = Span.of(self.scope.window, reading, known)
        if events is None or not events.has(reading, span):
            return None
        self.is_used = True
        return SharedRows(events, reading, span)

    @property
    def scan(self) -> SharedScan | None:
        """The scan that the analysis has shared; None where it has read everything alone."""
        return self.shared.scan if self.is_used else None


@dataclass(frozen=True, slots=True)
class SharedRows:
    """The rows of one reading of an analysis, in a shared scan."""

    events: SharedEvents
    reading: Reading
    span: Span

    def keep(
        self,
        population: Population,
        kept: Mapping[Request, Kept],
        *,
        types: dict[tuple[str, str], Any] | None = None,
        seen: Booleans | None = None,
    ) -> int:
        """Keep what is wanted of the rows; return how many there were: see `event_scan.keep_events`."""
        if not len(population):
            return 0
        for piece in self.events.pieces(population, self.reading, self.span):
            for each in kept.values():
                each.add(piece)
            if seen is not None:
                seen[piece.exposed] = True
        counts = self.events.counts[self.span]
        if types is not None:
            for path in self.reading.types:
                types[self.reading.name, path] += counts.types.get(path, 0)
        return counts.events


@dataclass(frozen=True)
class SharedScans:
    """All shared scans of a batch.

    Attributes:
        groups: of analyses, each with its scans.
    """

    groups: Sequence[Shared] = field(default=())

    def reader(self, scope: AnalysisScope, first_exposures: StoragePath) -> SharedReader | None:
        """Return the shared scan for an analysis; None where it was not planned, or with other first exposures."""
        version = file_version(first_exposures) if self.groups else None
        for shared in self.groups:
            if any((each.scope, each.version) == (scope, version) for each in shared.analyses):
                return SharedReader(scope, shared)
        return None


NOTHING_SHARED = SharedScans()


@contextmanager
def shared_scans(
    session: Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]],
    analyses: Sequence[WantedAggregates],
    plan: Callable[[duckdb.DuckDBPyConnection, WantedAggregates], PlannedAnalysis],
    parameters: Callable[[duckdb.DuckDBPyConnection, AnalysisScope], dict[str, Any]],
    spill_dir: Path | None,
) -> Iterator[SharedScans]:
    """Read what analyses share, and keep it on disk for the block.

    What fails here fails nobody: an analysis that cannot be planned reads alone, and so do all where reading fails.

    Args:
        session: opens a connection.
        analyses: of a batch.
        plan: returns what one of them is going to read.
        parameters: returns those of statements over the events of a scope.
        spill_dir: the folder of temporary files; None for the system's.
    """
    with ExitStack() as kept:
        found = NOTHING_SHARED
        try:
            if len(analyses) > 1:
                if spill_dir is not None:
                    spill_dir.mkdir(parents=True, exist_ok=True)
                folder = kept.enter_context(TemporaryDirectory(prefix="experiment-pipeline-shared-", dir=spill_dir))
                planned = [each for wanted in analyses if (each := _planned(session, wanted, plan)) is not None]
                with session() as connection:
                    found = _SharedReading(connection, planned, partial(parameters, connection), Path(folder)).read()
        except Exception as error:  # noqa: BLE001 - logged
            log.warning("scan.not_shared", experiments=len(analyses), reason=str(error))
        yield found


def _planned(
    session: Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]],
    wanted: WantedAggregates,
    plan: Callable[[duckdb.DuckDBPyConnection, WantedAggregates], PlannedAnalysis],
) -> PlannedAnalysis | None:
    try:
        with session() as connection:
            return plan(connection, wanted)
    except Exception as error:  # noqa: BLE001 - logged
        log.warning("scan.not_shared", experiment=wanted.scope.partition_key, reason=str(error))
        return None


@dataclass(frozen=True, slots=True)
class _SharedReading:
    """A batch of analyses that is about to be read.

    Attributes:
        connection: for all its queries.
        parameters: returns those of statements over the events of a scope.
        folder: for files, which go with it.
    """

    connection: duckdb.DuckDBPyConnection
    analyses: Sequence[PlannedAnalysis]
    parameters: EventParameters
    folder: Path

    def read(self) -> SharedScans:
        """Read each kind of event that several analyses share."""
        groups: defaultdict[tuple[str, int], list[PlannedAnalysis]] = defaultdict(list)
        for each in self.analyses:
            groups[each.scope.environment_key, each.scope.data_version].append(each)
        numbers = count()
        return SharedScans([self._read_group(each, numbers) for each in groups.values() if len(each) > 1])

    def _read_group(self, analyses: Sequence[PlannedAnalysis], numbers: Iterator[int]) -> Shared:
        wanted: defaultdict[str, list[tuple[AnalysisScope, PlannedReading]]] = defaultdict(list)
        for analysis in analyses:
            for each in analysis.readings:
                wanted[each.reading.name].append((analysis.scope, each))
        identities = self._identities([each.first_exposures for each in analyses])
        read, events = set[str](), dict[str, SharedEvents]()
        for name, of_name in wanted.items():
            if len({scope.partition_key for scope, _ in of_name}) > 1:
                path = self.folder / f"{next(numbers)}.bin"
                found, files = self._read_events(of_name, identities, path)
                if found is not None:
                    events[name] = found
                    read.update(files)
        rows = sum(each.rows for each in events.values())
        return Shared(analyses, events, SharedScan(len(analyses), len(read), rows))

    def _read_events(
        self,
        wanted: Sequence[tuple[AnalysisScope, PlannedReading]],
        identities: SharedIdentities,
        path: Path,
    ) -> tuple[SharedEvents | None, Sequence[str]]:
        """Read one kind of event for all that want it; return it with the files that it was read from."""
        reading = merged([each.reading for _, each in wanted])
        known = earliest([each.known for _, each in wanted])
        has_batch = any(each.known is not None for _, each in wanted)
        start = min(scope.window.started_at - each.reading.before for scope, each in wanted)
        window = Window(start, max(scope.window.as_of for scope, _ in wanted))
        sql, conditions = reading.statement(*([BATCH] if has_batch else []))
        (everybody,) = hash_ranges(1)
        of_events = self.parameters(replace(wanted[0][0], window=window))
        parameters = {**of_events, **everybody, **conditions, "event": reading.name}
        files = parameters[EVENT_FILES]
        if known is None:
            sql, parameters = over_visible(sql, parameters)
        else:
            sql, parameters = known.over_entering(sql, parameters)
        spans = {each.span_in(scope.window) for scope, each in wanted}
        file = SharedEventsFile(path, reading, identities, spans, has_batch=has_batch, most_bytes=MOST_BYTES)
        with (
            self.connection.cursor() as cursor,
            closing(ahead(batches(cursor.sql(sql, params=parameters)))) as read,
        ):
            return file.written(read, known), files

    def _identities(self, first_exposures: Sequence[StoragePath]) -> SharedIdentities:
        files = [readable(each) for each in first_exposures]
        with self.connection.cursor() as cursor:
            found = cursor.sql(statement("shared_identities"), params={"first_exposures": files})
            (identity_hash,) = columns(batches(found), 1)
        return SharedIdentities(identity_hash)


def readings_alike(metrics: Sequence[Metric]) -> list[Reading]:
    """Return the readings of metrics, but for the events of which some are read by slices: each has its own slices."""
    sliced = {name for each in metrics if any(of.slice_by for of in each.measures) for name in each.event_names}
    return [reading for reading in readings((each, None) for each in metrics) if reading.name not in sliced]


def file_version(path: StoragePath) -> tuple[object, ...]:
    """Return what tells a file from the one that replaces it."""
    if isinstance(path, ObjectPath):
        stored = path.stat()
        return stored.version, stored.modified_at, stored.size
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def earliest(known: Sequence[Known | None]) -> Known | None:
    """Return a scope that lies within all of these; None where any of them is to be read whole."""
    seen = [each for each in known if each is not None]
    if len(seen) < len(known):
        return None
    return Known(min(each.as_of for each in seen), min(each.data_version for each in seen))
