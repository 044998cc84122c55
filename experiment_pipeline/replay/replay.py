"""Replay: results computed again from the rows of a data version, without touching what is published (rule R10).

An engine over artifacts of its own does it: a refresh may run meanwhile. The registry is only read.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.exposures import summarise_exposures
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.looks import Look
from experiment_pipeline.domain.planned_looks import PlannedLookOf
from experiment_pipeline.domain.refresh import RefreshRun
from experiment_pipeline.errors import ConfigurationError, NotStarted
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.replay.differences import Difference, differences
from experiment_pipeline.results.decision import decide_experiment
from experiment_pipeline.results.model import ExperimentResults
from experiment_pipeline.results.payload import (
    ExposuresPayload,
    ResultsPayload,
    error_titles,
    exposures_payload,
    results_payload,
)
from experiment_pipeline.times import iso_utc, to_milliseconds
from experiment_pipeline.warehouse.artifacts import code_version
from experiment_pipeline.warehouse.base import Warehouse
from experiment_pipeline.warehouse.computed_results import computed_results, movement_since
from experiment_pipeline.warehouse.frame_schemas import listed_exposures

RUN_ID = "replay"
NOT_TOLD = "decision"  # rests on health findings, which older versions did not store with a look
MOST_STEPS = 1_000


@dataclass(frozen=True, slots=True)
class ReplayedLook:
    """A published look beside what the same rows give now.

    Attributes:
        payload: computed now.
        differences: between both; none where the replay equals the look to the last bit.
        not_compared: members of the payload that cannot be computed again.
        erased: identities that the look may have counted, and that have been erased since (rule E6): what remains is
            compared, and may differ by them.
    """

    look: Look
    payload: ResultsPayload
    differences: tuple[Difference, ...]
    not_compared: tuple[str, ...]
    erased: int = 0

    @property
    def is_equal(self) -> bool:
        """Whether everything that was compared is the same."""
        return not self.differences

    @property
    def code_changed(self) -> bool:
        """Whether another version of the code that decides numbers had published the look."""
        return self.look.code_version != code_version()


@dataclass(frozen=True, slots=True)
class ReplayedMoment:
    """Payloads that a refresh would have published at a moment, without health findings and what moved.

    Attributes:
        as_of: the end of the window, UTC.
    """

    as_of: datetime
    data_version: int
    exposures: ExposuresPayload
    results: ResultsPayload


@dataclass(frozen=True, slots=True)
class Replayer:
    """Replays of one experiment's phase.

    Attributes:
        warehouse: an engine whose artifacts nobody else uses.
        floors: of the installation.
    """

    registry: Registry
    warehouse: Warehouse
    experiment: Experiment
    floors: Floors

    def look(self, number: int) -> ReplayedLook:
        """Compute the payload of a published look again and compare it.

        Raises:
            NotFound: there is no such look.
        """
        looks, phase = self.registry.looks, self.experiment.phase
        look = looks.get(self.experiment.id, number, phase)
        previous = looks.get(self.experiment.id, number - 1, phase) if number > 1 else None
        then = experiment_at(self.experiment, look)
        scope = self._scope(then, look.as_of, look.data_version)
        results = self._results(then, scope, self._planned_by(previous))
        erased = self.registry.erasures.since(self.experiment, look.computed_at)
        before = 0 if previous is None else self.registry.erasures.since(self.experiment, previous.computed_at) - erased
        moved = movement_since(
            previous, results, then, scope, self.warehouse, code_version=look.code_version, erased=before
        )
        health = look.payload.get("health")
        decision = decide_experiment(then, results, error_titles(health or ()), results.contradicted)
        payload = results_payload(results, moved, decision, health)
        not_compared = (NOT_TOLD,) if health is None else ()
        published, replayed = (_without(each, not_compared) for each in (look.payload, payload))
        return ReplayedLook(look, payload, tuple(differences(published, replayed)), not_compared, erased)

    def moment(self, as_of: datetime, data_version: int) -> ReplayedMoment:
        """Compute what a refresh would have published at a moment, from the rows of a data version.

        Raises:
            NotStarted: the experiment had not started.
        """
        started_at = self.experiment.started_at
        if started_at is None or as_of < started_at:
            raise NotStarted(f"'{self.experiment.key}' had not started at {iso_utc(as_of)}.")
        return self._moment(to_milliseconds(as_of), data_version, self._planned_before(as_of))[0]

    def steps(self, every: timedelta, until: datetime, data_version: int) -> Iterator[ReplayedMoment]:
        """Yield what looks at equal steps after the start would have shown, by when events happened.

        What came late counts at the step that it is dated before. Planned looks are taken at these steps alone.

        Args:
            every: the step.
            until: the last moment; it is a look, too.
            data_version: the same for all steps.

        Raises:
            NotStarted: the experiment has not started.
            ConfigurationError: so short a step takes more than `MOST_STEPS` looks.
        """
        if self.experiment.started_at is None:
            raise NotStarted(f"'{self.experiment.key}' has not started.")
        planned: list[PlannedLookOf] = []
        for as_of in moments(self.experiment.started_at, until, every):
            found, results = self._moment(as_of, data_version, tuple(planned))
            planned += results.new_planned_looks
            yield found

    def _moment(
        self, as_of: datetime, data_version: int, planned: tuple[PlannedLookOf, ...]
    ) -> tuple[ReplayedMoment, ExperimentResults]:
        then = _running_at(self.experiment, as_of)
        scope = self._scope(then, as_of, data_version)
        results = self._results(then, scope, planned)
        listed, unlisted = listed_exposures(self.warehouse.exposure_buckets(scope).rows, then.variant_keys)
        summary = summarise_exposures(listed, scope.window.granularity, unlisted)
        payload = results_payload(results, None, decide_experiment(then, results, (), results.contradicted))
        return ReplayedMoment(as_of, data_version, exposures_payload(summary, then.phase), payload), results

    def _scope(self, experiment: Experiment, as_of: datetime, data_version: int) -> AnalysisScope:
        """Return the scope of a replay, its first exposures written."""
        run = RefreshRun(RUN_ID, experiment.id, as_of, data_version, experiment.phase)
        scope = AnalysisScope.of(experiment, run)
        self.warehouse.write_first_exposures(scope)
        return scope

    def _results(
        self, experiment: Experiment, scope: AnalysisScope, planned: tuple[PlannedLookOf, ...]
    ) -> ExperimentResults:
        metrics = tuple(attached.metric for attached in experiment.metrics)
        rows = self.warehouse.variant_aggregates(scope, metrics, sensitive=next(iter(metrics), None)).rows
        return computed_results(
            experiment, scope, self.warehouse, rows, floors=self.floors, planned_looks=planned
        ).results

    def _planned_by(self, previous: Look | None) -> tuple[PlannedLookOf, ...]:
        """Return the planned looks that were stored when the look after another one was computed."""
        if previous is None:
            return ()
        shown = {
            (metric["metric_id"], treatment, each["number"])
            for metric in previous.payload["metrics"]
            for treatment, planned in metric.get("planned_looks", {}).items()
            for each in planned["looks"]
        }
        stored = self.registry.planned_looks.list(self.experiment.id, self.experiment.phase)
        return tuple(each for each in stored if (each.metric_id, each.treatment, each.look.number) in shown)

    def _planned_before(self, as_of: datetime) -> tuple[PlannedLookOf, ...]:
        stored = self.registry.planned_looks.list(self.experiment.id, self.experiment.phase)
        return tuple(each for each in stored if each.look.as_of < as_of)


def experiment_at(experiment: Experiment, look: Look) -> Experiment:
    """Return the experiment as it was when a look was published: with the look's metrics, and not ended before."""
    attached = {each.metric.id: each for each in experiment.metrics}
    shown = (metric["metric_id"] for metric in look.payload["metrics"])
    then = _running_at(experiment, look.as_of)
    return replace(then, metrics=tuple(attached[number] for number in shown if number in attached))


