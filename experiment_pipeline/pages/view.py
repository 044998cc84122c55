"""The view of one experiment: everything that its page, its report and Dagster's asset pages show, as texts.

Pure functions from what is stored to frozen dataclasses for display. No number is computed here: texts are made of the
payload's members, and of what is missing in a payload that an older version stored there is nothing to show.

A server reads the state and shows the view:

    experiment = registry.experiments.find(environment, key)
    computed = registry.computations.get_together(experiment.id, experiment.phase)
    health = registry.health.get(experiment.id, experiment.phase)
    looks = registry.looks.list(experiment.id, experiment.phase, limit=50)
    view = experiment_view(experiment, computed, health, looks, floors=Floors.of(settings))

`listing.py` has the line of a list of experiments. Dataclasses and fields are only ever added.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.floors import SHIPPED_FLOORS, Floors
from experiment_pipeline.domain.looks import Look
from experiment_pipeline.domain.refresh import Computation, ComputationState, ComputedTogether, StoredHealth
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.pages.decision import DecisionView, decision_view
from experiment_pipeline.pages.findings import FindingView, finding_views
from experiment_pipeline.pages.looks import (
    LookView,
    MovedView,
    PlannedLookView,
    look_view,
    moved_view,
    planned_look_views,
)
from experiment_pipeline.pages.metrics import MetricView, interval_label, metric_views
from experiment_pipeline.pages.notes import note_lines, sensitivity_lines
from experiment_pipeline.pages.parts import PartView, part_views
from experiment_pipeline.pages.split import ExposuresView, SplitView, exposures_view, split_view
from experiment_pipeline.pages.tones import Line, Tone
from experiment_pipeline.pages.withheld import unreadable_lines, withheld_lines
from experiment_pipeline.results.payload import ExposuresPayload, ResultsPayload


@dataclass(frozen=True, slots=True)
class ProvenanceView:
    """How the numbers came about.

    Attributes:
        started_at: beginning of the window, UTC.
        as_of: end of the window, UTC.
        data_version: the number of the newest batch of events that was read.
        code_version: digest of the code that computed them; empty where it is not known.
        sql: what the engine ran; empty where it is not at hand.
        window: window, data version, finality and phase in one line.
    """

    started_at: datetime | None
    as_of: datetime | None
    data_version: int | None
    computed_at: datetime | None
    is_final: bool
    phase: int
    window: str
    code_version: str = ""
    sql: str = ""


@dataclass(frozen=True, slots=True)
class ResultsView:
    """The published results of an experiment.

    Attributes:
        exposures: None where none are published as of the same moment; an alert says so.
        interval: the name of intervals for one look: "95 % interval".
        decision: None of an older version's payload.
        unreadable: which values cannot be read.
        notes: what the table of metrics has no column for.
        sensitivity: the primary metric as it would be under other declarations.
        withheld: why numbers are withheld.
        moved: since the look before; None of an older version's payload.
    """

    provenance: ProvenanceView
    exposures: ExposuresView | None
    split: SplitView
    decision: DecisionView | None
    interval: str
    metrics: tuple[MetricView, ...]
    parts: tuple[PartView, ...]
    unreadable: tuple[Line, ...]
    notes: tuple[Line, ...]
    sensitivity: tuple[Line, ...]
    withheld: tuple[Line, ...]
    moved: MovedView | None
    planned_looks: tuple[PlannedLookView, ...]


@dataclass(frozen=True, slots=True)
class ExperimentView:
    """An experiment as pages show it. Texts of other people stand on one line each, and are not escaped for markup.

    Attributes:
        status: "created", "running", "paused" or "completed".
        alerts: what to know before anything else: nothing is computed yet, or only half of something newer.
        failure: that the last refresh failed, and when; empty where it did not.
        results: None where nothing is published that may be shown.
        findings: of health checks, the worst first.
        looks: those that were given, newest first.
    """

    key: str
    name: str
    environment: str
    feature: str
    hypothesis: str
    status: str
    alerts: tuple[Line, ...]
    failure: str
    results: ResultsView | None
    findings: tuple[FindingView, ...]
    looks: tuple[LookView, ...]

    @property
    def primary(self) -> MetricView | None:
        """The primary metric; None without results, or without metrics."""
        metrics = () if self.results is None else self.results.metrics
        return next((metric for metric in metrics if metric.is_primary), None)


def experiment_view(
    experiment: Experiment,
    computed: ComputedTogether,
    health: StoredHealth | None = None,
    looks: Sequence[Look] = (),
    *,
    floors: Floors = SHIPPED_FLOORS,
    sql: str = "",
) -> ExperimentView:
    """Return an experiment as pages show it.

    Args:
        experiment: in the phase that is shown.
        computed: what is published of it.
        health: the findings of its newest results.
        looks: its newest looks, newest first; as many as the page should show.
        floors: of the installation; they are named where an arm has less.
        sql: what the engine ran for these results, where it is at hand.
    """
    exposures: ComputationState[ExposuresPayload] = computed.exposures
    results: ComputationState[ResultsPayload] = computed.results
    shown = None
    if results.payload is not None:
        exposed = None if exposures.payload is None else _exposures_view(exposures.payload, results.payload)
        provenance = _provenance(experiment, computed, looks, sql)
        shown = _results_view(experiment, exposed, results.payload, floors, provenance)
    return ExperimentView(
        key=experiment.key,
        name=printable(experiment.name),
        environment=experiment.environment_key,
        feature=printable(experiment.feature),
        hypothesis=printable(experiment.hypothesis),
        status=experiment.status.value,
        alerts=tuple(_alerts(computed)),
        failure=_failure_words(results),
        results=shown,
        findings=finding_views(health),
        looks=tuple(look_view(experiment, look) for look in looks),
    )


def newer_line(newer: Computation) -> str:
    """Return what to know where one computation was published alone since the other (`ComputedTogether.newer`)."""
    (other,) = set(Computation) - {newer}
    return f"Newer {newer.value} are published without {other.value} of the same data: a refresh completes them."


def _failure_words(results: ComputationState[ResultsPayload]) -> str:
    """Return that the last refresh failed; empty where it did not."""
    return "" if results.last_error_at is None else f"last refresh failed {_moment(results.last_error_at)}"


def _alerts(computed: ComputedTogether) -> Iterator[Line]:
    exposures, results = computed.exposures.payload, computed.results.payload
    if exposures is None and results is None:
        yield Line("Nothing has been computed yet: run a refresh.", Tone.WARNING)
    if computed.newer is not None and (exposures is not None or results is not None):
        yield Line(newer_line(computed.newer), Tone.WARNING)
    if (exposures is None) is not (results is None):
        missing = Computation.EXPOSURES if exposures is None else Computation.RESULTS
        yield Line(f"No {missing.value} to show beside: run a refresh.", Tone.WARNING)


def _exposures_view(exposures: ExposuresPayload, results: ResultsPayload) -> ExposuresView:
    split = results["srm"]
    return exposures_view(exposures, list(split["identities"]), split["expected_shares"])


def _results_view(
    experiment: Experiment,
    exposures: ExposuresView | None,
    results: ResultsPayload,
    floors: Floors,
    provenance: ProvenanceView,
) -> ResultsView:
    return ResultsView(
        provenance=provenance,
        exposures=exposures,
        split=split_view(results),
        decision=decision_view(results.get("decision")),
        interval=interval_label(experiment),
        metrics=metric_views(experiment, results),
        parts=part_views(experiment, results),
        unreadable=tuple(unreadable_lines(experiment, results)),
        notes=tuple(note_lines(experiment, results)),
        sensitivity=tuple(sensitivity_lines(experiment, results)),
        withheld=tuple(withheld_lines(experiment, results, floors)),
        moved=moved_view(results.get("look")),
        planned_looks=planned_look_views(results),
    )


def _provenance(experiment: Experiment, computed: ComputedTogether, looks: Sequence[Look], sql: str) -> ProvenanceView:
    results: ComputationState[ResultsPayload] = computed.results
    code = next((look.code_version for look in looks if look.as_of == results.as_of), "")
    return ProvenanceView(
        started_at=experiment.started_at,
        as_of=results.as_of,
        data_version=results.data_version,
        computed_at=results.computed_at,
        is_final=computed.exposures.is_final and results.is_final,
        phase=experiment.phase,
        window=_window_words(experiment, computed),
        code_version=code,
        sql=sql,
    )


def _window_words(experiment: Experiment, computed: ComputedTogether) -> str:
    results: ComputationState[ResultsPayload] = computed.results
    restarted = experiment.phase > 1 or not experiment.is_in_newest_phase
    words = f"phase {experiment.phase}, " if restarted else ""
    words += f"from {_moment(experiment.started_at)} to {_moment(results.as_of)} UTC"
    words += f", data version {results.data_version}"
    words += ", final" if computed.exposures.is_final and results.is_final else ""
    if experiment.earlier_phases:
        words += f"; {len(experiment.earlier_phases)} earlier: each phase has spent its own alpha"
    return words


def _moment(moment: datetime | None) -> str:
    return "unknown" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
