"""The embedded engine: DuckDB in memory over the lake's Parquet files, one artifact file per partition.

No database file: a DuckDB file locks out every second process.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import duckdb
from typing_extensions import override

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.discovery import ExposedVariant, ExposedVariants
from experiment_pipeline.domain.event_ids import RepeatedEventIds
from experiment_pipeline.domain.event_timing import EventTiming, event_timing
from experiment_pipeline.domain.events import EPOCH, EXPOSURE_EVENT, MILLISECOND
from experiment_pipeline.domain.experiments import MultipleExposures
from experiment_pipeline.domain.exposures import FirstExposureCounts, SeenExposures, Window
from experiment_pipeline.domain.field_types import FieldTypes
from experiment_pipeline.domain.looks import LateAnalysis, Look
from experiment_pipeline.domain.metric_preview import MetricPreview
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.storage.files import readable
from experiment_pipeline.storage.object_path import StoragePath
from experiment_pipeline.warehouse.artifacts import ArtifactStore, Stamp, code_version, read_stamp, rows_digest
from experiment_pipeline.warehouse.base import FirstExposures, Frame, LakeWarehouse, WantedAggregates, Warehouse
from experiment_pipeline.warehouse.duckdb import earlier_refresh, shared_scan
from experiment_pipeline.warehouse.duckdb.arrow_columns import frame
from experiment_pipeline.warehouse.duckdb.connection import Connect
from experiment_pipeline.warehouse.duckdb.earlier_refresh import FindEventFiles, files_found_once
from experiment_pipeline.warehouse.duckdb.entering_events import Known
from experiment_pipeline.warehouse.duckdb.event_scan import EventScan, identities_statement
from experiment_pipeline.warehouse.duckdb.exposures_refresh import FIRST_EXPOSURES, ExposuresRefresh
from experiment_pipeline.warehouse.duckdb.field_types import field_types, field_types_statement
from experiment_pipeline.warehouse.duckdb.kept_aggregates import NOTHING_ASKED, Asked
from experiment_pipeline.warehouse.duckdb.late_analysis import LateComparison
from experiment_pipeline.warehouse.duckdb.metric_preview import previewed
from experiment_pipeline.warehouse.duckdb.no_events import no_event_files
from experiment_pipeline.warehouse.duckdb.population import ranges_of
from experiment_pipeline.warehouse.duckdb.readings import Reading
from experiment_pipeline.warehouse.duckdb.statements import statement
from experiment_pipeline.warehouse.duckdb.totals_refresh import TotalsRefresh
from experiment_pipeline.warehouse.duckdb.totals_store import TotalsStore
from experiment_pipeline.warehouse.duckdb.variant_aggregation import VariantAggregation
from experiment_pipeline.warehouse.duckdb.visible_events import ambiguous_links_statement, file_parameters, over_visible
from experiment_pipeline.warehouse.frame_schemas import frame_of
from experiment_pipeline.warehouse.refreshes import KnownScope, RefreshMode, RefreshPolicy, digest_of


@dataclass(frozen=True, slots=True)
class DuckDBWarehouse(LakeWarehouse):
    """The embedded engine.

    Attributes:
        connect: opens one in-memory connection, its limits set.
        event_files: returns the files of one environment (and of no other) that may hold events of a window, all of one
            snapshot of the lake that holds every batch up to a data version.
        artifacts: where `first_exposures` and the totals of the last refresh are stored.
        refreshes: bounds of what is worth an incremental refresh.
        spill_dir: for the files of shared scans; None for the system's temporary folder.
        shared: the scans of the batch that the engine is for.
    """

    connect: Connect
    event_files: FindEventFiles
    artifacts: ArtifactStore
    refreshes: RefreshPolicy = field(default_factory=RefreshPolicy)
    spill_dir: Path | None = None
    shared: shared_scan.SharedScans = shared_scan.NOTHING_SHARED

    @override
    @contextmanager
    def sharing(self, analyses: Sequence[WantedAggregates]) -> Iterator[Warehouse]:
        once = replace(self, event_files=files_found_once(self.event_files))
        plan, parameters = once._planned, once._event_parameters  # noqa: SLF001 - of this class
        with shared_scan.shared_scans(self._session, analyses, plan, parameters, self.spill_dir) as shared:
            yield replace(self, shared=shared)  # asks for files anew: a call is retried where a vacuum took some

    @override
    def write_first_exposures(self, scope: AnalysisScope, mode: RefreshMode = RefreshMode.FULL) -> FirstExposures:
        once, definitions = self._opening_the_lake_once(), (scope.environment_key, scope.feature, scope.audience)
        with self._session() as connection:
            return ExposuresRefresh(
                connection,
                scope,
                self.artifacts.path(FIRST_EXPOSURES, scope.partition_key, scope.phase),
                once._event_parameters(connection, scope),  # noqa: SLF001 - of this class
                once._known_scope(scope, definitions),  # noqa: SLF001 - the same
                partial(earlier_refresh.obstacle, once.event_files, scope),
                partial(earlier_refresh.identities_of_removed, connection, once.event_files, scope),
                self.refreshes,
                mode,
            ).write()

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
        mode: RefreshMode = RefreshMode.FULL,
    ) -> Frame:
        if not metrics:
            return Frame(rows=frame_of("variant_aggregates", []), sql=identities_statement())
        once = self._opening_the_lake_once()
        with self._session() as connection:
            read = scope if sensitive is None else replace(scope, multiple_exposures=MultipleExposures.FIRST)
            identities = scope.aggregated(self._identities(connection, read))
            ranges = list(ranges_of(sum(identities.values())))
            shared = self.shared.reader(scope, self._first_exposures(scope)) if len(ranges) == 1 else None
            aggregation = VariantAggregation(
                connection,
                scope,
                metrics,
                sensitive,
                self_check,
                identities,
                self._artifact_parameters(scope),
                partial(once._reading_parameters, connection, scope),  # noqa: SLF001 - of this class
                ranges,
                shared,
            )
            question = (metrics, sensitive, self_check, scope.partition_key, scope.multiple_exposures, scope.audience)
            asked = Asked(digest_of((question, identities)), rows_digest(self._first_exposures(scope)))
            refresh = once._totals_refresh(connection, scope, aggregation.wanted, asked, mode)  # noqa: SLF001 - the same
            rows, report = refresh.rows(aggregation.rows)
            sql = aggregation.sql
        self._require_same(scope)
        refresh.publish()
        report = replace(report, shared=None if shared is None else shared.scan)
        return Frame(rows=frame_of("variant_aggregates", rows), sql=sql, refresh=report)

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
            total = sum(identities.values())
            if not total:
                return None

            def scan(hashes: dict[str, int]) -> EventScan:
                exposures = {**self._artifact_parameters(scope), **hashes}
                events = partial(self._reading_parameters, connection, scope, hashes)
                return EventScan(connection, exposures, events, list(identities))

            return previewed(scope, metric, total, list(map(scan, ranges_of(total))), on_identities)

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
                ranges=ranges_of,
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

    def _totals_refresh(
        self,
        connection: duckdb.DuckDBPyConnection,
        scope: AnalysisScope,
        wanted: Sequence[Reading],
        asked: Asked,
        mode: RefreshMode,
    ) -> TotalsRefresh:
        before = max((reading.before for reading in wanted), default=timedelta())
        widest = replace(scope, window=replace(scope.window, started_at=scope.window.started_at - before))

        def has_entering(known: Known) -> bool:
            events = self._event_parameters(connection, widest)
            return known.has_entering(connection, {each.name for each in wanted}, events)

        return TotalsRefresh(
            TotalsStore(self.artifacts, scope.partition_key, scope.phase),
            self._known_scope(widest, scope.environment_key),
            scope,
            wanted,
            asked,
            partial(earlier_refresh.obstacle, self.event_files, widest),
            partial(earlier_refresh.identities_of_removed, connection, self.event_files, widest),
            has_entering,
            self.refreshes,
            mode,
        )

    def _planned(self, connection: duckdb.DuckDBPyConnection, wanted: WantedAggregates) -> shared_scan.PlannedAnalysis:
        read, path = shared_scan.readings_alike(wanted.metrics), self._first_exposures(wanted.scope)
        refresh = self._totals_refresh(connection, wanted.scope, read, NOTHING_ASKED, wanted.mode)
        return shared_scan.PlannedAnalysis.of(wanted.scope, path, refresh.planned())

    def _known_scope(self, scope: AnalysisScope, definitions: object) -> KnownScope:
        history = self.event_files(scope.environment_key, scope.window, scope.data_version).history
        return KnownScope.of(scope, code_version=code_version(), definitions=digest_of(definitions), history=history)

    @contextmanager
    def _session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")  # buckets start in UTC (X4); not settable before connecting
            yield connection

    def _artifact_parameters(self, scope: AnalysisScope) -> dict[str, Any]:
        return {**self._stored(scope), "exclude_quarantined": scope.multiple_exposures is MultipleExposures.EXCLUDE}

    def _stored(self, scope: AnalysisScope) -> dict[str, Any]:
        return {FIRST_EXPOSURES: [readable(self._first_exposures(scope))]}

    def _first_exposures(self, scope: AnalysisScope) -> StoragePath:
        return self.artifacts.existing(FIRST_EXPOSURES, scope.partition_key, scope.phase)

    def _opening_the_lake_once(self) -> Self:
        """Return the same engine for one call: to open the lake again takes longer than to read few new events."""
        return replace(self, event_files=cache(self.event_files))

    def _reading_parameters(
        self, connection: duckdb.DuckDBPyConnection, scope: AnalysisScope, hashes: dict[str, int], reading: Reading
    ) -> dict[str, Any]:
        """Return the parameters of one kind of event; those of a pre-period come from before the window."""
        since = replace(scope.window, started_at=scope.window.started_at - reading.before)
        return {**self._event_parameters(connection, replace(scope, window=since)), **hashes, "event": reading.name}

    def _event_parameters(self, connection: duckdb.DuckDBPyConnection, scope: AnalysisScope) -> dict[str, Any]:
        files = self.event_files(scope.environment_key, scope.window, scope.data_version)
        return {
            **file_parameters(files if files.events else no_event_files(connection, self.artifacts.root)),
            "started_at": scope.window.started_at,
            "as_of": scope.window.as_of,
            "data_version": scope.data_version,
        }
