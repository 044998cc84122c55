"""The embedded engine: DuckDB in memory over the lake's Parquet files, one artifact file per partition.

No database file: a DuckDB file locks out every second process.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import duckdb
from typing_extensions import override

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.audience import LARGEST_VALUES
from experiment_pipeline.domain.discovery import ExposedVariant, ExposedVariants
from experiment_pipeline.domain.event_files import EventFiles
from experiment_pipeline.domain.event_ids import RepeatedEventIds
from experiment_pipeline.domain.event_timing import EventTiming, event_timing
from experiment_pipeline.domain.events import EPOCH, EXPOSURE_EVENT, MILLISECOND
from experiment_pipeline.domain.experiments import CONTROL, MultipleExposures
from experiment_pipeline.domain.exposures import FirstExposureCounts, SeenExposures, Window
from experiment_pipeline.domain.field_types import FieldTypes
from experiment_pipeline.domain.looks import LateAnalysis, Look
from experiment_pipeline.domain.metric_preview import MetricPreview
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.durable_files import replacing
from experiment_pipeline.warehouse.artifacts import ArtifactStore, Stamp, read_stamp
from experiment_pipeline.warehouse.base import FirstExposures, Frame, Warehouse
from experiment_pipeline.warehouse.duckdb.arrow_columns import frame
from experiment_pipeline.warehouse.duckdb.connection import Connect
from experiment_pipeline.warehouse.duckdb.event_scan import EventScan, ScannedRange, identities_statement
from experiment_pipeline.warehouse.duckdb.field_types import field_types, field_types_statement
from experiment_pipeline.warehouse.duckdb.first_exposures import (
    DimensionGroups,
    dimensions_of,
    first_exposures_statement,
)
from experiment_pipeline.warehouse.duckdb.late_analysis import LateComparison
from experiment_pipeline.warehouse.duckdb.metric_aggregation import MetricAggregation
from experiment_pipeline.warehouse.duckdb.metric_preview import as_one_arm, metric_preview
from experiment_pipeline.warehouse.duckdb.population import hash_ranges
from experiment_pipeline.warehouse.duckdb.readings import Reading, readings, slice_values_statement
from experiment_pipeline.warehouse.duckdb.slices import Slice, slices_of
from experiment_pipeline.warehouse.duckdb.statements import statement
from experiment_pipeline.warehouse.duckdb.visible_events import ambiguous_links_statement, file_parameters, over_visible
from experiment_pipeline.warehouse.frame_schemas import frame_of

FIRST_EXPOSURES = "first_exposures"
MOST_IDENTITIES = 4_000_000  # tallied at once, in some 500 MB; more are tallied range by range of their hashes
NO_EVENTS = "no_events"  # the statement
EMPTY_LAKE = "empty_lake"  # its file: DuckDB refuses an empty list of files: an empty lake reads this empty one

FindEventFiles: TypeAlias = Callable[[str, Window, int], EventFiles]


@dataclass(frozen=True, slots=True)
class DuckDBWarehouse(Warehouse):
    """The embedded engine.

    Attributes:
        connect: opens one in-memory connection, its limits set.
        event_files: returns the files of one environment (and of no other) that may hold events of a window, all of one
            snapshot of the lake that holds every batch up to a data version.
        artifacts: where `first_exposures` is stored.
    """

    connect: Connect
    event_files: FindEventFiles
    artifacts: ArtifactStore

    @override
    def write_first_exposures(self, scope: AnalysisScope) -> FirstExposures:
        target = self.artifacts.path(FIRST_EXPOSURES, scope.partition_key, scope.phase)
        if scope.feature is None:
            sql, chosen = statement("first_events"), {}
        else:
            sql, of_audience = first_exposures_statement(scope.audience)
            chosen = {**of_audience, "exposure_event": EXPOSURE_EVENT, "feature": scope.feature}
        with self._session() as connection, replacing(target) as temporary:
            sql, parameters = over_visible(sql, {**self._event_parameters(connection, scope), **chosen})
            stamp = Stamp.of(scope, sql)
            connection.execute(sql, {**parameters, "target": str(temporary), "stamp": stamp.to_json()})
            summary = connection.execute(
                statement("first_exposures_summary"), {FIRST_EXPOSURES: [escape(str(temporary))]}
            ).fetchone()
        identities, quarantined = summary or (0, 0)
        return FirstExposures(identities=identities, quarantined=quarantined, sql=sql)

    @override
    def stamp(self, partition_key: str, phase: int = 1) -> Stamp:
        return read_stamp(self.artifacts.existing(FIRST_EXPOSURES, partition_key, phase))

    @override
    def exposure_buckets(self, scope: AnalysisScope) -> Frame:
        sql = statement("exposure_buckets")
        parameters = {**self._artifact_parameters(scope), "granularity": scope.window.granularity.value}
        with self._session() as connection:
            rows = frame(connection.sql(sql, params=parameters))
        self._require_same(scope)
        return Frame(rows=rows, sql=sql)

    @override
    def variant_aggregates(
        self,
        scope: AnalysisScope,
        metrics: tuple[Metric, ...],
        *,
        sensitive: Metric | None = None,
        self_check: bool = False,
    ) -> Frame:
        if not metrics:
            return Frame(rows=frame_of("variant_aggregates", []), sql=identities_statement())
        with self._session() as connection:
            read = scope if sensitive is None else replace(scope, multiple_exposures=MultipleExposures.FIRST)
            identities = scope.aggregated(self._identities(connection, read))
            variants = list(identities)
            dimensions = self._dimensions(connection, scope, variants)
            sliced = [each for metric in metrics for each in self._sliced(connection, scope, metric, variants)]
            wanted = readings(sliced)
            on_disk = sum(identities.values()) > MOST_IDENTITIES
            policy = None if sensitive is None else scope.multiple_exposures
            split = (variants.index(CONTROL), scope.partition_key) if self_check and CONTROL in variants else None
            with MetricAggregation(
                sliced, scope.window.as_of, on_disk=on_disk, sensitive=sensitive, self_check=split
            ) as aggregation:
                for scanned in self._scanned(connection, scope, wanted, identities, dimensions, policy=policy):
                    aggregation.add(scanned)
                rows = aggregation.rows(variants)
        sql = ";\n".join([identities_statement(dimensions, policy), *(reading.statement()[0] for reading in wanted)])
        self._require_same(scope)
        return Frame(rows=frame_of("variant_aggregates", rows), sql=sql)

    @override
    def preview_metric(
        self, scope: AnalysisScope, metric: Metric, on_identities: Callable[[int, int], None]
    ) -> MetricPreview | None:
        with TemporaryDirectory(prefix="experiment-pipeline-preview-") as folder:
            engine = replace(self, artifacts=ArtifactStore(Path(folder)))
            engine.write_first_exposures(scope)
            return engine._preview_metric(scope, metric, on_identities)  # noqa: SLF001 - of this class

    def _preview_metric(
        self, scope: AnalysisScope, metric: Metric, on_identities: Callable[[int, int], None]
    ) -> MetricPreview | None:
        with self._session() as connection:
            identities = scope.aggregated(self._identities(connection, scope))
            total, done, sliced = sum(identities.values()), 0, [(metric, None)]
            if not total:
                return None
            on_disk = total > MOST_IDENTITIES
            with MetricAggregation(sliced, scope.window.as_of, on_disk=on_disk, keeps_values=True) as aggregation:
                on_identities(0, total)
                for scanned in self._scanned(connection, scope, readings(sliced), identities):
                    aggregation.add(as_one_arm(scanned))
                    done += len(scanned.population)
                    on_identities(done, total)
                return metric_preview(aggregation, scope, metric, total)

    @override
    def event_times(
        self, environment_key: str, data_version: int, before: datetime
    ) -> tuple[datetime, datetime] | None:
        scope = AnalysisScope("", environment_key, None, Window(EPOCH, before), data_version)
        with self._session() as connection:
            parameters = self._event_parameters(connection, scope)
            found = connection.execute(*over_visible(statement("event_times"), parameters)).fetchone()
        first, last = found or (None, None)
        return None if first is None or last is None else (first.astimezone(UTC), last.astimezone(UTC))

    @override
    def exposed_variants(
        self, environment_key: str, data_version: int, before: datetime, limit: int
    ) -> ExposedVariants:
        scope = AnalysisScope("", environment_key, None, Window(EPOCH, before), data_version)
        with self._session() as connection:
            bound = {**self._event_parameters(connection, scope), "exposure_event": EXPOSURE_EVENT, "limit": limit}
            rows = connection.execute(*over_visible(statement("exposed_variants"), bound)).fetchall()
        listed = tuple(ExposedVariant(*row[:4], *(at.astimezone(UTC) for at in row[4:6])) for row in rows)
        return ExposedVariants(listed, rows[0][-1] if rows else 0)

    @override
    def variant_identities(self, scope: AnalysisScope, *, before_entry: bool = False) -> dict[str, int]:
        with self._session() as connection:
            identities = self._identities(connection, scope, before_entry=before_entry)
        self._require_same(scope)
        return identities

    @override
    def first_exposure_counts(self, scope: AnalysisScope) -> FirstExposureCounts:
        with self._session() as connection:
            rows = connection.execute(statement("exposed_by_day"), self._stored(scope)).fetchall()
        self._require_same(scope)
        quarantined, first_at = sum(row[2] for row in rows), min((row[3].astimezone(UTC) for row in rows), default=None)
        return FirstExposureCounts({day: identities for day, identities, _, _ in rows}, quarantined, first_at)

    @override
    def late_analysis(self, scope: AnalysisScope, metrics: tuple[Metric, ...], look: Look) -> LateAnalysis:
        window = scope.window  # by a wrong clock a look may be as of a moment that lies ahead; a start may be moved
        as_of = max(min(look.as_of, window.as_of), window.started_at)
        known = replace(scope, window=replace(window, as_of=as_of), data_version=look.data_version)
        with self._session() as connection, TemporaryDirectory(prefix="experiment-pipeline-late-") as folder:
            found = LateComparison(
                connection=connection,
                folder=Path(folder),
                now=scope,
                known=known,
                exposures=self._artifact_parameters(scope),
                events=partial(self._event_parameters, connection),
                variants=list(scope.aggregated(self._identities(connection, scope))),
                metrics=[metric for metric in metrics if metric.id in look.metric_ids],
                ranges=_ranges,
            ).found()
        self._require_same(scope)
        return found

    @override
    def count_exposures(self, scope: AnalysisScope, feature: str, window: Window) -> SeenExposures:
        with self._session() as connection:
            parameters = self._event_parameters(connection, replace(scope, window=window))
            of_flag = {**parameters, "exposure_event": EXPOSURE_EVENT, "feature": feature}
            found = connection.execute(*over_visible(statement("exposure_count"), of_flag)).fetchone()
        exposures, identities, first_at = found or (0, 0, None)
        return SeenExposures(exposures, identities, None if first_at is None else first_at.astimezone(UTC))

    @override
    def count_saw_another_variant(self, scope: AnalysisScope, earlier: Window) -> int:
        exposures = {"exposure_event": EXPOSURE_EVENT, "feature": scope.feature}
        with self._session() as connection:
            of_window = self._event_parameters(connection, replace(scope, window=earlier))
            parameters = {**of_window, **self._artifact_parameters(scope), **exposures}
            found = connection.execute(*over_visible(statement("seen_another_variant"), parameters)).fetchone()
        self._require_same(scope)
        return int(found[0]) if found else 0

    @override
    def flag_names(self, scope: AnalysisScope, limit: int) -> dict[str, int]:
        return self._names("flag_names", scope, {"limit": limit})

    @override
    def event_names(self, scope: AnalysisScope, wanted: Collection[str], limit: int) -> dict[str, int]:
        return self._names("event_names", scope, {"limit": limit, "wanted": list(wanted)})

    @override
    def repeated_event_ids(self, scope: AnalysisScope, events: Collection[str], share: float) -> RepeatedEventIds:
        found = self._of_share("repeated_event_ids", scope, events, share) if events else []
        ids, repeated = found[0] if found else (0, 0)
        return RepeatedEventIds(ids, repeated, share)

    @override
    def event_timing(
        self, scope: AnalysisScope, events: Collection[str], share: float, since: datetime, late_after: timedelta
    ) -> EventTiming:
        bound = {"exposure_event": EXPOSURE_EVENT, "feature": scope.feature, "since": since, **self._stored(scope)}
        rows = self._of_share("event_timing", scope, events, share, late_after_ms=late_after // MILLISECOND, **bound)
        self._require_same(scope)
        return event_timing(rows, share)

    def _of_share(
        self, stage: str, scope: AnalysisScope, events: Collection[str], share: float, **bound: object
    ) -> list[Any]:
        """Return the rows of a statement about events of the identities with the smallest hashes."""
        if not self.event_files(scope.environment_key, scope.window, scope.data_version).events:
            return []
        of_share = {"events": sorted(events), "highest_hash": min(int(share * 2**64) - 2**63, 2**63 - 1)}
        with self._session() as connection:
            parameters = {**self._event_parameters(connection, scope), **of_share, **bound}
            return connection.execute(*over_visible(statement(stage), parameters)).fetchall()

    @override
    def ambiguous_links(self, scope: AnalysisScope) -> int:
        files = self.event_files(scope.environment_key, scope.window, scope.data_version)
        if not files.links:
            return 0
        with self._session() as connection:
            (found,) = connection.execute(*ambiguous_links_statement(files, scope.data_version)).fetchone() or (0,)
        return int(found)

    @override
    def field_types(self, scope: AnalysisScope, event: str, fields: Sequence[str]) -> list[FieldTypes]:
        sql, paths = field_types_statement(fields)
        feature = scope.feature if event == EXPOSURE_EVENT else None
        with self._session() as connection:
            parameters = {**self._event_parameters(connection, scope), **paths, "event": event, "feature": feature}
            return field_types(event, fields, connection.execute(*over_visible(sql, parameters)).fetchall())

    def _names(self, stage: str, scope: AnalysisScope, bound: dict[str, Any]) -> dict[str, int]:
        with self._session() as connection:
            of_files = self._event_parameters(connection, scope)
            parameters = {name: value for name, value in of_files.items() if name not in ("started_at", "as_of")}
            of_stage = {**parameters, "exposure_event": EXPOSURE_EVENT, **bound}
            return dict(connection.execute(*over_visible(statement(stage), of_stage)).fetchall())

    def _require_same(self, scope: AnalysisScope) -> None:
        """Refuse what was read of an artifact, where another run has replaced it before or meanwhile."""
        stamp = self.stamp(scope.partition_key, scope.phase)
        scope.require_same(stamp.window, stamp.data_version, stamp.installation)

    def _identities(
        self, connection: duckdb.DuckDBPyConnection, scope: AnalysisScope, *, before_entry: bool = False
    ) -> dict[str, int]:
        """Return the number of analysed identities of each variant, in the order of the variants' keys."""
        parameters = {**self._artifact_parameters(scope), "before_entry": before_entry}
        return dict(connection.execute(statement("variant_identities"), parameters).fetchall())

    def _scanned(
        self,
        connection: duckdb.DuckDBPyConnection,
        scope: AnalysisScope,
        wanted: Sequence[Reading],
        identities: dict[str, int],
        dimensions: Sequence[DimensionGroups] = (),
        *,
        policy: MultipleExposures | None = None,
    ) -> Iterator[ScannedRange]:
        """Yield the identities of these variants, range by range, with what is wanted of their events.

        Where the scope's policy of rule X3 is given, those of the other policy are there as a group of their own.
        """
        for hashes in _ranges(sum(identities.values())):
            exposures = {**self._artifact_parameters(scope), **hashes}
            events = partial(self._reading_parameters, connection, scope, hashes)
            yield EventScan(connection, exposures, events, list(identities), dimensions, policy).scanned(wanted)

    def _dimensions(
        self, connection: duckdb.DuckDBPyConnection, scope: AnalysisScope, variants: list[str]
    ) -> list[DimensionGroups]:
        """Return the dimensions of the scope with their largest values among the identities of these variants."""
        parameters = {**self._artifact_parameters(scope), "variants": variants, "limit": LARGEST_VALUES}
        return [each.with_values_of(connection, parameters) for each in dimensions_of(scope.audience)]

    def _sliced(
        self, connection: duckdb.DuckDBPyConnection, scope: AnalysisScope, metric: Metric, variants: list[str]
    ) -> Iterator[tuple[Metric, Slice | None]]:
        """Yield the metric as a whole, and its slices."""
        yield metric, None
        path = next((measure.slice_by for measure in metric.measures), None)
        if path is None:
            return
        (everything,) = _ranges(0)
        sql, parameters = slice_values_statement(metric, path)
        (reading,) = readings([(metric, None)])
        of_reading = {
            **self._reading_parameters(connection, scope, everything, reading),
            **self._artifact_parameters(scope),
            **parameters,
            "variants": variants,
        }
        found = connection.execute(*over_visible(sql, of_reading)).fetchall()
        yield from ((metric, each) for each in slices_of(path, [value for (value,) in found]))

    @contextmanager
    def _session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")  # buckets start in UTC (X4); not settable before connecting
            yield connection

    def _artifact_parameters(self, scope: AnalysisScope) -> dict[str, Any]:
        excludes = scope.multiple_exposures is MultipleExposures.EXCLUDE
        return {**self._stored(scope), "exclude_quarantined": excludes}

    def _stored(self, scope: AnalysisScope) -> dict[str, Any]:
        return {
            FIRST_EXPOSURES: [escape(str(self.artifacts.existing(FIRST_EXPOSURES, scope.partition_key, scope.phase)))]
        }

    def _reading_parameters(
        self, connection: duckdb.DuckDBPyConnection, scope: AnalysisScope, hashes: dict[str, int], reading: Reading
    ) -> dict[str, Any]:
        """Return the parameters of one kind of event; those of a pre-period come from before the window."""
        since = replace(scope.window, started_at=scope.window.started_at - reading.before)
        return {**self._event_parameters(connection, replace(scope, window=since)), **hashes, "event": reading.name}

    def _event_parameters(self, connection: duckdb.DuckDBPyConnection, scope: AnalysisScope) -> dict[str, Any]:
        files = self.event_files(scope.environment_key, scope.window, scope.data_version)
        return {
            **file_parameters(files if files.events else EventFiles([self._no_events(connection)])),
            "started_at": scope.window.started_at,
            "as_of": scope.window.as_of,
            "data_version": scope.data_version,
        }

    def _no_events(self, connection: duckdb.DuckDBPyConnection) -> str:
        path = self.artifacts.root / f"{EMPTY_LAKE}.parquet"
        if not path.exists():
            with replacing(path) as temporary:
                connection.execute(statement(NO_EVENTS), {"target": str(temporary)})
        return escape(str(path))


def _ranges(identities: int) -> Iterator[dict[str, int]]:
    """Yield ranges of hashes that hold about `MOST_IDENTITIES` each."""
    return hash_ranges(max(1, -(-identities // MOST_IDENTITIES)))
