"""Stages: the steps of one refresh, as data.

A stage is a plain function of one run on one experiment. An asset runs one stage, the batched refresh runs all of them
in order, and both report the same outputs: checks and metadata cannot differ.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg

from experiment_pipeline.assets.columns import PARTITION_ROWS
from experiment_pipeline.assets.experiment_pages import described, exposures_summary, links, results_summary
from experiment_pipeline.assets.health_checks import (
    CONTRACT,
    check_results,
    contract_result,
    found_payload,
    judge,
    repeat_outcomes,
    stored_findings,
)
from experiment_pipeline.assets.lake_counts import with_lake_counts
from experiment_pipeline.assets.measurements import store_measurements
from experiment_pipeline.assets.metadata import Metadata, metric_tables, provenance, row_count, short_table
from experiment_pipeline.assets.refresh_reports import (
    refresh_metadata,
    refresh_mode,
    require_no_difference,
    store_refresh_cost,
)
from experiment_pipeline.assets.stored_evidence import checks_itself_now, stored_evidence
from experiment_pipeline.assets.warehouse_costs import cost_metadata, engine_payload, warehouse_rows
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.exposures import summarise_exposures
from experiment_pipeline.domain.planned_looks import PlannedLookOf
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.errors import ContractBroken, Final
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.resources.dagster_instance import newest_materialization
from experiment_pipeline.resources.refresh_session import Engines, ExperimentRun, RefreshSession
from experiment_pipeline.results.decision import decide_experiment
from experiment_pipeline.results.live_stats import live_stats
from experiment_pipeline.results.payload import (
    comparison_rows,
    error_titles,
    exposures_payload,
    results_payload,
    split_rows,
)
from experiment_pipeline.warehouse.artifacts import Stamp, StampedFrame, code_version
from experiment_pipeline.warehouse.base import Warehouse
from experiment_pipeline.warehouse.computed_results import computed_results, movement_since
from experiment_pipeline.warehouse.frame_schemas import frame_of, listed_exposures

Frames = Mapping[str, StampedFrame]
AssetResults = Iterator[dg.MaterializeResult[StampedFrame] | dg.AssetCheckResult | dg.Output[None]]


@dataclass(frozen=True, slots=True)
class StageOutput:
    """One asset of one partition.

    Attributes:
        asset: its key.
        metadata: shown with the materialisation.
        frame: where rows are stored by the IO manager; None where the engine or the registry has stored them.
        checks: outcomes of the checks of this asset, by their names.
        broken: why nothing was stored, which its checks say, too; the stage fails with it.
    """

    asset: str
    metadata: Metadata
    frame: StampedFrame | None = None
    checks: Mapping[str, dg.AssetCheckResult] = field(default_factory=dict)
    broken: ContractBroken | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a refresh.

    Attributes:
        name: of the step.
        assets: the keys of its outputs, in order.
        blocks: the computations that cannot be published when this stage fails; the failure is theirs (rule R3).
        compute: yields the stage's outputs, from the run, the engine, and the frames of the stages before it.
    """

    name: str
    assets: tuple[str, ...]
    blocks: tuple[Computation, ...]
    compute: Callable[[ExperimentRun, Warehouse, Frames], Iterator[StageOutput]]

    def outputs(self, run: ExperimentRun, warehouse: Warehouse, frames: Frames) -> Iterator[StageOutput]:
        """Yield the outputs, each with what its page says of the experiment before and after its own metadata.

        Raises:
            ContractBroken: after the output that broke its contract.
        """
        for output in self.compute(run, warehouse, frames):
            yield replace(output, metadata={**described(run), **output.metadata, **links(run)})
            if output.broken is not None:
                raise output.broken


def to_selected_results(
    outputs: Iterable[StageOutput], assets: Collection[dg.AssetKey], checks: Collection[dg.AssetCheckKey]
) -> AssetResults:
    """Yield the outputs that a run has selected as Dagster takes them: key, metadata and check results, and the frame.

    After the last of them the stage goes no further: a payload that nobody has selected is not published.

    Args:
        outputs: of one stage; what is published comes last.
        assets: keys of the selected assets.
        checks: keys of the selected checks; one can be selected without its asset.
    """
    waited_for = {*assets, *(check.asset_key for check in checks)}
    for output in outputs:
        key = dg.AssetKey(output.asset)
        wanted = [each for name, each in output.checks.items() if dg.AssetCheckKey(key, name) in checks]
        if output.broken is not None:
            yield from wanted
            continue
        if key in assets:
            result: dg.MaterializeResult[StampedFrame] = dg.MaterializeResult(
                asset_key=key, metadata=output.metadata, check_results=wanted
            )
            yield result if output.frame is None else result._replace(value=output.frame)
        else:
            yield from wanted
        waited_for.discard(key)
        if not waited_for:
            return


