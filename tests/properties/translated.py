"""The reference's experiments and metrics in the package's own nouns, and its landing objects in a real lake."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.audience import Audience, Dimension
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus, MultipleExposures, Variant, VariantRole
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.measures import (
    Aggregation,
    Bound,
    Condition,
    Events,
    Measure,
    MeasureWindow,
    Missing,
    Operator,
)
from experiment_pipeline.domain.metrics import (
    AttachedMetric,
    Direction,
    ExpectedDirection,
    Funnel,
    Maturity,
    Mean,
    Metric,
    Quantile,
    Ratio,
    Retention,
    Statistic,
)
from experiment_pipeline.domain.phases import EndedPhase
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse
from tests.lake.ledger import NOW, MemoryLedger
from tests.reference import exposures, metrics
from tests.reference.events import LandingObject
from tests.strategies import ENVIRONMENTS

PARTITION = "checkout-1"


@contextmanager
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as opened:
        yield opened


def warehouse_of(batches: Sequence[Sequence[LandingObject]], folder: Path) -> DuckDBWarehouse:
    """The engine over a lake that has ingested these objects, batch by batch, from a real landing zone."""
    lake, ledger = Lake(folder / "lake"), MemoryLedger(known_environments=set(ENVIRONMENTS))
    for batch in batches:
        for landed in batch:
            path = folder / "landing" / landed.name
            path.parent.mkdir(parents=True, exist_ok=True)
            if landed.source is None:
                path.write_bytes(landed.content)
            else:
                write_rows(landed, path)
        ingest(lake, ledger, folder / "landing", NOW)
    return DuckDBWarehouse(connection, lake.event_files, ArtifactStore(folder / "artifacts"))


def write_rows(landed: LandingObject, path: Path) -> None:
    """Write a source's object as a Parquet file that arrived when it says."""
    records = [json.loads(line) for line in landed.content.splitlines()]
    for record in records:
        record["traits"] = record.get("traits") and json.dumps(record["traits"])
    rows = pl.DataFrame(records, infer_schema_length=None)
    if landed.cursors:
        rows = rows.with_columns(source_cursor=pl.Series(landed.cursors))
    rows.write_parquet(path)
    os.utime(path, (landed.landed_at.timestamp(),) * 2)


def experiment_of(described: exposures.Experiment) -> tuple[Experiment, AnalysisScope]:
    """An experiment of the reference, and the scope of one run of it."""
    experiment = Experiment(
        id=1,
        environment_key=described.environment_key,
        key="checkout",
        partition_key=PARTITION,
        name="Checkout",
        feature=described.feature,
        status=ExperimentStatus.RUNNING,
        variants=tuple(Variant(v.key, VariantRole(v.role), v.percentage_allocation) for v in described.variants),
        metrics=tuple(
            AttachedMetric(metric_of(metric, described.environment_key), ExpectedDirection(metric.expected))
            for metric in described.metrics
        ),
        ignored_variants=tuple(described.ignored_variants),
        started_at=described.started_at,
        phase=described.phase,
        ended_phases=tuple(
            EndedPhase(number, start, end, tuple(v.percentage_allocation for v in described.variants))
            for number, (start, end) in enumerate(described.earlier_phases, start=1)
        ),
    )
    scope = AnalysisScope(
        partition_key=PARTITION,
        environment_key=described.environment_key,
        feature=described.feature,
        window=Window(described.started_at, described.as_of),
        data_version=described.data_version,
        multiple_exposures=MultipleExposures(described.multiple_exposures),
        variants=experiment.compared_keys,
        audience=_audience_of(described),
        phase=described.phase,
    )
    return experiment, scope


def _audience_of(described: exposures.Experiment) -> Audience:
    return Audience(
        only=conditions_of(described.only),
        exclude_identifiers=tuple(described.exclude_identifiers),
        entry=None if described.entry is None else events_of(described.entry),
        dimensions=tuple(Dimension(name, trait) for name, trait in described.dimensions.items()),
        cross=tuple(described.cross),
    )


def metric_of(described: metrics.Metric, environment_key: str) -> Metric:
    """A metric of the reference."""
    return Metric(
        id=described.id,
        environment_key=environment_key,
        name=str(described.id),
        statistic=statistic_of(described.statistic),
        direction=Direction(described.direction),
        maturity=Maturity.COMPLETE if described.complete else Maturity.ALL,
        version=described.version,
    )


def statistic_of(described: metrics.Statistic) -> Statistic:
    """A statistic of the reference."""
    match described:
        case metrics.Mean(measure, before):
            return Mean(measure_of(measure), covariate_before=before)
        case metrics.Ratio(numerator, denominator):
            return Ratio(measure_of(numerator), measure_of(denominator))
        case metrics.Quantile(q, of):
            return Quantile(q, events_of(of) if isinstance(of, metrics.Events) else measure_of(of))
        case metrics.Retention(measure):
            return Retention(measure_of(measure))
        case metrics.Funnel(steps, within):
            return Funnel(tuple(map(events_of, steps)), within)


def measure_of(described: metrics.Measure) -> Measure:
    """A measure of the reference."""
    return Measure(
        events=events_of(described.events),
        aggregation=Aggregation(described.aggregation),
        missing=Missing.ZERO if described.zero_if_missing else Missing.LEFT_OUT,
        cap=_bound_of(described.cap),
        floor=_bound_of(described.floor),
        slice_by=described.slice_by,
    )


def events_of(described: metrics.Events) -> Events:
    """The events that a measure of the reference counts."""
    return Events(described.name, conditions_of(described.where), MeasureWindow(described.start, described.end))


def conditions_of(described: Iterable[metrics.Condition]) -> tuple[Condition, ...]:
    """Conditions of the reference."""
    return tuple(Condition(one.field, Operator(one.operator), one.operand) for one in described)


def _bound_of(described: metrics.Bound | None) -> Bound | None:
    return None if described is None else Bound(described.at, described.percentile, described.of_nonzero)
