"""The page of one experiment: decision, metrics, looks, split, breakdowns, health, and how the numbers came about."""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response
from markupsafe import Markup

from experiment_pipeline.api.experiments import Name
from experiment_pipeline.api.phases import Phase, in_phase
from experiment_pipeline.api.site.routes import SITE, CanView, PageRoute, Visit, address, page
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.lifecycle import TRANSITIONS
from experiment_pipeline.domain.refresh import Computation, ComputationState
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.pages.html import inline
from experiment_pipeline.pages.metrics import READINGS, ReadingName
from experiment_pipeline.pages.parts import PartView
from experiment_pipeline.pages.pictures import exposures_picture, forest_picture, looks_picture, planned_looks_picture
from experiment_pipeline.pages.refresh import refresh_view
from experiment_pipeline.pages.result_words import WORDS
from experiment_pipeline.pages.svg import Ground
from experiment_pipeline.pages.view import ExperimentView, ResultsView, experiment_view

router = APIRouter(prefix=f"{SITE}/experiments/{{experiment}}", route_class=PageRoute, include_in_schema=False)
LOOKS_SHOWN = 30
ROWS_SHOWN = 60  # of breakdowns, and of identities over time
LINES_SHOWN = 40  # of notes of one kind
SQL_SHOWN = 12_000  # characters, as on Dagster's asset pages
ACTIONS = {  # by the status that an action leads to
    ExperimentStatus.RUNNING: ("start", "Start"),
    ExperimentStatus.PAUSED: ("pause", "Pause"),
    ExperimentStatus.COMPLETED: ("complete", "Complete"),
}


class Done(StrEnum):
    """An action that has just been carried out."""

    REFRESH = "refresh"
    START = "start"
    PAUSE = "pause"
    COMPLETE = "complete"


