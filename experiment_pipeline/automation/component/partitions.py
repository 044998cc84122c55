"""Partitions of experiments that a registry has: a sensor that adds them, stopped unless asked for (P3)."""

from contextlib import closing

import dagster as dg

from experiment_pipeline.automation.component.state import ComponentState
from experiment_pipeline.registry.registry import Registry

INTERVAL_SECONDS = 30


def partitions_sensor(
    name: str, state: ComponentState, assets: dg.AssetsDefinition, *, is_running: bool
) -> dg.SensorDefinition:
    """Return the sensor that keeps Dagster's partitions those of the registry's experiments.

    Args:
        name: of the component's step.
        state: of the component.
        assets: whose partitions they are.
        is_running: whether it runs as soon as it is loaded.
    """
    partitions = assets.partitions_def
    status = dg.DefaultSensorStatus.RUNNING if is_running else dg.DefaultSensorStatus.STOPPED

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
