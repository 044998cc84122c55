"""Every stage of one experiment, stored as it goes; the caller tells Dagster what happened."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import dagster as dg

from experiment_pipeline.assets.stages import STAGES, Stage, StageOutput
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.errors import Final, RefreshRefused
from experiment_pipeline.resources.io_manager import FrameIOManager
from experiment_pipeline.resources.refresh_session import Engines, ExperimentRun, RefreshSession
from experiment_pipeline.resources.retries import retry_transient
from experiment_pipeline.warehouse.artifacts import StampedFrame


@dataclass(frozen=True, slots=True)
class LeftFinal:
    """A stage that was left as it is, because what it serves is final (rule R8)."""

    stage: Stage
    final: Final


@dataclass(frozen=True, slots=True)
class ExperimentRefresh:
    """The refresh of one experiment, in the phase that it is in.

    Attributes:
        dagster_run: that computes it.
        session: acquires the lease, and records failures and refusals.
        engines: give the one of the experiment's environment.
        io_manager: stores the small frames.
    """

    experiment: Experiment
    dagster_run: dg.DagsterRun
    session: RefreshSession
    engines: Engines
    io_manager: FrameIOManager

    def steps(self) -> Iterator[StageOutput | LeftFinal]:
        """Run every stage in order, and yield its outputs, or that it was left; the lease is released at the end.

        Raises:
            Exception: the first error of a stage, after the others; an error goes before a refusal.
        """
        blocked: set[Computation] = set()
        errors: list[Exception] = []
        frames: dict[str, StampedFrame] = {}
        try:
            for stage in STAGES:
                if blocked.issuperset(stage.blocks):
                    continue
                outputs: list[StageOutput] = []
                acquire = partial(self._acquire, *stage.blocks)
                attempt = partial(self._compute_and_store, stage, acquire, frames, outputs)
                try:
                    with self.session.recording_failures(self.experiment, self.dagster_run, *stage.blocks):
                        retry_transient(attempt)
                except Final as final:
                    blocked.update(stage.blocks)
                    yield LeftFinal(stage, final)
                except Exception as error:  # noqa: BLE001 - raised below
                    # Results are computed although exposures failed: neither payload waits for the other (rule R3).
                    blocked.update(stage.blocks)
                    errors.append(error)
                yield from outputs
        finally:
            self.session.release(self.experiment)
        if errors:
            raise min(errors, key=lambda error: isinstance(error, RefreshRefused))

    def _acquire(self, *computations: Computation) -> ExperimentRun:
        engine = self.session.engine(self.engines, self.experiment)
        return self.session.acquire(self.experiment, self.dagster_run, engine, *computations)

    def _compute_and_store(
        self,
        stage: Stage,
        acquire: Callable[[], ExperimentRun],
        frames: dict[str, StampedFrame],
        outputs: list[StageOutput],
    ) -> None:
        """Run one stage, store its frames and collect its outputs, in place of those of an earlier attempt."""
        outputs.clear()
        run = acquire()
        for output in stage.outputs(run, run.engine, frames):
            if output.frame is not None:
                self.io_manager.store(output.asset, output.frame)
                frames[output.asset] = output.frame
            outputs.append(output)
