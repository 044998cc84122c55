"""Moments of every attached metric in every variant (rules M2-M5)."""

import dagster as dg

from assets.metadata import provenance, short_table
from assets.partitions import EXPERIMENTS
from experiment_pipeline.artifacts import StampedFrame
from experiment_pipeline.refresh import Computation
from resources.registry import ExperimentRuns
from resources.warehouse import WarehouseResource


@dg.asset(
    partitions_def=EXPERIMENTS,
    deps=["first_exposures"],
    group_name="results",
    kinds={"duckdb", "polars"},
)
def variant_aggregates(
    context: dg.AssetExecutionContext, runs: dg.ResourceParam[ExperimentRuns], warehouse: WarehouseResource
) -> dg.MaterializeResult[StampedFrame]:
    """One row per metric and variant: identities, mean, and the sum of squared deviations."""
    engine = warehouse.engine()
    with runs.open(context, Computation.RESULTS, inherits=engine.stamp(context.partition_key)) as run:
        metrics = tuple(attached.metric for attached in run.experiment.metrics)
        aggregates = engine.variant_aggregates(run.scope, metrics)
        stamp = run.stamp(aggregates.sql)
        return dg.MaterializeResult(
            value=StampedFrame(aggregates.rows, stamp),
            metadata={"rows": short_table(aggregates.rows), **provenance(stamp)},
        )
