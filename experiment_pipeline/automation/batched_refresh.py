"""One run over several experiments: every stage of each, reported as a materialisation of its partition.

A run costs seconds of process start whatever it does; many small experiments share it, and one scan of the events that
several of them read (rule N8). One that fails, or is refused, fails alone (rule R7). A phase that a restart has ended
is computed here, too, and reported as an observation: the materialisation that stands for the partition stays that of
the running phase (rule X9).
"""

from collections.abc import Iterator
from contextlib import closing
from functools import partial

import dagster as dg
from pydantic import Field

from experiment_pipeline.assets.stages import StageOutput, observe_ended, observe_final, to_events
from experiment_pipeline.automation.experiment_refresh import (
    Ended,
    ExperimentRefresh,
    LeftFinal,
    Step,
    refresh_together,
)
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.errors import RefreshRefused
from experiment_pipeline.resources.io_manager import FrameIOManager
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.resources.retries import retry_transient
from experiment_pipeline.resources.warehouse import WarehouseResource

Event = dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation


class Experiments(dg.Config):
    """Which experiments to refresh, by partition key, and in which phase where it is not the newest."""

    partition_keys: list[str]
    phases: dict[str, int] = Field(default={})


@dg.op(out={}, description="Refresh several experiments, with one scan of the events that they share.")
def refresh_several(
    context: dg.OpExecutionContext,
    config: Experiments,
    runs: dg.ResourceParam[RefreshSession],
    warehouse: WarehouseResource,
    io_manager: dg.ResourceParam[FrameIOManager],
) -> Iterator[Event]:
    """Refresh the experiments, and fail at the end, by name, when any of them failed.

    Events are yielded, not logged through the context: Dagster drops what is logged there when an op fails.
    """
    failed: dict[str, None] = {}

    def is_over(partition_key: str, error: Exception | None) -> None:
        if isinstance(error, RefreshRefused):
            context.log.warning("%s: refused: %s", partition_key, error)
        elif error is not None:
            context.log.error("%s: failed", partition_key, exc_info=error)
            failed[partition_key] = None

    refreshes = []
    for partition_key in config.partition_keys:
        try:
            experiment = retry_transient(partial(runs.registry.experiments.get_by_partition, partition_key))
            experiment = experiment.in_phase(config.phases.get(partition_key, experiment.phase))
            refreshes.append(ExperimentRefresh(experiment, context.run, runs, warehouse, io_manager))
        except Exception as error:  # noqa: BLE001 - logged
            is_over(partition_key, error)
    with closing(refresh_together(refreshes)) as steps:
        for refresh, step in steps:
            found = step.error if isinstance(step, Ended) else None
            try:
                yield from events_of(refresh.experiment, step, context.instance)
            except Exception as raised:  # noqa: BLE001 - logged
                found = raised
            is_over(refresh.experiment.partition_key, found)
    if failed:
        raise dg.Failure(f"{len(failed)} of {len(config.partition_keys)} experiments failed: {', '.join(failed)}")


def events_of(experiment: Experiment, step: Step, instance: dg.DagsterInstance) -> Iterator[Event]:
    """Yield what happened to an experiment's assets in one step of its refresh."""
    if isinstance(step, LeftFinal):
        yield from observe_final(step.stage, experiment.partition_key, step.final)
    elif isinstance(step, StageOutput) and experiment.is_in_newest_phase:
        yield from to_events(step, experiment.partition_key, instance)
    elif isinstance(step, StageOutput):
        yield observe_ended(step, experiment.partition_key)


@dg.job(description="Compute and publish the exposures and results of several experiments in one run.")
def refresh_experiments() -> None:
    """For automatic claims; a user's claim has a run of its own."""
    refresh_several()
