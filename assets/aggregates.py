"""Moments of every attached metric in every variant (rules M2-M5)."""

import dagster as dg

from experiment_pipeline.assets.columns import column_schema
from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.assets.stages import VARIANT_AGGREGATES, AssetResults, of_first_exposures, run_stage
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.resources.warehouse import ENGINE_KIND, WarehouseResource


@dg.asset(
    partitions_def=EXPERIMENTS,
    deps=["first_exposures"],
    group_name="results",
    kinds={ENGINE_KIND, "polars"},
    metadata=column_schema("variant_aggregates"),
    output_required=False,
)
def variant_aggregates(
    context: dg.AssetExecutionContext, runs: dg.ResourceParam[RefreshSession], warehouse: WarehouseResource
) -> AssetResults:
    """One row per metric and variant: identities, mean, and the sum of squared deviations."""
    yield from run_stage(VARIANT_AGGREGATES, context, runs, warehouse, inherits=of_first_exposures)
