"""One run over several experiments: every stage of each, reported as a materialisation of its partition.

A run costs seconds of process start whatever it does; many small experiments share it. One that fails, or is refused,
fails alone (rule R7).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import dagster as dg

from experiment_pipeline.assets.aggregates import make_variant_aggregates
from experiment_pipeline.assets.exposures import make_exposures, make_first_exposures
from experiment_pipeline.assets.made import Made
from experiment_pipeline.assets.results import make_results
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.errors import RefreshRefused
from experiment_pipeline.resources.io_manager import FrameIOManager
from experiment_pipeline.resources.refresh_session import ExperimentRuns
from experiment_pipeline.resources.retries import patiently
from experiment_pipeline.resources.warehouse import WarehouseResource
from experiment_pipeline.warehouse.base import Warehouse


class Experiments(dg.Config):
    """Which experiments to refresh, by partition key."""

    partition_keys: list[str]


@dg.op(description="Refresh several experiments, one after another.")
def refresh_several(
    context: dg.OpExecutionContext,
    config: Experiments,
    runs: dg.ResourceParam[ExperimentRuns],
    warehouse: WarehouseResource,
    io_manager: dg.ResourceParam[FrameIOManager],
) -> None:
    """Fails at the end, by name, when any experiment failed."""
    failed = []
    engine = warehouse.engine()
    for partition_key in config.partition_keys:

        def report(made: Made, partition_key: str = partition_key) -> None:
            if made.frame is not None:
                io_manager.store(made.asset, partition_key, made.frame)
            context.log_event(dg.AssetMaterialization(made.asset, partition=partition_key, metadata=made.metadata))

        try:
            experiment = patiently(partial(runs.registry.experiment_by_partition, partition_key))
            refresh_one(experiment, context.run, runs, engine, report)
        except RefreshRefused as refusal:
            context.log.warning("%s: refused: %s", partition_key, refusal)
        except Exception:
            context.log.exception("%s: failed", partition_key)
            failed.append(partition_key)
    if failed:
        raise dg.Failure(f"{len(failed)} of {len(config.partition_keys)} experiments failed: {', '.join(failed)}")


def refresh_one(
    experiment: Experiment,
    dagster_run: dg.DagsterRun,
    runs: ExperimentRuns,
    engine: Warehouse,
    report: Callable[[Made], None],
) -> None:
    """Make everything that one refresh of one experiment makes, in order, and report each as it is made.

    A stage is tried again after a transient error. Results do not wait for the exposures payload, nor fail with it.
    """

    def make(stage: Callable[[], Iterable[Made]]) -> None:
        def attempt() -> None:
            for made in stage():
                report(made)

        patiently(attempt)

    def all_results() -> Iterator[Made]:
        aggregates = make_variant_aggregates(run, engine)
        yield aggregates
        yield from make_results(run, engine, aggregates.stored, runs.floors)

    try:
        with runs.guarded(experiment, dagster_run, *Computation):
            run = patiently(lambda: runs.hold(experiment, dagster_run))
            make(lambda: make_first_exposures(run, engine))
        try:
            with runs.guarded(experiment, dagster_run, Computation.EXPOSURES):
                make(lambda: make_exposures(run, engine))
        finally:
            with runs.guarded(experiment, dagster_run, Computation.RESULTS):
                make(all_results)
    finally:
        runs.release(experiment)


@dg.job(description="Compute and publish the exposures and results of several experiments in one run.")
def refresh_experiments() -> None:
    """For automatic claims; a user's claim has a run of its own."""
    refresh_several()
