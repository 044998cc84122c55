"""First exposures, their buckets, and the exposures payload (rules X1-X7)."""

from collections.abc import Iterator

import dagster as dg

from experiment_pipeline.assets.made import Made, materialised
from experiment_pipeline.assets.metadata import provenance, short_table
from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.domain.exposures import ExposureBucket, summarise_exposures
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.resources.refresh_session import ExperimentRuns, OpenRun
from experiment_pipeline.resources.warehouse import WarehouseResource
from experiment_pipeline.results.payload import exposures_payload
from experiment_pipeline.warehouse.artifacts import StampedFrame
from experiment_pipeline.warehouse.base import Warehouse


def make_first_exposures(run: OpenRun, engine: Warehouse) -> Iterator[Made]:
    """The identity-level artifact; its rows stay in the engine."""
    written = engine.write_first_exposures(run.scope)
    yield Made(
        "first_exposures",
        {
            "identities": dg.MetadataValue.int(written.identities),
            "quarantined": dg.MetadataValue.int(written.quarantined),
            **provenance(run.stamp(written.sql)),
        },
    )


def make_exposures(run: OpenRun, engine: Warehouse) -> Iterator[Made]:
    """The buckets, and the published payload."""
    buckets = engine.exposure_buckets(run.scope)
    stamp = run.stamp(buckets.sql)
    yield Made(
        "exposure_buckets",
        {"rows": short_table(buckets.rows), **provenance(stamp)},
        StampedFrame(buckets.rows, stamp),
    )
    rows = (ExposureBucket(**row) for row in buckets.rows.iter_rows(named=True))
    summary = summarise_exposures(rows, run.scope.window.granularity)
    published = run.publish(Computation.EXPOSURES, exposures_payload(summary))
    yield Made(
        "exposures",
        {
            "identities": dg.MetadataValue.int(summary.identities),
            "excluded_identities": dg.MetadataValue.int(summary.excluded_identities),
            "final": dg.MetadataValue.bool(published.is_final),
            **provenance(stamp),
        },
    )


@dg.asset(partitions_def=EXPERIMENTS, deps=["events"], group_name="exposures", kinds={"duckdb", "parquet"})
def first_exposures(
    context: dg.AssetExecutionContext, runs: dg.ResourceParam[ExperimentRuns], warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[StampedFrame]]:
    """One row per identity: its first variant and time in the window, and whether it saw several variants."""
    with runs.open(context, Computation.EXPOSURES, Computation.RESULTS) as run:
        yield from materialised(make_first_exposures(run, warehouse.engine()))


@dg.multi_asset(
    partitions_def=EXPERIMENTS,
    group_name="exposures",
    deps=["first_exposures"],
    outs={
        "exposure_buckets": dg.AssetOut(
            dagster_type=StampedFrame,
            kinds={"duckdb", "polars"},
            description="New identities by hour or day and variant (rule X4).",
        ),
        "exposures": dg.AssetOut(
            dagster_type=dg.Nothing, kinds={"json"}, description="The exposures payload that the API serves (rule X7)."
        ),
    },
    internal_asset_deps={
        "exposure_buckets": {dg.AssetKey("first_exposures")},
        "exposures": {dg.AssetKey("exposure_buckets")},
    },
)
def exposures(
    context: dg.AssetExecutionContext, runs: dg.ResourceParam[ExperimentRuns], warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[StampedFrame]]:
    """Identities by bucket and variant, and the payload that the API serves."""
    engine = warehouse.engine()
    with runs.open(context, Computation.EXPOSURES, inherits=lambda: engine.stamp(context.partition_key)) as run:
        yield from materialised(make_exposures(run, engine))
