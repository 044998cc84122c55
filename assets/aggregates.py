"""Moments of every attached metric in every variant (rules M2-M5)."""

from collections.abc import Iterator

import dagster as dg

from experiment_pipeline.assets.made import Made, materialised
from experiment_pipeline.assets.metadata import provenance, short_table
from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.resources.refresh_session import ExperimentRuns, OpenRun
from experiment_pipeline.resources.warehouse import WarehouseResource
from experiment_pipeline.warehouse.artifacts import StampedFrame
from experiment_pipeline.warehouse.base import Warehouse


def make_variant_aggregates(run: OpenRun, engine: Warehouse) -> Made:
    """One frame for every attached metric."""
    aggregates = engine.variant_aggregates(run.scope, tuple(attached.metric for attached in run.experiment.metrics))
    stamp = run.stamp(aggregates.sql)
    return Made(
        "variant_aggregates",
        {"rows": short_table(aggregates.rows), **provenance(stamp)},
        StampedFrame(aggregates.rows, stamp),
    )


@dg.asset(partitions_def=EXPERIMENTS, deps=["first_exposures"], group_name="results", kinds={"duckdb", "polars"})
def variant_aggregates(
    context: dg.AssetExecutionContext, runs: dg.ResourceParam[ExperimentRuns], warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[StampedFrame]]:
    """One row per metric and variant: identities, mean, and the sum of squared deviations."""
    engine = warehouse.engine()
    with runs.open(context, Computation.RESULTS, inherits=lambda: engine.stamp(context.partition_key)) as run:
        yield from materialised([make_variant_aggregates(run, engine)])
