"""SRM, Bayesian results, and the results payload (rules S1-S3, M4; docs/statistics.md)."""

import dagster as dg

from experiment_pipeline.assets.columns import column_schema
from experiment_pipeline.assets.health_checks import check_specs
from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.assets.stages import RESULTS, AssetResults, run_stage
from experiment_pipeline.resources.io_manager import FrameIOManager
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.resources.warehouse import WarehouseResource
from experiment_pipeline.warehouse.artifacts import StampedFrame

AGGREGATES = "variant_aggregates"


@dg.multi_asset(
    partitions_def=EXPERIMENTS,
    group_name="results",
    deps=["first_exposures", "variant_aggregates"],
    outs={
        "srm": dg.AssetOut(
            is_required=False,
            dagster_type=StampedFrame,
            kinds={"python", "polars"},
            description="Whether identities split as configured: fixed-sample and anytime-valid test (rules S1-S3).",
            metadata=column_schema("srm"),
        ),
        "bayesian_results": dg.AssetOut(
            is_required=False,
            dagster_type=StampedFrame,
            kinds={"python", "polars"},
            description="Each treatment against control on each metric: effect, lift, chance to win, expected loss.",
            metadata=column_schema("bayesian_results"),
        ),
        "experiment_results": dg.AssetOut(
            is_required=False,
            dagster_type=dg.Nothing,
            kinds={"json"},
            description="Verdicts that hold at every refresh, and the results payload that the API serves.",
            metadata=column_schema("experiment_results"),
        ),
    },
    internal_asset_deps={
        "srm": {dg.AssetKey("first_exposures")},
        "bayesian_results": {dg.AssetKey("variant_aggregates"), dg.AssetKey("srm")},
        "experiment_results": {dg.AssetKey("bayesian_results")},
    },
    check_specs=check_specs(),
    can_subset=True,
)
def results(
    context: dg.AssetExecutionContext,
    runs: dg.ResourceParam[RefreshSession],
    warehouse: WarehouseResource,
    io_manager: dg.ResourceParam[FrameIOManager],
) -> AssetResults:
    """Compute the test of the split and the effect of each treatment on each metric, and publish the payload."""
    yield from run_stage(
        RESULTS,
        context,
        runs,
        warehouse,
        frames=lambda experiment: {AGGREGATES: io_manager.load(AGGREGATES, experiment.partition_key, experiment.phase)},
        inherits=lambda experiment, _: io_manager.load(AGGREGATES, experiment.partition_key, experiment.phase).stamp,
    )
