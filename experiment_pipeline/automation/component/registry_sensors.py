"""Sensors over the experiments of a registry, stopped unless asked for: their partitions, and their refreshes (P3)."""

from contextlib import closing
from datetime import UTC, datetime

import dagster as dg

from experiment_pipeline.automation.component.state import ComponentState
from experiment_pipeline.automation.dispatch import waiting_runs
from experiment_pipeline.domain.dispatch import DispatchLimits, PlannedRun
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.refresh_session import RefreshSession

INTERVAL_SECONDS = 30
REQUESTS_INTERVAL_SECONDS = 4


def partitions_sensor(
    name: str, state: ComponentState, assets: dg.AssetsDefinition, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """Return the sensor that keeps Dagster's partitions those of the registry's experiments.

    Args:
        name: of the component's step.
        state: of the component.
        assets: whose partitions they are.
        status: whether it runs as soon as it is loaded.
    """
    partitions = assets.partitions_def

    @dg.sensor(
        name=f"{name}_partitions",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=status,
        description="Adds a partition for each experiment of the registry, and removes those of deleted ones.",
    )
    def known_experiments(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if not isinstance(partitions, dg.DynamicPartitionsDefinition):
            return dg.SkipReason("The partitions are fixed by `translation` or `get_asset_spec`.")
        with closing(Registry.open(state.settings().database_url)) as registry:
            wanted = {each.partition_key for each in registry.experiments.list()}
        known = set(context.instance.get_dynamic_partitions(partitions.name or ""))
        changes: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
        if wanted - known:
            changes.append(partitions.build_add_request(sorted(wanted - known)))
        if known - wanted:
            changes.append(partitions.build_delete_request(sorted(known - wanted)))
        if not changes:
            return dg.SkipReason("Every experiment has a partition.")
        return dg.SensorResult(dynamic_partitions_requests=changes)

    return known_experiments


def requests_sensor(
    name: str, state: ComponentState, assets: dg.AssetsDefinition, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """Return the sensor that starts a run for each refresh that the API or the command line was asked for.

    An experiment that was completed is refreshed once more by it, too.

    Args:
        name: of the component's step.
        state: of the component.
        assets: that a run computes.
        status: whether it runs as soon as it is loaded.
    """
    partitions = assets.partitions_def

    @dg.sensor(
        name=f"{name}_refresh_requests",
        target=[assets],
        minimum_interval_seconds=REQUESTS_INTERVAL_SECONDS,
        default_status=status,
        description="Starts a run for every refresh that was requested over the API or the command line.",
    )
    def refresh_requests(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if not isinstance(partitions, dg.DynamicPartitionsDefinition):
            return dg.SkipReason("The partitions are fixed by `translation` or `get_asset_spec`.")
        settings = state.settings()
        known = context.instance.get_dynamic_partitions(partitions.name or "")
        limits = DispatchLimits(experiments=1, automatic_runs=settings.automatic_runs)
        with closing(Registry.open(settings.database_url)) as registry:
            session = RefreshSession(registry, settings)
            planned = waiting_runs(session, context.instance, datetime.now(UTC), limits, partition_keys=set(known))
        if not planned:
            return dg.SkipReason("No refresh was requested.")
        return dg.SensorResult(run_requests=[_request(run) for run in planned])

    return refresh_requests


def _request(run: PlannedRun) -> dg.RunRequest:
    (partition_key,) = run.partition_keys
    return dg.RunRequest(run_key=run.run_key, partition_key=partition_key)
