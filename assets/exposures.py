"""First exposures, their buckets, and the exposures payload (rules X1-X7)."""

import dagster as dg

from experiment_pipeline.assets.columns import column_schema
from experiment_pipeline.assets.health_checks import contract_spec
from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.assets.stages import EXPOSURES, FIRST_EXPOSURES, AssetResults, of_first_exposures, run_stage
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.resources.warehouse import ENGINE_KIND, WarehouseResource
from experiment_pipeline.warehouse.artifacts import StampedFrame


@dg.asset(
    partitions_def=EXPERIMENTS,
    deps=["events"],
    group_name="exposures",
    kinds={ENGINE_KIND, "parquet"},
    metadata=column_schema("first_exposures"),
    check_specs=[contract_spec()],
    output_required=False,
)
def first_exposures(
    context: dg.AssetExecutionContext, runs: dg.ResourceParam[RefreshSession], warehouse: WarehouseResource
) -> AssetResults:
    """One row per identity: its first variant and time in the window, and whether it saw several variants."""
    yield from run_stage(FIRST_EXPOSURES, context, runs, warehouse)


@dg.multi_asset(
    partitions_def=EXPERIMENTS,
    group_name="exposures",
    deps=["first_exposures"],
    outs={
        "exposure_buckets": dg.AssetOut(
            is_required=False,
            dagster_type=StampedFrame,
            kinds={ENGINE_KIND, "polars"},
            description="New identities by hour or day and variant (rule X4).",
            metadata=column_schema("exposure_buckets"),
        ),
        "exposures": dg.AssetOut(
            is_required=False,
            dagster_type=dg.Nothing,
            kinds={"json"},
            description="The exposures payload that the API serves (rule X7).",
            metadata=column_schema("exposures"),
        ),
    },
    internal_asset_deps={
        "exposure_buckets": {dg.AssetKey("first_exposures")},
        "exposures": {dg.AssetKey("exposure_buckets")},
    },
    can_subset=True,
)
def exposures(
    context: dg.AssetExecutionContext, runs: dg.ResourceParam[RefreshSession], warehouse: WarehouseResource
) -> AssetResults:
    """Identities by bucket and variant, and the payload that the API serves."""
    yield from run_stage(EXPOSURES, context, runs, warehouse, inherits=of_first_exposures)
