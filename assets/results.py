"""SRM, Bayesian results, and the results payload (rules S1-S3, M4; design: statistics)."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from assets.metadata import provenance, short_table
from assets.partitions import EXPERIMENTS
from experiment_pipeline.artifacts import StampedFrame
from experiment_pipeline.frames import frame_of, metric_aggregates
from experiment_pipeline.refresh import Computation
from experiment_pipeline.results import compute_results
from resources.registry import ExperimentRuns
from resources.warehouse import WarehouseResource

SPLIT_AS_CONFIGURED = dg.AssetCheckSpec(
    "split_as_configured",
    asset="srm",
    blocking=False,
    description="No sample ratio mismatch by the any-time test at 0.001, valid at every refresh (rule S3).",
)


@dg.multi_asset(
    partitions_def=EXPERIMENTS,
    group_name="results",
    deps=["first_exposures"],
    outs={
        "srm": dg.AssetOut(dagster_type=StampedFrame, kinds={"python", "polars"}),
        "bayesian_results": dg.AssetOut(dagster_type=StampedFrame, kinds={"python", "polars"}),
        "experiment_results": dg.AssetOut(dagster_type=dg.Nothing, kinds={"json"}),
    },
    internal_asset_deps={
        "srm": {dg.AssetKey("first_exposures")},
        "bayesian_results": {dg.AssetKey("variant_aggregates"), dg.AssetKey("srm")},
        "experiment_results": {dg.AssetKey("bayesian_results")},
    },
    check_specs=[SPLIT_AS_CONFIGURED],
)
def results(
    context: dg.AssetExecutionContext,
    variant_aggregates: StampedFrame,
    runs: dg.ResourceParam[ExperimentRuns],
    warehouse: WarehouseResource,
) -> Iterator[dg.MaterializeResult[StampedFrame]]:
    """Whether the split is sound, what each treatment does to each metric, and the payload that the API serves."""
    with runs.open(context, Computation.RESULTS, inherits=variant_aggregates.stamp) as run:
        identities = warehouse.engine().variant_identities(run.scope)
        results = compute_results(run.experiment, identities, metric_aggregates(variant_aggregates.rows), runs.floors)
        ...
