"""Aggregation of the metrics of one analysis over all its identities: what is read, and the rows that it becomes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeAlias

import duckdb

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.audience import LARGEST_VALUES
from experiment_pipeline.domain.experiments import CONTROL, MultipleExposures
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.warehouse.duckdb.event_scan import EventScan, ScannedRange, identities_statement
from experiment_pipeline.warehouse.duckdb.first_exposures import DimensionGroups, Parameters, dimensions_of
from experiment_pipeline.warehouse.duckdb.metric_aggregation import MetricAggregation, Row, Sliced
from experiment_pipeline.warehouse.duckdb.population import hash_ranges
from experiment_pipeline.warehouse.duckdb.readings import Reading, readings, slice_values_statement
from experiment_pipeline.warehouse.duckdb.shared_scan import SharedReader
from experiment_pipeline.warehouse.duckdb.slices import slices_of
from experiment_pipeline.warehouse.duckdb.visible_events import over_visible

Hashes: TypeAlias = dict[str, int]
ReadingParameters: TypeAlias = Callable[[Hashes, Reading], dict[str, Any]]


@dataclass(frozen=True)
class VariantAggregation:
    """The aggregation of one analysis; `Warehouse.variant_aggregates` says what its rows are.

    Attributes:
        connection: for all its queries.
        identities: the number of those of each compared variant, in the order of the variants' keys.
        exposures: parameters of the statements that read the first exposures.
        events: returns the parameters of the statements that read the events of a range of hashes, for a reading.
        ranges: of hashes, one after another.
        shared: the events that several analyses share; None where all are read for this one.
    """

    connection: duckdb.DuckDBPyConnection
    scope: AnalysisScope
    metrics: tuple[Metric, ...]
    sensitive: Metric | None
    self_check: bool
    identities: dict[str, int]
    exposures: Parameters
    events: ReadingParameters
    ranges: Sequence[Hashes]
    shared: SharedReader | None = None

    def rows(self, scan_range: Callable[[EventScan, Hashes], ScannedRange]) -> list[Row]:
        """Return a row per metric, part and variant, given what scans one range of identities."""
        with MetricAggregation(
            self._sliced,
            self.scope.window.as_of,
            on_disk=len(self.ranges) > 1,
            sensitive=self.sensitive,
            self_check=self._split,
        ) as aggregation:
            for hashes in self.ranges:
                aggregation.add(scan_range(self._scan(hashes), hashes))
            return aggregation.rows(self._variants)

    @cached_property
    def wanted(self) -> list[Reading]:
        """The readings of the lake that its metrics take."""
        return readings(self._sliced)

    @property
    def sql(self) -> str:
        """The statements that read it, all of it."""
        identities = identities_statement(self._dimensions, self._policy)
        return ";\n".join([identities, *(reading.statement()[0] for reading in self.wanted)])

    def _scan(self, hashes: Hashes) -> EventScan:
        """Return the scan of one range.

        With a sensitive metric the identities that the other policy would analyse are there as a group of their own.
        """
        exposures, events = {**self.exposures, **hashes}, partial(self.events, hashes)
        return EventScan(
            self.connection, exposures, events, self._variants, self._dimensions, self._policy, self.shared
        )

    @property
    def _variants(self) -> list[str]:
        return list(self.identities)

    @property
    def _policy(self) -> MultipleExposures | None:
        return None if self.sensitive is None else self.scope.multiple_exposures

    @property
    def _split(self) -> tuple[int, str] | None:
        """The arm that is split in halves, and the seed of its splits."""
        if not self.self_check or CONTROL not in self._variants:
            return None
        return self._variants.index(CONTROL), self.scope.partition_key

    @cached_property
    def _dimensions(self) -> list[DimensionGroups]:
        """The dimensions of the scope with their largest values among the identities of these variants."""
        parameters = {**self.exposures, "variants": self._variants, "limit": LARGEST_VALUES}
        return [each.with_values_of(self.connection, parameters) for each in dimensions_of(self.scope.audience)]

    @cached_property
    def _sliced(self) -> list[Sliced]:
        return [each for metric in self.metrics for each in self._slices_of(metric)]

    def _slices_of(self, metric: Metric) -> Iterator[Sliced]:
        """Yield the metric as a whole, and its slices."""
        yield metric, None
        path = next((measure.slice_by for measure in metric.measures), None)
        if path is None:
            return
        (everything,) = hash_ranges(1)
        sql, parameters = slice_values_statement(metric, path)
        (reading,) = readings([(metric, None)])
        of_reading = {
            **self.events(everything, reading),
            **self.exposures,
            **parameters,
            "variants": self._variants,
        }
        found = self.connection.execute(*over_visible(sql, of_reading)).fetchall()
        yield from ((metric, each) for each in slices_of(path, [value for (value,) in found]))
