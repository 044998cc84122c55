"""Experiments over HTTP: list, declare, change, delete, and their life."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query

from experiment_pipeline.api.auth import Access, CanAdminister, CanRead
from experiment_pipeline.api.dependencies import Shared, State
from experiment_pipeline.api.pagination import Page, Paging, Search
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.schemas.requests import ExperimentBody, ExperimentPatch
from experiment_pipeline.schemas.responses import ExperimentView

router = APIRouter(prefix="/environments/{environment_key}/experiments", tags=["experiments"])
Name = Annotated[str, Path(description="the experiment's id or key", examples=["checkout"])]


class ExperimentPage(Page[ExperimentView]):
    """A page of experiments."""

    status_counts: dict[ExperimentStatus, int]


def find(shared: State, access: Access, name: str) -> Experiment:
    """The experiment that a path names. Raises NotFound."""
    return shared.registry.find_experiment(access.environment_key, name)


@router.get("/", summary="List experiments, newest first")
def list_experiments(
    shared: Shared,
    access: CanRead,
    paging: Paging,
    status: Annotated[list[ExperimentStatus], Query()] = [],  # noqa: B006 - FastAPI copies it
    search: Search = "",
) -> ExperimentPage:
    counts = shared.registry.status_counts(access.environment_key, search=search)
    count = sum(number for each, number in counts.items() if each in status or not status)
    found = shared.registry.list_experiments(
        access.environment_key, statuses=status, search=search, limit=paging.limit, offset=paging.offset
    )
    return ExperimentPage(
        count=count,
        next=paging.next(count),
        previous=paging.previous(),
        results=[ExperimentView.of(experiment) for experiment in found],
        status_counts=counts,
    )


@router.post("/", status_code=201, summary="Declare an experiment")
def create_experiment(shared: Shared, access: CanAdminister, body: ExperimentBody) -> ExperimentView:
    created = shared.registry.create_experiment(
        access.environment_key, body.draft(), actor=access.actor, now=shared.now()
    )
    return ExperimentView.of(created)


@router.get("/{experiment}/", summary="Show an experiment")
def show_experiment(shared: Shared, access: CanRead, experiment: Name) -> ExperimentView:
    return ExperimentView.of(find(shared, access, experiment))


@router.patch("/{experiment}/", summary="Change an experiment")
def change_experiment(shared: Shared, access: CanAdminister, experiment: Name, body: ExperimentPatch) -> ExperimentView:
    found = find(shared, access, experiment)
    changed = shared.registry.change_experiment(found.id, body.revise, actor=access.actor, now=shared.now())
    return ExperimentView.of(changed)


@router.delete("/{experiment}/", status_code=204, summary="Delete an experiment")
def delete_experiment(shared: Shared, access: CanAdminister, experiment: Name) -> None:
    shared.registry.delete_experiment(find(shared, access, experiment).id, actor=access.actor, now=shared.now())


def _step(to: ExperimentStatus) -> Callable[[Shared, CanAdminister, Name], ExperimentView]:
    def take(shared: Shared, access: CanAdminister, experiment: Name) -> ExperimentView:
        found = find(shared, access, experiment)
        moved = shared.registry.move_experiment(found.id, to, actor=access.actor, now=shared.now())
        return ExperimentView.of(moved)

    return take


for verb, to in (
    ("start", ExperimentStatus.RUNNING),
    ("pause", ExperimentStatus.PAUSED),
    ("complete", ExperimentStatus.COMPLETED),
):
    router.post(f"/{{experiment}}/{verb}/", name=f"{verb}_experiment", summary=f"{verb.capitalize()} an experiment")(
        _step(to)
    )
