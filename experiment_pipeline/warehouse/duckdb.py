"""The embedded engine: DuckDB in memory over the lake's Parquet files, one artifact file per partition.

No database file: a DuckDB file locks out every second process. A connection lives as long as one call.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, TypeAlias

import duckdb
import numpy as np
import polars as pl
from arro3.core import RecordBatch, RecordBatchReader, Table
from numpy.typing import NDArray

from experiment_pipeline.artifacts import ArtifactStore, Stamp, code_version, read_stamp, replacing
from experiment_pipeline.events import EXPOSURE_EVENT
from experiment_pipeline.experiments import Metric, MultipleExposures
from experiment_pipeline.exposures import Window
from experiment_pipeline.frames import frame_of
from experiment_pipeline.warehouse.base import AnalysisScope, FirstExposures, Frame
from experiment_pipeline.warehouse.tally import OF_VALUES, Moments, Population, Tally

FIRST_EXPOSURES = "first_exposures"
MOST_IDENTITIES = 4_000_000  # tallied at once, in some 500 MB; more are tallied range by range of their hashes
PIECE = 1_000_000  # events that are tallied in one go
AT_ONCE = 2  # looks at events, so that one is read while another is tallied
ANALYSED_IDENTITIES, MEASURED_EVENTS = "analysed_identities", "measured_events"
NO_EVENTS = "no_events"  # DuckDB refuses an empty list of files: an empty lake reads this empty one

NOBODY = (np.empty(0, np.int64),) * 3
Connect: TypeAlias = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]
EventFiles: TypeAlias = Callable[[str, Window], list[str]]


class KeptConnection:
    """One connection for the calls of a run: opening one takes longer than what a small experiment asks.

    A call that fails takes the connection with it, so that the next one does not suffer for it (rule R7).
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._kept = ExitStack()
        self._connection: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def __call__(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if self._connection is None:
            self._connection = self._kept.enter_context(self._connect())
        try:
            yield self._connection
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """The next call opens another."""
        self._connection = None
        self._kept.close()


@dataclass(frozen=True, slots=True)
class DuckDBWarehouse:
    """Implements `Warehouse`.

    connect:     opens one in-memory connection, its limits set
    event_files: the files of one environment (and of no other) that may hold events of a window, of one pinned snapshot
    artifacts:   where `first_exposures` lies
    """

    connect: Connect
    event_files: EventFiles
    artifacts: ArtifactStore

    def write_first_exposures(self, scope: AnalysisScope) -> FirstExposures:
        target = self.artifacts.path(FIRST_EXPOSURES, scope.partition_key)
        sql = statement("first_exposures")
        stamp = Stamp(scope.partition_key, scope.window, scope.data_version, code_version(), sql)
        with self._session() as connection, replacing(target) as temporary:
            parameters = {
                **self._event_parameters(connection, scope),
                "exposure_event": EXPOSURE_EVENT,
                "feature": scope.feature,
                "target": str(temporary),
                "stamp": stamp.to_json(),
            }
            connection.execute(sql, parameters)
            summary = connection.execute(
                statement("first_exposures_summary"), {FIRST_EXPOSURES: [str(temporary)]}
            ).fetchone()
        identities, quarantined = summary or (0, 0)
        return FirstExposures(identities=identities, quarantined=quarantined, sql=sql)

    def stamp(self, partition_key: str) -> Stamp:
        return read_stamp(self.artifacts.existing(FIRST_EXPOSURES, partition_key))

    def exposure_buckets(self, scope: AnalysisScope) -> Frame:
        sql = statement("exposure_buckets")
        parameters = {**self._artifact_parameters(scope), "granularity": scope.window.granularity.value}
        with self._session() as connection:
            return Frame(rows=_frame(connection.sql(sql, params=parameters)), sql=sql)

    def variant_aggregates(self, scope: AnalysisScope, metrics: tuple[Metric, ...]) -> Frame:
        sql = f"{statement(ANALYSED_IDENTITIES)};\n{statement(MEASURED_EVENTS)}"
        if not metrics:
            return Frame(rows=frame_of("variant_aggregates", []), sql=sql)
        found: dict[tuple[int, str], Moments] = {}
        with self._session() as connection, ThreadPoolExecutor(AT_ONCE) as pool:
            identities = self._identities(connection, scope)
            measures = _measures(metrics)
            exposures, events = self._artifact_parameters(scope), self._event_parameters(connection, scope)
            for hashes in _ranges(sum(identities.values())):
                look = Look(connection, {**exposures, **hashes}, {**events, **hashes}, list(identities))
                for part in pool.map(look.moments, measures):
                    found |= {key: found[key].merge(new) if key in found else new for key, new in part.items()}
        rows = [_row(*key, identities[key[1]], found[key]) for key in sorted(found)]
        return Frame(rows=frame_of("variant_aggregates", rows), sql=sql)

    def variant_identities(self, scope: AnalysisScope) -> dict[str, int]:
        with self._session() as connection:
            return self._identities(connection, scope)

    def _identities(self, connection: duckdb.DuckDBPyConnection, scope: AnalysisScope) -> dict[str, int]:
        """By variant, in the order of their keys."""
        return dict(connection.execute(statement("variant_identities"), self._artifact_parameters(scope)).fetchall())

    @contextmanager
    def _session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")  # buckets start in UTC (X4); not settable before connecting
            yield connection

    def _artifact_parameters(self, scope: AnalysisScope) -> dict[str, Any]:
        return {
            FIRST_EXPOSURES: [str(self.artifacts.existing(FIRST_EXPOSURES, scope.partition_key))],
            "exclude_quarantined": scope.multiple_exposures is MultipleExposures.EXCLUDE,
        }

    def _event_parameters(self, connection: duckdb.DuckDBPyConnection, scope: AnalysisScope) -> dict[str, Any]:
        return {
            "event_files": self.event_files(scope.environment_key, scope.window) or [self._no_events(connection)],
            "started_at": scope.window.started_at,
            "as_of": scope.window.as_of,
            "data_version": scope.data_version,
        }

    def _no_events(self, connection: duckdb.DuckDBPyConnection) -> str:
        path = self.artifacts.root / f"{NO_EVENTS}.parquet"
        if not path.exists():
            with replacing(path) as temporary:
                connection.execute(statement(NO_EVENTS), {"target": str(temporary)})
        return str(path)


def _frame(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    # Through arro3, which deltalake brings: a frame that Polars takes from DuckDB's own stream keeps DuckDB's types
    # alive, and the interpreter then ends with a page of leak warnings.
    return pl.DataFrame(Table.from_arrow(relation))


def _ranges(identities: int) -> Iterator[dict[str, int]]:
    """Hashes spread evenly: ranges of them that hold about `MOST_IDENTITIES` each."""
    ranges = max(1, -(-identities // MOST_IDENTITIES))
    bounds = [number * 2**64 // ranges - 2**63 for number in range(ranges + 1)]
    for lowest, beyond in pairwise(bounds):
        yield {"lowest_hash": lowest, "highest_hash": beyond - 1}


@dataclass(frozen=True, slots=True)
class Measure:
    """Metrics of one event and conversion window: one look at the events serves them all."""

    event: str
    window_us: int | None
    metrics: tuple[Metric, ...]

    @property
    def with_values(self) -> bool:
        """Whether any of them needs the events' values."""
        return any(metric.aggregation in OF_VALUES for metric in self.metrics)


def _measures(metrics: Iterable[Metric]) -> list[Measure]:
    sharing: defaultdict[tuple[str, timedelta | None], list[Metric]] = defaultdict(list)
    for metric in metrics:
        sharing[metric.event, metric.window].append(metric)
    return [
        Measure(event, None if window is None else window // timedelta(microseconds=1), tuple(members))
        for (event, window), members in sharing.items()
    ]


class Look:
    """One look at the events of identities whose hashes lie in a range.

    exposures, events: parameters of the statements that read them
    variants:          in the order of their arms
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        exposures: dict[str, Any],
        events: dict[str, Any],
        variants: list[str],
    ) -> None:
        self._connection, self._events, self._variants = connection, events, variants
        rows = connection.sql(statement(ANALYSED_IDENTITIES), params={**exposures, "variants": variants})
        hashes, exposed_at, arms = next(_pieces(rows), NOBODY)
        self._population = Population(hashes, exposed_at, arms, len(variants))

    def moments(self, measure: Measure) -> dict[tuple[int, str], Moments]:
        """Of every metric of the measure in every variant, by metric id and variant; threads may ask at once."""
        tally = Tally.of(self._population, measure.window_us)
        parameters = {**self._events, "event": measure.event}
        with self._connection.cursor() as cursor:
            rows = cursor.sql(statement(MEASURED_EVENTS), params=parameters)
            columns = rows.columns if measure.with_values else rows.columns[:2]
            for piece in _pieces(rows.select(*columns), at_least=PIECE):
                tally.add(*piece)
        return {
            (metric.id, variant): moments
            for metric in measure.metrics
            for variant, moments in zip(self._variants, tally.moments(metric.aggregation), strict=True)
        }


def _pieces(rows: duckdb.DuckDBPyRelation, at_least: float = math.inf) -> Iterator[tuple[NDArray[Any], ...]]:
    """The columns of so many rows at a time, or of all at once; nothing where there are none."""
    batches = iter(RecordBatchReader.from_stream(rows))
    while piece := _take(batches, at_least):
        yield tuple(
            np.concatenate([batch.column(column).to_numpy() for batch in piece])
            for column in range(piece[0].num_columns)
        )


def _take(batches: Iterator[RecordBatch], at_least: float) -> list[RecordBatch]:
    taken: list[RecordBatch] = []
    rows = 0
    while rows < at_least and (batch := next(batches, None)) is not None:
        taken.append(batch)
        rows += batch.num_rows
    return taken


def _row(metric_id: int, variant: str, n: int, moments: Moments) -> dict[str, object]:
    """Mean and m2 are null where either is too large for a double."""
    aggregate = moments.aggregate
    return {
        "metric_id": metric_id,
        "variant": variant,
        "n": n,
        "mean": aggregate and aggregate.mean,
        "m2": aggregate and aggregate.m2,
        "invalid_values": moments.invalid_values,
    }


@cache
def statement(stage: str) -> str:
    """The SQL of one stage, named after it."""
    return files("experiment_pipeline.warehouse").joinpath("sql", "duckdb", f"{stage}.sql").read_text("utf-8")
