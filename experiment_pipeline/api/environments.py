"""Environments over HTTP: the one that the caller's key opens, so that a client needs nothing but a key."""

from fastapi import APIRouter

from experiment_pipeline.api.auth import CanReadItsOwn, KeyCheckedRoute
from experiment_pipeline.api.dependencies import Shared
from experiment_pipeline.api.pagination import Page
from experiment_pipeline.api.problems import POSSIBLE
from experiment_pipeline.schemas.responses import EnvironmentView

router = APIRouter(
    prefix="/api/v1/environments", tags=["environments"], route_class=KeyCheckedRoute, responses=POSSIBLE
)


@router.get("/", summary="List the environments that the key opens: one")
def list_environments(shared: Shared, access: CanReadItsOwn) -> Page[EnvironmentView]:
    found = shared.registry.environments.get(access.environment_key)
    return Page(count=1, next=None, previous=None, results=[EnvironmentView.model_validate(found)])
