"""A warehouse as the engine of refreshes: the protocol `Warehouse` over the analysis in place (N1, N3-N5, N10)."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import polars as pl
from typing_extensions import override

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.errors import ArtifactMissing, ConfigurationError, ExperimentPipelineError, Superseded
from experiment_pipeline.storage.locks import exclusive
from experiment_pipeline.warehouse.artifacts import ArtifactStore, Stamp, StampedFrame, read_stamp, write_frame
from experiment_pipeline.warehouse.base import Capabilities, FirstExposures, Frame, InPlace, RowCounts, Warehouse
from experiment_pipeline.warehouse.costs import Cost
from experiment_pipeline.warehouse.ibis.exposure_tables import ExposureTable
from experiment_pipeline.warehouse.ibis.first_exposures import StoredScope
from experiment_pipeline.warehouse.ibis.in_place import InPlaceAnalysis, open_engine
from experiment_pipeline.warehouse.limits import WarehouseLimits
from experiment_pipeline.warehouse.refreshes import RefreshMode, RefreshReport

FIRST_EXPOSURES = "first_exposures"
ALL_READ = RefreshReport("events are analysed where they lie")
NO_ROWS = pl.DataFrame(schema={"identifier": pl.String})


@dataclass(frozen=True, slots=True)
class IbisWarehouse(Warehouse, InPlace):
    """One connection to a warehouse. Rows of identities stay there; here is only what they were computed from.

    Attributes:
        analysis: of events where they lie.
        artifacts: where the provenance of first exposures is stored, in a file without a row.
        limits: of statements.
        costs: of the statements since first exposures were computed last, by partition.
    """

    analysis: InPlaceAnalysis
    artifacts: ArtifactStore
    limits: WarehouseLimits
    costs: dict[str, list[Cost]] = field(default_factory=dict)

    @classmethod
    def open(cls, url: ConnectionUrl, artifacts: ArtifactStore, limits: WarehouseLimits) -> "IbisWarehouse":
        """Connect to the warehouse of a URL.

        Raises:
            ConfigurationError: no engine has its scheme, or the server refuses the account.
            SourceUnreachable: the server does not answer.
        """
        return cls(InPlaceAnalysis(open_engine(url, limits), limits), artifacts, limits)

    @property
    def is_open(self) -> bool:
        """Whether the connection can still be used."""
        return self.analysis.engine.is_open()

    def close(self) -> None:
        """End the connection."""
        self.analysis.engine.close()

    @property
    @override
    def capabilities(self) -> Capabilities:
        return Capabilities(self.analysis.engine.dialect.name, in_place=self)

    @property
    @override
    def settle(self) -> timedelta:
        return self.limits.settle

    @override
    def newest_version(self, environment_key: str, now: datetime) -> int | None:
        return self.analysis.newest_version(environment_key, now)

    @override
    def write_first_exposures(self, scope: AnalysisScope, mode: RefreshMode = RefreshMode.FULL) -> FirstExposures:
        self.costs.pop(scope.partition_key, None)
        select = self.analysis.exposures_statement(scope)
        with self._costed(scope) as costs:
            if self.limits.writes:
                identities, quarantined = self._store(scope, select)
            else:
                identities, quarantined = self.analysis.first_exposures(scope)
                self._replace_stamp(scope, Stamp.of(scope, select))
        return FirstExposures(identities, quarantined, select, ALL_READ, Cost.total(costs))

    def _store(self, scope: AnalysisScope, select: str) -> tuple[int, int]:
        """Store a new generation, let the stamp name it, and drop the earlier ones (rule N3).

        Raises:
            Superseded: a refresh that began later has stored its generation meanwhile.
        """
        tables, table = self.analysis.tables(scope), ExposureTable.new(scope, self.artifacts.root)
        try:
            tables.create(table, select)
            counted = self.analysis.first_exposures(StoredScope.of_table(scope, table.name))
            with self._switching(scope):
                self._require_newest(scope, table)
                self._replace_stamp(scope, replace(Stamp.of(scope, select), table=table.name))
        except BaseException as error:
            with suppress(ExperimentPipelineError):
                tables.drop(table)
            if isinstance(error, ConfigurationError):
                self._require_newest(scope, table)  # the later refresh may have dropped it at work
            raise
        tables.drop_earlier(table)
        return counted

    @contextmanager
    def _switching(self, scope: AnalysisScope) -> Iterator[None]:
        """Wait until no other process compares and replaces the stamp of the experiment."""
        target = self.artifacts.path(FIRST_EXPOSURES, scope.partition_key, scope.phase)
        with exclusive(target.parent, f".{target.name}.lock"):
            yield

    def _require_newest(self, scope: AnalysisScope, table: ExposureTable) -> None:
        """Raise Superseded where the stamp names a later generation."""
        with suppress(ArtifactMissing):
            named = self.stamp(scope.partition_key, scope.phase).table
            stored = None if named is None else ExposureTable.of_name(named)
            if stored is not None and stored.of == table.of and stored.generation > table.generation:
                raise Superseded("A refresh that began later has stored first exposures. Refresh again.")

    def _replace_stamp(self, scope: AnalysisScope, stamp: Stamp) -> None:
        target = self.artifacts.path(FIRST_EXPOSURES, scope.partition_key, scope.phase)
        write_frame(StampedFrame(NO_ROWS, stamp), target)

    @override
    def stamp(self, partition_key: str, phase: int = 1) -> Stamp:
        return read_stamp(self.artifacts.existing(FIRST_EXPOSURES, partition_key, phase))

    @override
    def exposure_buckets(self, scope: AnalysisScope) -> Frame:
        stored = self._stored(scope)
        with self._costed(scope) as costs:
            found = self.analysis.exposure_buckets(stored)
        return Frame(found.rows, found.sql, ALL_READ, Cost.total(costs))

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
        stored = self._stored(scope)
        with self._costed(scope) as costs:
            found = self.analysis.variant_aggregates(stored, metrics)
        return Frame(found.rows, found.sql, ALL_READ, Cost.total(costs))

    @override
    def variant_identities(self, scope: AnalysisScope, *, before_entry: bool = False) -> dict[str, int]:
        stored = self._stored(scope)
        with self._costed(scope):
            return self.analysis.variant_identities(stored, before_entry=before_entry)

    @override
    def row_counts(self, scope: AnalysisScope, events: Collection[str]) -> RowCounts:
        with self._costed(scope):
            return self.analysis.row_counts(scope, events)

    @override
    def cost(self, scope: AnalysisScope) -> Cost:
        return Cost.total(self.costs.get(scope.partition_key, []))

    @contextmanager
    def _costed(self, scope: AnalysisScope) -> Iterator[list[Cost]]:
        """Give the costs of the statements of the block, once it has ended, and keep them for `cost`."""
        before = len(self.analysis.costs)
        costs: list[Cost] = []
        try:
            yield costs
        finally:
            costs += self.analysis.costs[before:]
            self.costs.setdefault(scope.partition_key, []).extend(costs)

    def _stored(self, scope: AnalysisScope) -> AnalysisScope:
        """Return the scope with its table of first exposures, if they are stored.

        Raises:
            Superseded: the first exposures are of another window or data version (rule R5).
        """
        stamp = self.stamp(scope.partition_key, scope.phase)
        scope.require_same(stamp.window, stamp.data_version, stamp.installation)
        return scope if stamp.table is None else StoredScope.of_table(scope, stamp.table)
