"""Experiments over HTTP: list, declare, change, delete, start, pause, restart and complete."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from experiment_pipeline.api.auth import ENVIRONMENT, Access, CanAdminister, CanRead, KeyCheckedRoute
from experiment_pipeline.api.dependencies import Shared, State
from experiment_pipeline.api.pagination import Page, Paging, Search
from experiment_pipeline.api.problems import POSSIBLE, WRITING
from experiment_pipeline.domain.drafts import ExperimentDraft
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.schemas.requests import ExperimentPatch, Restart
from experiment_pipeline.schemas.responses import ExperimentView

router = APIRouter(
    prefix=f"{ENVIRONMENT}/experiments", tags=["experiments"], route_class=KeyCheckedRoute, responses=POSSIBLE
)
Name = Annotated[str, Path(description="the experiment's id or key", examples=["checkout"])]


class ExperimentPage(Page[ExperimentView]):
    """A page of experiments."""

    status_counts: dict[ExperimentStatus, int]


def find(shared: State, access: Access, name: str) -> Experiment:
    """Return the experiment that a path names. Raises NotFound."""
    return shared.registry.experiments.find(access.environment_key, name)


@router.get("/", summary="List experiments, newest first")
def list_experiments(
    shared: Shared,
    access: CanRead,
    paging: Paging,
    status: Annotated[list[ExperimentStatus], Query()] = [],  # noqa: B006 - FastAPI copies it
    search: Search = "",
) -> ExperimentPage:
    counts = shared.registry.experiments.status_counts(access.environment_key, search=search)
    count = sum(number for each, number in counts.items() if each in status or not status)
    found = shared.registry.experiments.list(
        access.environment_key, statuses=status, search=search, limit=paging.limit, offset=paging.offset
    )
    return ExperimentPage(
        count=count,
        next=paging.next(count),
        previous=paging.previous(),
        results=[_view(shared, experiment) for experiment in found],
        status_counts=counts,
    )


@router.post("/", status_code=201, summary="Declare an experiment", responses=WRITING)
def create_experiment(shared: Shared, access: CanAdminister, body: ExperimentDraft) -> ExperimentView:
    created = shared.registry.experiments.create(access.environment_key, body, actor=access.actor, now=shared.now())
    return _view(shared, created)


@router.get("/{experiment}/", summary="Show an experiment")
def show_experiment(shared: Shared, access: CanRead, experiment: Name) -> ExperimentView:
    return _view(shared, find(shared, access, experiment))


@router.patch("/{experiment}/", summary="Change an experiment", responses=WRITING)
def change_experiment(shared: Shared, access: CanAdminister, experiment: Name, body: ExperimentPatch) -> ExperimentView:
    found = find(shared, access, experiment)
    changed = shared.registry.experiments.change(found.id, body.revise, actor=access.actor, now=shared.now())
    return _view(shared, changed)


@router.delete("/{experiment}/", status_code=204, summary="Delete an experiment", responses=WRITING)
def delete_experiment(shared: Shared, access: CanAdminister, experiment: Name) -> None:
    shared.registry.experiments.delete(find(shared, access, experiment).id, actor=access.actor, now=shared.now())


@router.post("/{experiment}/start/", summary="Start an experiment", responses=WRITING)
def start_experiment(shared: Shared, access: CanAdminister, experiment: Name) -> ExperimentView:
    return _transition(shared, access, experiment, ExperimentStatus.RUNNING)


@router.post("/{experiment}/pause/", summary="Pause an experiment", responses=WRITING)
def pause_experiment(shared: Shared, access: CanAdminister, experiment: Name) -> ExperimentView:
    return _transition(shared, access, experiment, ExperimentStatus.PAUSED)


@router.post("/{experiment}/complete/", summary="Complete an experiment", responses=WRITING)
def complete_experiment(shared: Shared, access: CanAdminister, experiment: Name) -> ExperimentView:
    return _transition(shared, access, experiment, ExperimentStatus.COMPLETED)


@router.post("/{experiment}/restart/", summary="End the present phase, and begin the next", responses=WRITING)
def restart_experiment(
    shared: Shared, access: CanAdminister, experiment: Name, body: Restart | None = None
) -> ExperimentView:
    found, asked = find(shared, access, experiment), body or Restart()
    restarted = shared.registry.experiments.restart(
        found.id, asked.variants, actor=access.actor, now=shared.now(), ends=asked.phase or found.phase
    )
    return _view(shared, restarted)


def _transition(shared: State, access: Access, name: str, to: ExperimentStatus) -> ExperimentView:
    found = find(shared, access, name)
    moved = shared.registry.experiments.transition(found.id, to, actor=access.actor, now=shared.now())
    return _view(shared, moved)


def _view(shared: State, experiment: Experiment) -> ExperimentView:
    return ExperimentView.of(experiment, Floors.of(shared.settings))
