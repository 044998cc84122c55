"""The metrics of one experiment over HTTP: list, attach, change, detach."""

from fastapi import APIRouter

from experiment_pipeline.api.auth import ENVIRONMENT, CanAdminister, CanRead, KeyCheckedRoute
from experiment_pipeline.api.dependencies import Shared
from experiment_pipeline.api.experiments import Name, find
from experiment_pipeline.api.problems import POSSIBLE, WRITING
from experiment_pipeline.domain.drafts import AttachmentDraft
from experiment_pipeline.schemas.requests import AttachmentPatch
from experiment_pipeline.schemas.responses import AttachmentView

router = APIRouter(
    prefix=f"{ENVIRONMENT}/experiments/{{experiment}}/metrics",
    tags=["metrics of an experiment"],
    route_class=KeyCheckedRoute,
    responses=POSSIBLE,
)


@router.get("/", summary="List an experiment's metrics, the primary first")
def list_attachments(shared: Shared, access: CanRead, experiment: Name) -> list[AttachmentView]:
    return [AttachmentView.of(attached) for attached in find(shared, access, experiment).metrics]


@router.post("/", status_code=201, summary="Attach a metric", responses=WRITING)
def attach_metric(shared: Shared, access: CanAdminister, experiment: Name, body: AttachmentDraft) -> AttachmentView:
    found = find(shared, access, experiment)
    attached = shared.registry.attachments.attach(found.id, body, actor=access.actor, now=shared.now())
    return AttachmentView.of(attached)


@router.patch("/{metric_id}/", summary="Change a metric's expected direction or margin", responses=WRITING)
def change_attachment(
    shared: Shared, access: CanAdminister, experiment: Name, metric_id: int, body: AttachmentPatch
) -> AttachmentView:
    found = find(shared, access, experiment)
    changed = shared.registry.attachments.change(found.id, metric_id, body.revise, actor=access.actor, now=shared.now())
    return AttachmentView.of(changed)


@router.delete("/{metric_id}/", status_code=204, summary="Detach a metric", responses=WRITING)
def detach_metric(shared: Shared, access: CanAdminister, experiment: Name, metric_id: int) -> None:
    found = find(shared, access, experiment)
    shared.registry.attachments.detach(found.id, metric_id, actor=access.actor, now=shared.now())