def to_events(
    output: StageOutput, partition_key: str, instance: dg.DagsterInstance
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """Yield the events that Dagster makes of such a result by itself in an asset: the materialisation, then its checks.

    A check refers to the materialisation that it judged: without it, Dagster takes the check for out of date.
    """
    asset = dg.AssetKey(output.asset)
    if output.broken is None:
        yield dg.AssetMaterialization(asset, partition=partition_key, metadata=output.metadata)
    for name, outcome in output.checks.items():
        yield dg.AssetCheckEvaluation(
            asset_key=asset,
            check_name=name,
            passed=outcome.passed,
            metadata=outcome.metadata,
            severity=outcome.severity,
            description=outcome.description,
            blocking=name == CONTRACT,
            partition=partition_key,
            target_materialization_data=newest_materialization(instance, asset, partition_key),
        )


def observe_ended(output: StageOutput, partition_key: str) -> dg.AssetObservation:
    """Return an asset of a phase that a restart has ended: its partition's materialisation is the running phase's."""
    return dg.AssetObservation(output.asset, partition=partition_key, metadata=output.metadata)


def observe_final(stage: Stage, partition_key: str, final: Final) -> Iterator[dg.AssetObservation]:
    """Yield an observation per asset of a stage that was left as it is, because it is final (rule R8)."""
    for asset in stage.assets:
        yield dg.AssetObservation(asset, partition=partition_key, metadata={"final": str(final)})


def run_stage(
    stage: Stage,
    context: dg.AssetExecutionContext,
    session: RefreshSession,
    engines: Engines,
    *,
    frames: Callable[[Experiment], Frames] = lambda _: {},
    inherits: Callable[[Experiment, Warehouse], Stamp] | None = None,
) -> AssetResults:
    """Run one stage as the body of an asset, under the guard of the session.

    If everything that the stage serves is final, nothing is computed: the step succeeds without an output, Dagster
    skips the steps after it, and an observation says why (rule R8).

    Args:
        stage: the stage to run.
        context: of the asset; its partition is the experiment.
        session: opens the run, and records a failure or a refusal.
        engines: give the one of the experiment's environment.
        frames: reads the upstream frames that the stage needs, by asset, of the experiment in the phase of the run.
        inherits: see `RefreshSession.for_asset`.
    """
    try:
        with session.for_asset(context, engines, *stage.blocks, inherits=inherits) as run:
            outputs = stage.outputs(run, run.engine, frames(run.experiment))
            yield from to_selected_results(outputs, context.selected_asset_keys, context.selected_asset_check_keys)
    except Final as final:
        for observation in observe_final(stage, context.partition_key, final):
            if observation.asset_key in context.selected_asset_keys:
                context.log_event(observation)
        if Computation.RESULTS in stage.blocks:
            for outcome in repeat_outcomes(context.instance, context.partition_key):
                context.log_event(outcome)
        for key in context.selected_asset_check_keys:
            yield dg.Output(None, context.assets_def.get_output_name_for_asset_check_key(key))


def of_first_exposures(experiment: Experiment, engine: Warehouse) -> Stamp:
    """Return the provenance of the first exposures that an engine has stored: stages after them inherit it."""
    return engine.stamp(experiment.partition_key, experiment.phase)


def _first_exposures(run: ExperimentRun, warehouse: Warehouse, _: Frames) -> Iterator[StageOutput]:
    """Write the identity-level artifact; its rows stay in the engine."""
    try:
        written = warehouse.write_first_exposures(run.scope, refresh_mode(run))
    except ContractBroken as broken:
        metadata: Metadata = {"broken": dg.MetadataValue.text(str(broken))}
        yield StageOutput("first_exposures", metadata, checks=contract_result(broken), broken=broken)
        return
    store_refresh_cost(run, "first_exposures", written.refresh)
    yield StageOutput(
        "first_exposures",
        {
            "identities": dg.MetadataValue.int(written.identities),
            "quarantined": dg.MetadataValue.int(written.quarantined),
            PARTITION_ROWS: dg.MetadataValue.int(written.identities + written.quarantined),
            **refresh_metadata(written.refresh),
            **cost_metadata(written.cost),
            **provenance(run.stamp(written.sql)),
        },
        checks=contract_result(),
    )


def _exposures(run: ExperimentRun, warehouse: Warehouse, _: Frames) -> Iterator[StageOutput]:
    """Count new identities by bucket and variant, and publish the exposures payload."""
    buckets = warehouse.exposure_buckets(run.scope)
    stamp = run.stamp(buckets.sql)
    yield StageOutput(
        "exposure_buckets",
        {
            "rows": short_table(buckets.rows),
            **row_count(buckets.rows),
            **cost_metadata(buckets.cost),
            **provenance(stamp),
        },
        StampedFrame(buckets.rows, stamp),
    )
    listed, unlisted = listed_exposures(buckets.rows, run.experiment.variant_keys)
    summary = summarise_exposures(listed, run.scope.window.granularity, unlisted)
    payload = exposures_payload(summary, run.experiment.phase)
    published = run.publish(Computation.EXPOSURES, payload)
    yield StageOutput(
        "exposures",
        {
            **exposures_summary(run, payload),
            "identities": dg.MetadataValue.int(summary.identities),
            "excluded_identities": dg.MetadataValue.int(summary.excluded_identities),
            "final": dg.MetadataValue.bool(published.is_final),
            **provenance(stamp),
        },
    )


def _variant_aggregates(run: ExperimentRun, warehouse: Warehouse, _: Frames) -> Iterator[StageOutput]:
    """Aggregate every attached metric by variant."""
    metrics = tuple(attached.metric for attached in run.experiment.metrics)
    offers = warehouse.capabilities
    aggregates = warehouse.variant_aggregates(
        run.scope,
        metrics,
        sensitive=next(iter(metrics), None) if offers.sensitivity else None,
        self_check=offers.self_check and checks_itself_now(run),
        mode=refresh_mode(run),
    )
    store_refresh_cost(run, "variant_aggregates", aggregates.refresh)
    stamp = replace(run.stamp(aggregates.sql), difference=aggregates.refresh.difference)
    yield StageOutput(
        "variant_aggregates",
        {
            **metric_tables(aggregates.rows, {each.id: each.name for each in metrics}),
            **row_count(aggregates.rows),
            **refresh_metadata(aggregates.refresh),
            **cost_metadata(aggregates.cost),
            **provenance(stamp),
        },
        StampedFrame(aggregates.rows, stamp),
    )


def _results(run: ExperimentRun, warehouse: Warehouse, frames: Frames) -> Iterator[StageOutput]:
    """Test the split, compare every treatment with control, check the experiment's health, and publish the results."""
    stored = frames["variant_aggregates"]
    planned_looks = _stored_planned_looks(run)
    computed = computed_results(
        run.experiment, run.scope, warehouse, stored.rows, floors=run.floors, planned_looks=planned_looks
    )
    results = computed.results
    evidence = stored_evidence(run)
    in_warehouse = warehouse_rows(run, evidence)
    inputs = HealthInputs(
        run.experiment,
        computed.aggregates,
        results,
        computed.identities,
        floors=run.floors,
        thresholds=Thresholds.of(run.settings),
        as_of=run.scope.window.as_of,
        arrivals=run.registry.health.arrivals(run.experiment.environment_key),
        warehouse=in_warehouse,
        stored=evidence,
    )
    counted = with_lake_counts(inputs, run, warehouse.capabilities.health_inputs)
    findings = judge(counted, warehouse=None if in_warehouse is None else in_warehouse.engine)
    names = {each.metric.id: each.metric.name for each in run.experiment.metrics}
    split = frame_of("srm", split_rows(results.split))
    compared = frame_of("bayesian_results", comparison_rows(results))
    for asset, rows, tables in (
        ("srm", split, {"rows": short_table(split)}),
        ("bayesian_results", compared, metric_tables(compared, names)),
    ):
        frame = StampedFrame(rows, stored.stamp)
        metadata = {**tables, **row_count(rows), **provenance(frame.stamp)}
        yield StageOutput(asset, metadata, frame, check_results(asset, findings))
    found = found_payload(findings)
    decision = decide_experiment(run.experiment, results, error_titles(found), results.contradicted)
    previous = run.registry.looks.newest(run.experiment.id, run.experiment.phase)
    erased = 0 if previous is None else run.registry.erasures.since(run.experiment, previous.computed_at)
    moved = movement_since(
        previous, results, run.experiment, run.scope, warehouse, code_version=code_version(), erased=erased
    )
    payload = results_payload(results, moved, decision, found, engine_payload(run, in_warehouse))
    stats = live_stats(run.experiment, results)
    stored_as = stored_findings(findings)
    published = run.publish(
        Computation.RESULTS, payload, stored_as, stats, results.new_planned_looks, sql=stored.stamp.sql
    )
    store_measurements(run, computed.aggregates)
    require_no_difference(stored.stamp, warehouse.stamp(run.experiment.partition_key, run.experiment.phase))
    yield StageOutput(
        "experiment_results",
        {
            **results_summary(run, published, stored_as),
            "verdicts": dg.MetadataValue.json(results.verdicts()),
            "final": dg.MetadataValue.bool(published.is_final),
            **provenance(stored.stamp),
        },
        checks=check_results("experiment_results", findings),
    )


def _stored_planned_looks(run: ExperimentRun) -> Sequence[PlannedLookOf]:
    """Return the planned looks of the run's phase; the registry is asked only where the design plans any."""
    experiment = run.experiment
    return run.registry.planned_looks.list(experiment.id, experiment.phase) if experiment.has_planned_looks else ()


FIRST_EXPOSURES = Stage("first_exposures", ("first_exposures",), tuple(Computation), _first_exposures)
EXPOSURES = Stage("exposures", ("exposure_buckets", "exposures"), (Computation.EXPOSURES,), _exposures)
VARIANT_AGGREGATES = Stage("variant_aggregates", ("variant_aggregates",), (Computation.RESULTS,), _variant_aggregates)
RESULTS = Stage("results", ("srm", "bayesian_results", "experiment_results"), (Computation.RESULTS,), _results)

STAGES = (FIRST_EXPOSURES, EXPOSURES, VARIANT_AGGREGATES, RESULTS)
