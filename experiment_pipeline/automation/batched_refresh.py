"""One run over several experiments: every stage of each, reported as a materialisation of its partition.

A run costs seconds of process start whatever it does; many small experiments share it. One that fails, or is refused,
fails alone (rule R7). A phase that a restart has ended is computed here, too, and reported as an observation: the
materialisation that stands for the partition stays that of the running phase (rule X9).
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg
from pydantic import Field

from experiment_pipeline.assets.stages import observe_ended, observe_final, to_events
from experiment_pipeline.automation.experiment_refresh import ExperimentRefresh, LeftFinal
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.errors import RefreshRefused
from experiment_pipeline.resources.io_manager import FrameIOManager
from experiment_pipeline.resources.refresh_session import Engines, RefreshSession
from experiment_pipeline.resources.retries import retry_transient
from experiment_pipeline.resources.warehouse import WarehouseResource

Event = dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation


class Experiments(dg.Config):
    """Which experiments to refresh, by partition key, and in which phase where it is not the newest."""

    partition_keys: list[str]
    phases: dict[str, int] = Field(default={})


@dg.op(out={}, description="Refresh several experiments, one after another.")
def refresh_several(
    context: dg.OpExecutionContext,
    config: Experiments,
    runs: dg.ResourceParam[RefreshSession],
    warehouse: WarehouseResource,
    io_manager: dg.ResourceParam[FrameIOManager],
) -> Iterator[Event]:
    """Refresh each experiment, and fail at the end, by name, when any of them failed.

    Events are yielded, not logged through the context: Dagster drops what is logged there when an op fails.
    """
    failed = []
    for partition_key in config.partition_keys:
        try:
            experiment = retry_transient(partial(runs.registry.experiments.get_by_partition, partition_key))
            experiment = experiment.in_phase(config.phases.get(partition_key, experiment.phase))
            yield from refresh_one(experiment, context, runs, warehouse, io_manager)
        except RefreshRefused as refusal:
            context.log.warning("%s: refused: %s", partition_key, refusal)
        except Exception:
            context.log.exception("%s: failed", partition_key)
            failed.append(partition_key)
    if failed:
        raise dg.Failure(f"{len(failed)} of {len(config.partition_keys)} experiments failed: {', '.join(failed)}")


def refresh_one(
    experiment: Experiment,
    context: dg.OpExecutionContext,
    session: RefreshSession,
    engines: Engines,
    io_manager: FrameIOManager,
) -> Iterator[Event]:
    """Run every stage of one experiment in order, and yield what happened to its assets.

    Raises:
        Exception: the first error of a stage, after the others; an error goes before a refusal.
    """
    for step in ExperimentRefresh(experiment, context.run, session, engines, io_manager).steps():
        if isinstance(step, LeftFinal):
            yield from observe_final(step.stage, experiment.partition_key, step.final)
        elif experiment.is_in_newest_phase:
            yield from to_events(step, experiment.partition_key, context.instance)
        else:
            yield observe_ended(step, experiment.partition_key)


@dg.job(description="Compute and publish the exposures and results of several experiments in one run.")
def refresh_experiments() -> None:
    """For automatic claims; a user's claim has a run of its own."""
    refresh_several()
