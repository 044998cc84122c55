"""Every stage of one experiment, or of several together, stored as it goes; the caller tells Dagster what happened."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import dagster as dg

from experiment_pipeline.assets.refresh_reports import refresh_mode
from experiment_pipeline.assets.stages import (
    EXPOSURES,
    FIRST_EXPOSURES,
    RESULTS,
    VARIANT_AGGREGATES,
    Stage,
    StageOutput,
)
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.errors import Final, RefreshRefused
from experiment_pipeline.resources.io_manager import FrameIOManager
from experiment_pipeline.resources.refresh_session import Engines, ExperimentRun, RefreshSession
from experiment_pipeline.resources.retries import retry_transient
from experiment_pipeline.warehouse.artifacts import StampedFrame
from experiment_pipeline.warehouse.base import SharedScanning, WantedAggregates, Warehouse

BEFORE_SHARED_SCAN = (FIRST_EXPOSURES, EXPOSURES)
WITH_SHARED_SCAN = (VARIANT_AGGREGATES, RESULTS)


@dataclass(frozen=True, slots=True)
class LeftFinal:
    """A stage that was left as it is, because what it serves is final (rule R8)."""

    stage: Stage
    final: Final


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one experiment's refresh.

    Attributes:
        error: the first one of a stage, an error before a refusal; None where all went well.
    """

    error: Exception | None


Step: TypeAlias = StageOutput | LeftFinal | Ended


@dataclass(slots=True, eq=False)
class ExperimentRefresh:
    """The refresh of one experiment, in the phase that it is in.

    Attributes:
        dagster_run: that computes it.
        session: acquires the lease, and records failures and refusals.
        engines: give the one of the experiment's environment.
        io_manager: stores the small frames.
        seconds: that its stages have taken, with its share of the shared scan.
    """

    experiment: Experiment
    dagster_run: dg.DagsterRun
    session: RefreshSession
    engines: Engines
    io_manager: FrameIOManager
    seconds: float = 0.0
    _run: ExperimentRun | None = None
    _blocked: set[Computation] = field(default_factory=set)
    _errors: list[Exception] = field(default_factory=list)
    _frames: dict[str, StampedFrame] = field(default_factory=dict)
    _paused_at: float | None = None

    @property
    def error(self) -> Exception | None:
        """The first error of a stage; an error goes before a refusal."""
        return min(self._errors, key=lambda error: isinstance(error, RefreshRefused), default=None)

    @property
    def is_blocked(self) -> bool:
        """Whether nothing is left that it could publish."""
        return self._blocked.issuperset(Computation)

    @property
    def wanted(self) -> WantedAggregates | None:
        """The aggregates that it is about to ask for; None where it cannot share the scan that they take."""
        if self._run is None or Computation.RESULTS in self._blocked or self.shared_scan is None:
            return None
        metrics = tuple(attached.metric for attached in self.experiment.metrics)
        return WantedAggregates(self._run.scope, metrics, refresh_mode(self._run))

    @property
    def shared_scan(self) -> SharedScanning | None:
        """The part of its engine that reads events for several experiments; None where it has none."""
        return None if self._run is None else self._run.engine.capabilities.shared_scan

    def run(self, stages: Sequence[Stage], engine: Warehouse | None = None) -> Iterator[StageOutput | LeftFinal]:
        """Run stages in order, and yield their outputs, or that they were left; errors are kept in `error`.

        Results are computed although exposures failed: neither payload waits for the other (rule R3).

        Args:
            stages: to run.
            engine: that has read events for several experiments; None for the one of its environment.
        """
        for stage in stages:
            if self._blocked.issuperset(stage.blocks):
                continue
            outputs: list[StageOutput] = []
            attempt = partial(self._compute_and_store, stage, engine, outputs)
            began = time.monotonic()
            try:
                with self.session.recording_failures(self.experiment, self.dagster_run, *stage.blocks):
                    retry_transient(attempt)
            except Final as final:
                self._blocked.update(stage.blocks)
                yield LeftFinal(stage, final)
            except Exception as error:  # noqa: BLE001 - the caller's
                self._blocked.update(stage.blocks)
                self._errors.append(error)
            self.seconds += time.monotonic() - began
            yield from outputs

    def pause(self) -> None:
        """Begin to wait for other experiments of the batch."""
        self._paused_at = time.monotonic()

    def resume(self, own_share: float) -> None:
        """Go on; of the time since it was paused only its own share (seconds) counts as its refresh's duration."""
        self.seconds += own_share
        if self._paused_at is not None:
            self.session.leave_out(self.experiment, time.monotonic() - self._paused_at - own_share)

    def release(self) -> None:
        """Release the lease."""
        self.session.release(self.experiment)

    def _compute_and_store(self, stage: Stage, engine: Warehouse | None, outputs: list[StageOutput]) -> None:
        """Run one stage, store its frames and collect its outputs, in place of those of an earlier attempt."""
        outputs.clear()
        engine = engine or self.session.engine(self.engines, self.experiment)
        self._run = self.session.acquire(self.experiment, self.dagster_run, engine, *stage.blocks)
        for output in stage.outputs(self._run, engine, self._frames):
            if output.frame is not None:
                self.io_manager.store(output.asset, output.frame)
                self._frames[output.asset] = output.frame
            outputs.append(output)


def refresh_together(
    refreshes: Sequence[ExperimentRefresh],
) -> Generator[tuple[ExperimentRefresh, Step], None, None]:
    """Run every stage of several experiments, with one scan of the events that they share (rule N8).

    The first exposures of all come first: they tell whose events are to be read. One experiment that fails, or is
    refused, ends alone. Leases are released at the end.
    """
    try:
        going_on = []
        for each in refreshes:
            yield from ((each, step) for step in each.run(BEFORE_SHARED_SCAN))
            if each.is_blocked:
                each.release()
                yield each, Ended(each.error)
            else:
                each.pause()
                going_on.append(each)
        wanted = {each: found for each in going_on if (found := each.wanted) is not None}
        began = time.monotonic()
        with _sharing(wanted) as engine:
            own_share = (time.monotonic() - began) / max(1, len(wanted))
            for each in going_on:
                is_sharing = each in wanted
                each.resume(own_share if is_sharing else 0.0)
                yield from ((each, step) for step in each.run(WITH_SHARED_SCAN, engine if is_sharing else None))
                each.release()
                yield each, Ended(each.error)
    finally:
        for each in refreshes:
            each.release()


@contextmanager
def _sharing(wanted: Mapping[ExperimentRefresh, WantedAggregates]) -> Iterator[Warehouse | None]:
    """Give the engine that has read for several experiments; a process has one that offers it, over its lake."""
    scanning = next((each.shared_scan for each in wanted), None)
    if scanning is None or len(wanted) == 1:
        yield None
        return
    with scanning.sharing(list(wanted.values())) as engine:
        yield engine
