"""Metrics over HTTP: list, declare, change, delete."""

from fastapi import APIRouter

from experiment_pipeline.api.auth import ENVIRONMENT, CanAdminister, CanRead, KeyCheckedRoute
from experiment_pipeline.api.dependencies import Shared
from experiment_pipeline.api.pagination import Page, Paging, Search
from experiment_pipeline.api.problems import POSSIBLE, WRITING
from experiment_pipeline.domain.drafts import MetricDraft
from experiment_pipeline.schemas.requests import MetricPatch
from experiment_pipeline.schemas.responses import MetricView

router = APIRouter(prefix=f"{ENVIRONMENT}/metrics", tags=["metrics"], route_class=KeyCheckedRoute, responses=POSSIBLE)


@router.get("/", summary="List metrics, newest first")
def list_metrics(shared: Shared, access: CanRead, paging: Paging, search: Search = "") -> Page[MetricView]:
    count = shared.registry.metrics.count(access.environment_key, search=search)
    found = shared.registry.metrics.list(
        access.environment_key, search=search, limit=paging.limit, offset=paging.offset
    )
    return Page(
        count=count,
        next=paging.next(count),
        previous=paging.previous(),
        results=[MetricView.of(metric) for metric in found],
    )


@router.post("/", status_code=201, summary="Declare a metric", responses=WRITING)
def create_metric(shared: Shared, access: CanAdminister, body: MetricDraft) -> MetricView:
    created = shared.registry.metrics.create(access.environment_key, body, actor=access.actor, now=shared.now())
    return MetricView.of(created)


@router.get("/{metric_id}/", summary="Show a metric")
def show_metric(shared: Shared, access: CanRead, metric_id: int) -> MetricView:
    return MetricView.of(shared.registry.metrics.find(access.environment_key, metric_id))


@router.patch("/{metric_id}/", summary="Change a metric", responses=WRITING)
def change_metric(shared: Shared, access: CanAdminister, metric_id: int, body: MetricPatch) -> MetricView:
    changed = shared.registry.metrics.change(
        access.environment_key, metric_id, body.revise, actor=access.actor, now=shared.now()
    )
    return MetricView.of(changed)


@router.delete("/{metric_id}/", status_code=204, summary="Delete a metric", responses=WRITING)
def delete_metric(shared: Shared, access: CanAdminister, metric_id: int) -> None:
    shared.registry.metrics.delete(access.environment_key, metric_id, actor=access.actor, now=shared.now())
