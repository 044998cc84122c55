"""Late analysis: what late events changed since an earlier look, identity by identity, whatever the metrics are.

Late events lie in files with new batches and old times, which the files' statistics tell: where there are none, nothing
else is read. Where there are some, all events of the identities that have them are put into one small file. Of it two
analyses are made as of the earlier look, one at its data version and one at the present one, and compared.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from glob import escape
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.domain.looks import LateAnalysis
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.warehouse.artifacts import Stamp
from experiment_pipeline.warehouse.duckdb.event_scan import EventScan
from experiment_pipeline.warehouse.duckdb.first_exposures import Parameters, first_exposures_statement
from experiment_pipeline.warehouse.duckdb.late_identities import (
    histories_statement,
    late_statement,
    may_lose_events,
    removed_statement,
)
from experiment_pipeline.warehouse.duckdb.metric_aggregation import EPOCH
from experiment_pipeline.warehouse.duckdb.metric_values import MetricValues, metric_values
from experiment_pipeline.warehouse.duckdb.population import Integers, Population
from experiment_pipeline.warehouse.duckdb.readings import MICROSECOND, Reading, readings
from experiment_pipeline.warehouse.duckdb.statements import statement
from experiment_pipeline.warehouse.duckdb.visible_events import OPTIONAL, REMOVALS, over_visible

READ_OF_ALL = ("identity_hash", "event", "feature_name", "timestamp", "batch", "value", "numeric_value")
Ranges = Callable[[int], Iterable[dict[str, int]]]


@dataclass(frozen=True)
class LateComparison:
    """One comparison of an analysis with that of an earlier look.

    Attributes:
        connection: for all its queries.
        folder: for its files; empty.
        now: the present analysis.
        known: the one of the earlier look.
        exposures: parameters of the statements that read the present first exposures.
        events: returns the parameters of the statements that read the events of a scope.
        variants: the compared ones that were seen, in the order of their keys.
        metrics: that both analyses have.
        ranges: returns ranges of hashes that so many identities are compared by.
    """

    connection: duckdb.DuckDBPyConnection
    folder: Path
    now: AnalysisScope
    known: AnalysisScope
    exposures: Parameters
    events: Callable[[AnalysisScope], Parameters]
    variants: list[str]
    metrics: Sequence[Metric]
    ranges: Ranges

    def found(self) -> LateAnalysis:
        """Return how the two differ."""
        late = self._write("late", late_statement(self._wanted), self._wanted)
        late_events = late and self._sum_of_late_events()
        removed = late and self._removed_events()
        new = self._first(statement("new_identities"), self._of_late)
        moved = late and self._write("moved", statement("moved_identities"), self._of_late)
        if not moved:
            return LateAnalysis(late_events, new, 0, removed)
        self._write("histories", self._histories_statement(), {**self._wanted, "moved": self._file("moved")})
        self._write_known_exposures()
        kept, restated = 0, 0
        for hashes in self.ranges(moved):
            both = _Both.of(self._analysis("known", self.known, hashes), self._analysis("moved", self.now, hashes))
            kept += len(both)
            restated += both.restated()
        return LateAnalysis(late_events, new + moved - kept, restated, removed)

    @cached_property
    def _wanted(self) -> Parameters:
        """The parameters that choose events: what both analyses read, each kind from its own time on."""
        started_at, entry = self.now.window.started_at, self.now.audience.entry
        since = {EXPOSURE_EVENT: started_at} | ({} if entry is None else {entry.name: started_at})
        for reading in self._readings:
            since[reading.name] = started_at - reading.before
        widest = replace(self.now.window, started_at=min(since.values()))
        self.events(replace(self.known, window=widest))  # refuses where rows that the earlier look saw were dropped
        parameters = self.events(replace(self.now, window=widest))
        return {
            **{name: parameters[name] for name in ("event_files", *OPTIONAL) if name in parameters},
            "data_version": self.now.data_version,
            "known_data_version": self.known.data_version,
            "known_as_of": self.known.window.as_of,
            "exposure_event": EXPOSURE_EVENT,
            "feature": self.now.feature,
            "events": list(since),
            "since": list(since.values()),
        }

    @property
    def _analysed(self) -> Parameters:
        """The parameters that choose identities: those of the present analysis, around the earlier as-of."""
        return {**self.exposures, "variants": self.variants, "known_as_of": self.known.window.as_of}

    @property
    def _readings(self) -> list[Reading]:
        return readings((metric, None) for metric in self.metrics)

    @property
    def _of_late(self) -> Parameters:
        return {**self._analysed, "late": self._file("late"), "at_any_time": may_lose_events(self._wanted)}

    def _histories_statement(self) -> str:
        """Return the SQL of all events of some identities, with null in the columns that no statement reads."""
        audience = self.now.audience
        chosen = [*(where for metric in self.metrics for where in metric.events), *filter(None, [audience.entry])]
        reads_properties = audience.reads_properties or any(events.where for events in chosen)
        is_read = {
            ("identifier", "varchar"): bool(audience.exclude_identifiers),
            ("traits", "varchar"): reads_properties,
            ("metadata", "varchar"): reads_properties,
            ("event_hash_high", "bigint"): audience.reads_properties or REMOVALS in self._wanted,
            ("event_hash_low", "bigint"): audience.reads_properties or REMOVALS in self._wanted,
        }
        columns = [*READ_OF_ALL]
        columns += [name if read else f"null::{kind} as {name}" for (name, kind), read in is_read.items()]
        return f"select {', '.join(columns)}\nfrom (\n{histories_statement(self._wanted)})"

    def _write(self, name: str, sql: str, parameters: Parameters) -> int:
        """Write the rows of a statement to a file of the folder; return how many they are."""
        bound = {key: value for key, value in parameters.items() if f"${key}" in sql}
        target = {"target": str(self.folder / f"{name}.parquet")}
        return self._first(f"copy (\n{sql}\n) to $target (format parquet)", {**bound, **target})

    def _file(self, name: str) -> list[str]:
        return [escape(str(self.folder / f"{name}.parquet"))]

    def _first(self, sql: str, parameters: Parameters) -> int:
        (found,) = self.connection.execute(sql, parameters).fetchone() or (0,)
        return int(found)

    def _sum_of_late_events(self) -> int:
        return self._first("select sum(events) from read_parquet($late)", {"late": self._file("late")})

    def _removed_events(self) -> int:
        if REMOVALS not in self._wanted:
            return 0
        sql = removed_statement()
        return self._first(sql, {key: value for key, value in self._wanted.items() if f"${key}" in sql})

    def _write_known_exposures(self) -> None:
        """Write the first exposures of the same identities, as the earlier look knew them."""
        sql, of_audience = first_exposures_statement(self.known.audience)
        parameters = {
            **self._of_histories(self.known, timedelta(0)),
            **of_audience,
            "exposure_event": EXPOSURE_EVENT,
            "feature": self.known.feature,
            "target": str(self.folder / "known.parquet"),
            "stamp": Stamp.of(self.known, sql).to_json(),
        }
        self.connection.execute(*over_visible(sql, parameters))

    def _of_histories(self, scope: AnalysisScope, before: timedelta) -> dict[str, Any]:
        """Return the parameters of the statements that read events, up to the earlier as-of, from the small file."""
        return {
            **{name: self._wanted[name] for name in OPTIONAL if name in self._wanted},
            "event_files": self._file("histories"),
            "started_at": scope.window.started_at - before,
            "as_of": self.known.window.as_of,
            "data_version": scope.data_version,
        }

    def _analysis(self, exposures: str, scope: AnalysisScope, hashes: dict[str, int]) -> "_Analysis":
        """Return the identities of a range, and what every metric comes to, as of the earlier look."""

        def events(reading: Reading) -> dict[str, Any]:
            return {**self._of_histories(scope, reading.before), **hashes, "event": reading.name}

        artifact = {**self.exposures, "first_exposures": self._file(exposures), **hashes}
        scanned = EventScan(self.connection, artifact, events, self.variants).scanned(self._readings)
        as_of_us = (self.known.window.as_of - EPOCH) // MICROSECOND
        values = [metric_values((metric, None), scanned.population, scanned.kept, as_of_us) for metric in self.metrics]
        return _Analysis(scanned.population, values)


@dataclass(frozen=True, slots=True)
class _Analysis:
    population: Population
    values: list[MetricValues]


@dataclass(frozen=True, slots=True)
class _Both:
    """The identities that two analyses have in common, by their numbers in each."""

    known: _Analysis
    now: _Analysis
    of_known: Integers
    of_now: Integers

    @classmethod
    def of(cls, known: _Analysis, now: _Analysis) -> "_Both":
        """Return what two analyses have in common."""
        hashes = known.population.identity_hash, now.population.identity_hash
        _, of_known, of_now = np.intersect1d(*hashes, assume_unique=True, return_indices=True)
        return cls(known, now, of_known, of_now)

    def __len__(self) -> int:
        return len(self.of_known)

    def restated(self) -> int:
        """Return how many of them have another first exposure, start, variant or value."""
        changed = np.zeros(len(self), bool)
        for one, other in self._pairs():
            changed |= one != other
        for known, now in zip(self.known.values, self.now.values, strict=True):
            changed |= self._has_other_value(known, now)
        return int(np.count_nonzero(changed))

    def _pairs(self) -> Iterator[tuple[Integers, Integers]]:
        one, other = self.known.population, self.now.population
        yield one.arm[self.of_known], other.arm[self.of_now]
        yield one.starts_at[self.of_known], other.starts_at[self.of_now]
        yield one.first_exposed_at(self.of_known), other.first_exposed_at(self.of_now)

    def _has_other_value(self, known: MetricValues, now: MetricValues) -> NDArray[np.bool_]:
        """Return whether the value of each differs; not of those that the earlier look did not count yet (rule M8)."""
        changed: NDArray[np.bool_] = known.y[self.of_known] != now.y[self.of_now]
        for one, other in ((known.x, now.x), (known.has_value, now.has_value)):
            if one is not None and other is not None:
                changed |= one[self.of_known] != other[self.of_now]
        if known.mature is not None:
            changed &= known.mature[self.of_known]
        return changed
