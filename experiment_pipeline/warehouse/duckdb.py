"""The embedded engine: DuckDB in memory over the lake's Parquet files, one artifact file per partition.

No database file: a DuckDB file locks out every second process. A connection lives as long as one call.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

import duckdb
import polars as pl
from arro3.core import Table

from experiment_pipeline.artifacts import ArtifactStore, Stamp, code_version, read_stamp, replacing
from experiment_pipeline.events import EXPOSURE_EVENT
from experiment_pipeline.experiments import Aggregation, Metric, MultipleExposures
from experiment_pipeline.exposures import Window
from experiment_pipeline.frames import frame_of
from experiment_pipeline.warehouse.base import AnalysisScope, FirstExposures, Frame

FIRST_EXPOSURES = "first_exposures"
NUMBERED_IDENTITIES_BITS = (
    22  # up to 4 million identities are grouped in an array, some 200 MB a thread; more are hashed
)
OF_VALUES = (Aggregation.SUM, Aggregation.MEAN)
NO_EVENTS = "no_events"  # DuckDB refuses an empty list of files: an empty lake reads this empty one

Connect: TypeAlias = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]
EventFiles: TypeAlias = Callable[[str, Window], list[str]]


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
        parameters = {**self._artifact_parameters(scope), "granularity": scope.window.granularity.value}
        return self._frame("exposure_buckets", parameters)

    def variant_aggregates(self, scope: AnalysisScope, metrics: tuple[Metric, ...]) -> Frame:
        prepare, measure = (statement("population"), statement("analysed")), statement("variant_aggregates")
        frames = [frame_of("variant_aggregates", [])]
        with self._session() as connection:
            connection.execute(f"set perfect_ht_threshold = {NUMBERED_IDENTITIES_BITS}")
            for sql in prepare:
                connection.execute(sql, self._artifact_parameters(scope))
            events = self._event_parameters(connection, scope)
            frames += [_frame(connection.sql(measure, params={**events, **each})) for each in _measures(metrics)]
        return Frame(rows=pl.concat(frames).sort("metric_id", "variant"), sql=";\n".join((*prepare, measure)))

    def variant_identities(self, scope: AnalysisScope) -> dict[str, int]:
        rows = self._frame("variant_identities", self._artifact_parameters(scope)).rows
        return dict(rows.iter_rows())

    @contextmanager
    def _session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")  # buckets start in UTC (X4); not settable before connecting
            yield connection

    def _frame(self, stage: str, parameters: dict[str, object]) -> Frame:
        sql = statement(stage)
        with self._session() as connection:
            return Frame(rows=_frame(connection.sql(sql, params=parameters)), sql=sql)

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


def _measures(metrics: Iterable[Metric]) -> Iterator[dict[str, object]]:
    """Statement parameters for the metrics that one look at their event serves: those of one conversion window."""
    sharing: defaultdict[tuple[str, timedelta | None], list[Metric]] = defaultdict(list)
    for metric in metrics:
        sharing[metric.event, metric.window].append(metric)
    for (event, window), members in sharing.items():
        yield {
            "event": event,
            "window_ms": None if window is None else window // timedelta(milliseconds=1),
            "with_values": any(metric.aggregation in OF_VALUES for metric in members),
            "metrics": [{"metric_id": metric.id, "aggregation": metric.aggregation.value} for metric in members],
        }


@cache
def statement(stage: str) -> str:
    """The SQL of one stage, named after it."""
    return files("experiment_pipeline.warehouse").joinpath("sql", "duckdb", f"{stage}.sql").read_text("utf-8")
