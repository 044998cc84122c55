"""SRM, Bayesian results, and the results payload (rules S1-S3, M4; docs/statistics.md)."""

from collections.abc import Iterator

import dagster as dg

from experiment_pipeline.assets.made import Made, materialised
from experiment_pipeline.assets.metadata import provenance, short_table
from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.resources.refresh_session import ExperimentRuns, OpenRun
from experiment_pipeline.resources.warehouse import WarehouseResource
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.model import ExperimentResults, Floors
from experiment_pipeline.results.payload import comparison_rows, results_payload, split_rows
from experiment_pipeline.warehouse.artifacts import StampedFrame
from experiment_pipeline.warehouse.base import Warehouse
from experiment_pipeline.warehouse.frame_schemas import frame_of, metric_aggregates

SPLIT_AS_CONFIGURED = dg.AssetCheckSpec(
    "split_as_configured",
    asset="srm",
    blocking=False,
    description="No sample ratio mismatch by the any-time test at 0.001, valid at every refresh (rule S3).",
)


def make_results(run: OpenRun, engine: Warehouse, aggregates: StampedFrame, floors: Floors) -> Iterator[Made]:
    """The split, what each treatment does to each metric, and the published payload."""
    identities = engine.variant_identities(run.scope)
    computed = compute_results(run.experiment, identities, metric_aggregates(aggregates.rows), floors)
    for name, rows in (("srm", split_rows(computed.split)), ("bayesian_results", comparison_rows(computed))):
        frame = StampedFrame(frame_of(name, rows), aggregates.stamp)
        checks = (_split_check(computed),) if name == "srm" else ()
        yield Made(name, {"rows": short_table(frame.rows), **provenance(frame.stamp)}, frame, checks)
    published = run.publish(Computation.RESULTS, results_payload(computed))
    yield Made(
        "experiment_results",
        {
            "verdicts": dg.MetadataValue.json(computed.verdicts()),
            "final": dg.MetadataValue.bool(published.is_final),
            **provenance(aggregates.stamp),
        },
    )


def _split_check(computed: ExperimentResults) -> dg.AssetCheckResult:
    split = computed.split
    return dg.AssetCheckResult(
        check_name=SPLIT_AS_CONFIGURED.name,
        passed=split.trustworthy is not False,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"identities": split.identities, "expected_shares": split.shares, "reason": split.reason or "tested"},
    )


@dg.multi_asset(
    partitions_def=EXPERIMENTS,
    group_name="results",
    deps=["first_exposures"],
    outs={
        "srm": dg.AssetOut(
            dagster_type=StampedFrame,
            kinds={"python", "polars"},
            description="Whether identities split as configured: the fixed-sample and the any-time test (rules S1-S3).",
        ),
        "bayesian_results": dg.AssetOut(
            dagster_type=StampedFrame,
            kinds={"python", "polars"},
            description="Each treatment against control on each metric: effect, lift, chance to win, expected loss.",
        ),
        "experiment_results": dg.AssetOut(
            dagster_type=dg.Nothing,
            kinds={"json"},
            description="Verdicts that hold at every refresh, and the results payload that the API serves.",
        ),
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
    with runs.open(context, Computation.RESULTS, inherits=lambda: variant_aggregates.stamp) as run:
        yield from materialised(make_results(run, warehouse.engine(), variant_aggregates, runs.floors))
