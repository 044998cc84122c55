"""Looks over HTTP: every results payload that was published of an experiment (rule R9)."""

from fastapi import APIRouter

from experiment_pipeline.api.auth import ENVIRONMENT, CanRead, KeyCheckedRoute
from experiment_pipeline.api.dependencies import Shared
from experiment_pipeline.api.experiments import Name, find
from experiment_pipeline.api.pagination import Page, Paging
from experiment_pipeline.api.phases import Phase, in_phase
from experiment_pipeline.api.problems import POSSIBLE
from experiment_pipeline.results.looks import LookSummary, look_summary

router = APIRouter(
    prefix=f"{ENVIRONMENT}/experiments/{{experiment}}/looks",
    tags=["exposures and results"],
    route_class=KeyCheckedRoute,
    responses=POSSIBLE,
)


@router.get("/", summary="List looks, newest first")
def list_looks(
    shared: Shared, access: CanRead, paging: Paging, experiment: Name, phase: Phase = None
) -> Page[LookSummary]:
    found = in_phase(find(shared, access, experiment), phase)
    count = shared.registry.looks.count(found.id, found.phase)
    looks = shared.registry.looks.list(found.id, found.phase, limit=paging.limit, offset=paging.offset)
    return Page(
        count=count,
        next=paging.next(count),
        previous=paging.previous(),
        results=[look_summary(look) for look in looks],
    )