DONE = {
    Done.REFRESH: "A refresh is requested. The numbers below change once it is computed; this page says when.",
    Done.START: "The experiment is running.",
    Done.PAUSE: "The experiment is paused: it is not refreshed by itself any more.",
    Done.COMPLETE: "The experiment is completed. A last refresh computes its final results.",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The part of a page that its address asks for.

    Attributes:
        phase: the phase; None for the newest one.
        reading: of the metrics; None for the one that verdicts are about.
        breakdown: the number of the metric whose parts are shown; None for the first that has any.
        done: the action that led to the page.
    """

    phase: Phase = None
    reading: Annotated[ReadingName | None, Query()] = None
    breakdown: Annotated[int | None, Query(ge=1)] = None
    done: Annotated[Done | None, Query()] = None

    def at(self, path: str, **changed: str | int | None) -> str:
        """Return the address of the same page, with something else asked for."""
        asked = {"phase": self.phase, "reading": self.reading, "breakdown": self.breakdown} | changed
        return address(path, **asked)


AskedFor = Annotated[Asked, Depends()]


@router.get("/", response_class=Response)
def show_experiment(visit: CanView, experiment: Name, asked: AskedFor) -> Response:
    found = in_phase(visit.find(experiment), asked.phase)
    return experiment_page(visit, found, asked, message="" if asked.done is None else DONE[asked.done])


@router.get("/state/", response_class=Response)
def show_state(visit: CanView, experiment: Name, phase: Phase = None) -> Response:
    """Answer the script of the page, which asks whether something newer is published."""
    found = in_phase(visit.find(experiment), phase)
    states = [visit.shared.registry.computations.get(found.id, each, found.phase) for each in Computation]
    return JSONResponse({"version": _version(found, *states)})


def experiment_page(
    visit: Visit,
    experiment: Experiment,
    asked: Asked,
    *,
    status: int = 200,
    message: str = "",
    refusal: str = "",
) -> Response:
    """Return the page of an experiment.

    Args:
        visit: who asks.
        experiment: in the phase that is shown.
        asked: what the address asks for.
        status: of the answer.
        message: what was just done.
        refusal: why what was asked for was not done.
    """
    shared, path = visit.shared, f"{visit.visitor.home}/experiments/{experiment.key}/"
    registry = shared.registry
    computed = registry.computations.get_together(experiment.id, experiment.phase)
    health = registry.health.live(experiment, shared.now(), Thresholds.of(shared.settings))
    looks = registry.looks.list(experiment.id, experiment.phase, limit=LOOKS_SHOWN)
    sql = registry.results_sql.get(experiment.id, computed.results)
    view = experiment_view(experiment, computed, health, looks, floors=Floors.of(shared.settings), sql=sql)
    interval, now = shared.settings.refresh_min_interval, shared.now()
    context: dict[str, Any] = {
        "view": view,
        "experiment": experiment,
        "path": path,
        "api_path": f"/api/v1{path}",
        "message": message,
        "refusal": refusal,
        "version": _version(experiment, computed.exposures, computed.results),
        "state_address": address(f"{path}state/", phase=asked.phase),
        "refresh": refresh_view(experiment, computed.exposures, computed.results, interval, now),
        "actions": _actions(experiment),
        "phases": _phases(experiment, path, asked),
        "phase": asked.phase,
        "words": WORDS,
        "lines_shown": LINES_SHOWN,
        "sql_shown": SQL_SHOWN,
    }
    if view.results is not None:
        context |= _of_results(view, view.results, asked, path)
    if (count := len(looks)) == LOOKS_SHOWN:
        count = registry.looks.count(experiment.id, experiment.phase)
    return page(visit.request, "experiment.html", status, looks_count=count, **context)


def _of_results(view: ExperimentView, results: ResultsView, asked: Asked, path: str) -> dict[str, Any]:
    names = [name for name in ReadingName if any(name in metric.reading_names for metric in results.metrics)]
    deciding = ReadingName.ADJUSTED if ReadingName.ADJUSTED in names else ReadingName.PLAIN
    reading = asked.reading if asked.reading in names else deciding
    metrics_with_parts = {part.metric: 0 for part in results.parts}
    chosen = [metric for metric in results.metrics if metric.name in metrics_with_parts]
    of = next((metric for metric in chosen if metric.id == asked.breakdown), chosen[0] if chosen else None)
    rows = [] if of is None else _part_rows(results.parts, of.name)
    return {
        "reading": reading,
        "readings": READINGS,
        "switch": [(READINGS[name][0], asked.at(path, reading=name), name is reading) for name in names],
        "breakdowns": [(metric.name, asked.at(path, breakdown=metric.id), metric is of) for metric in chosen],
        "part_rows": rows[:ROWS_SHOWN],
        "parts_left_out": max(0, len(rows) - ROWS_SHOWN),
        "rows_shown": ROWS_SHOWN,
        "pictures": _pictures(view, results, reading),
    }


def _part_rows(parts: tuple[PartView, ...], metric: str) -> list[tuple[PartView, Any]]:
    return [(part, row) for part in parts if part.metric == metric for row in part.rows]


def _pictures(view: ExperimentView, results: ResultsView, reading: ReadingName) -> dict[str, Markup]:
    """Return the pictures that there is something for, by name."""
    drawn = {}
    if results.metrics:
        drawn["effects"] = forest_picture(results.metrics, results.interval, reading, Ground.PAGE)
    if view.primary is not None and len(view.looks) > 1:
        drawn["looks"] = looks_picture(view.looks, view.primary, Ground.PAGE)
    if results.planned_looks:
        drawn["planned"] = planned_looks_picture(results.planned_looks, Ground.PAGE)
    if results.exposures is not None:
        drawn["exposures"] = exposures_picture(results.exposures, Ground.PAGE)
    return {name: inline(picture) for name, picture in drawn.items()}


def _actions(experiment: Experiment) -> list[tuple[str, str]]:
    """Return the actions that the newest phase's status allows; an earlier phase has none."""
    if not experiment.is_in_newest_phase:
        return []
    return [ACTIONS[to] for to in TRANSITIONS[experiment.status]]


def _phases(experiment: Experiment, path: str, asked: Asked) -> list[tuple[int, str, bool]]:
    """Return number and address of every phase, and whether it is the one that is shown; none where there is one."""
    last = len(experiment.ended_phases) + 1
    numbers = range(1, last + 1) if last > 1 else ()
    return [
        (number, asked.at(path, phase=None if number == last else number), number == experiment.phase)
        for number in numbers
    ]


def _version(experiment: Experiment, exposures: ComputationState, results: ComputationState) -> str:
    """Return a digest of what the page depends on."""
    states = [(each.computed_at, each.last_error_at, each.is_final) for each in (exposures, results)]
    return sha256(repr((experiment.status, experiment.phase, experiment.updated_at, states)).encode()).hexdigest()[:16]