def moments(started_at: datetime, until: datetime, every: timedelta) -> list[datetime]:
    """Return the moments of looks at equal steps after a start, and the last one whatever is left of the step.

    Raises:
        ConfigurationError: so short a step takes more than `MOST_STEPS` looks.
    """
    if every <= timedelta(0) or (until - started_at) / every > MOST_STEPS:
        took = f"from {iso_utc(started_at)} to {iso_utc(until)} it would take more than {MOST_STEPS:,} looks"
        raise ConfigurationError.of("--every", f"Must be longer: {took}. Write for example P1D.")
    steps = (started_at + number * every for number in range(1, MOST_STEPS + 1))
    return [*takewhile(lambda moment: moment < until, steps), until]


def _running_at(experiment: Experiment, as_of: datetime) -> Experiment:
    """Return the experiment as a refresh at a moment saw it: one that has ended is analysed up to its end (rule X1)."""
    if experiment.ended_at is None or experiment.ended_at == as_of:
        return experiment
    return replace(experiment, status=ExperimentStatus.RUNNING, ended_at=None)


def _without(payload: object, members: tuple[str, ...]) -> dict[str, object]:
    """Return a payload as JSON has it, without some of its members."""
    found: dict[str, object] = json.loads(json.dumps(payload))
    return {name: value for name, value in found.items() if name not in members}
