"""The audit log over HTTP: who changed what, when, from what to what (rule L5)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from experiment_pipeline.api.auth import ENVIRONMENT, CanAdminister, KeyCheckedRoute
from experiment_pipeline.api.dependencies import Shared
from experiment_pipeline.api.pagination import Page, Paging, Text
from experiment_pipeline.api.problems import POSSIBLE
from experiment_pipeline.schemas.responses import ChangeView

router = APIRouter(prefix=f"{ENVIRONMENT}/audit", tags=["audit log"], route_class=KeyCheckedRoute, responses=POSSIBLE)


class ChangeFilters:
    """The changes that a request asks for; an empty filter lets every change through."""

    def __init__(
        self,
        subject: Annotated[Text, Query(description="`experiment:12` for one, `experiment` for every one")] = "",
        actor: Annotated[Text, Query(description="who made the change, e.g. `key:0a1b2c3d4e5f`")] = "",
        action: Annotated[Text, Query(description="e.g. `create`, `change`, `delete` or a new status")] = "",
    ) -> None:
        self.chosen = {"subject": subject or None, "actor": actor or None, "action": action or None}


@router.get("/", summary="List changes, newest first")
def list_changes(
    shared: Shared, access: CanAdminister, paging: Paging, filters: Annotated[ChangeFilters, Depends()]
) -> Page[ChangeView]:
    log, environment_key = shared.registry.audit, access.environment_key
    count = log.count(environment_key, **filters.chosen)
    found = log.list(environment_key, **filters.chosen, limit=paging.limit, offset=paging.offset)
    return Page(
        count=count,
        next=paging.next(count),
        previous=paging.previous(),
        results=[ChangeView.model_validate(change) for change in found],
    )
