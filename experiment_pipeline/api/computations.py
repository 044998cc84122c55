"""Exposures and results over HTTP: read what was published, ask for a refresh (rules R1, R2)."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from experiment_pipeline.api.auth import CanRead, CanRefresh
from experiment_pipeline.api.dependencies import Shared
from experiment_pipeline.api.experiments import Name, find
from experiment_pipeline.domain.refresh import ClaimSource, Computation
from experiment_pipeline.registry.engine import to_json
from experiment_pipeline.results.payload import ExposuresPayload, ResultsPayload
from experiment_pipeline.schemas.responses import Envelope

router = APIRouter(prefix="/environments/{environment_key}/experiments/{experiment}", tags=["exposures and results"])
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "What the client has is what stands: `If-None-Match` names its ETag."}
}
REVALIDATE = "private, no-cache"
FINAL = "private, max-age=86400"  # a final payload never changes (rule R6)


class ExposuresView(BaseModel):
    """Exposures, null before anything was asked for."""

    exposures: Envelope[ExposuresPayload] | None


class ResultsView(BaseModel):
    """Results, null before anything was asked for."""

    results: Envelope[ResultsPayload] | None


def conditional(request: Request, body: bytes, *, is_final: bool) -> Response:
    """The body with a strong ETag over all of it, or 304 when the client has it already (RFC 9110, 13.1.2)."""
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": FINAL if is_final else REVALIDATE, "Vary": "Authorization"}
    known = {each.strip().removeprefix("W/") for each in request.headers.get("If-None-Match", "").split(",")}
    if etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def _reader(computation: Computation) -> Callable[[Request, Shared, CanRead, Name], Response]:
    def read(request: Request, shared: Shared, access: CanRead, experiment: Name) -> Response:
        state = shared.registry.find_computation(access.environment_key, experiment, computation)
        body = to_json({computation.value: state.envelope()}).encode()
        return conditional(request, body, is_final=state.is_final)

    return read


def _refresher(computation: Computation) -> Callable[[Shared, CanRefresh, Name], Response]:
    def refresh(shared: Shared, access: CanRefresh, experiment: Name) -> Response:
        found = find(shared, access, experiment)
        shared.registry.claim(
            found.id, computation, ClaimSource.API, shared.now(), shared.settings.refresh_min_interval
        )
        return Response(status_code=202)

    return refresh


for computation, view in ((Computation.EXPOSURES, ExposuresView), (Computation.RESULTS, ResultsView)):
    router.get(
        f"/{computation}/",
        name=f"show_{computation}",
        summary=f"Show {computation}",
        response_model=view,
        responses=NOT_MODIFIED,
    )(_reader(computation))
    router.post(
        f"/{computation}/refresh/",
        name=f"refresh_{computation}",
        summary=f"Ask for a refresh of {computation}",
        status_code=202,
        response_class=Response,
    )(_refresher(computation))
