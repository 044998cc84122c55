"""Exposures and results over HTTP: read what was published, request a refresh (rules R1, R2)."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from experiment_pipeline.api.auth import ENVIRONMENT, Access, CanRefresh, KeyCheckedRoute, PendingAccess, ReadsInOneHop
from experiment_pipeline.api.dependencies import Shared, State
from experiment_pipeline.api.experiments import Name, find
from experiment_pipeline.api.lake_soundness import require_sound_lake
from experiment_pipeline.api.payload_cache import SERVED, ServedPayload, knows
from experiment_pipeline.api.phases import Phase, in_phase, number_of
from experiment_pipeline.api.problems import POSSIBLE, problems
from experiment_pipeline.domain.refresh import ClaimSource, Computation
from experiment_pipeline.registry.engine import to_json
from experiment_pipeline.results.payload import ExposuresPayload, ResultsPayload
from experiment_pipeline.schemas.responses import Envelope

router = APIRouter(
    prefix=f"{ENVIRONMENT}/experiments/{{experiment}}",
    tags=["exposures and results"],
    route_class=KeyCheckedRoute,
    responses=POSSIBLE,
)
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "Not modified: the client's ETag is current"}}
REVALIDATE = "private, no-cache"
FINAL = "private, max-age=86400"  # a final payload never changes (rule R6)


class ExposuresView(BaseModel):
    """Exposures, null before anything was asked for."""

    exposures: Envelope[ExposuresPayload] | None


class ResultsView(BaseModel):
    """Results, null before anything was asked for."""

    results: Envelope[ResultsPayload] | None


@router.get("/exposures/", summary="Show exposures", response_model=ExposuresView, responses=NOT_MODIFIED)
def show_exposures(
    request: Request, shared: Shared, access: ReadsInOneHop, experiment: Name, phase: Phase = None
) -> Response:
    return _show(request, shared, access, Asked(experiment, Computation.EXPOSURES, phase))


@router.post(
    "/exposures/refresh/",
    summary="Ask for a refresh of exposures",
    status_code=202,
    response_class=Response,
    responses=problems(429),
)
def refresh_exposures(shared: Shared, access: CanRefresh, experiment: Name, phase: Phase = None) -> Response:
    return _refresh(shared, access, Asked(experiment, Computation.EXPOSURES, phase))


@router.get("/results/", summary="Show results", response_model=ResultsView, responses=NOT_MODIFIED)
def show_results(
    request: Request, shared: Shared, access: ReadsInOneHop, experiment: Name, phase: Phase = None
) -> Response:
    return _show(request, shared, access, Asked(experiment, Computation.RESULTS, phase))


@router.post(
    "/results/refresh/",
    summary="Ask for a refresh of results",
    status_code=202,
    response_class=Response,
    responses=problems(429),
)
def refresh_results(shared: Shared, access: CanRefresh, experiment: Name, phase: Phase = None) -> Response:
    return _refresh(shared, access, Asked(experiment, Computation.RESULTS, phase))


@dataclass(frozen=True, slots=True)
class Asked:
    """The computation that a request names, with the experiment and the phase as they stand in its address."""

    experiment: str
    computation: Computation
    phase: str | None


def _refresh(shared: State, access: Access, asked: Asked) -> Response:
    found = in_phase(find(shared, access, asked.experiment), asked.phase)
    require_sound_lake(shared)
    shared.registry.claims.create(
        found.id,
        asked.computation,
        ClaimSource.API,
        shared.now(),
        shared.settings.refresh_min_interval,
        phase=None if asked.phase is None else found.phase,
    )
    return Response(status_code=202)


def _show(request: Request, shared: State, pending: PendingAccess, asked: Asked) -> Response:
    access, computation = pending.check(), asked.computation
    phase = number_of(asked.phase)
    state = shared.registry.computations.find(access.environment_key, asked.experiment, computation, phase)
    body = to_json({computation.value: state.envelope()}).encode()
    answer = conditional(request, body, is_final=state.is_final)
    if access.is_repeatable:
        headers = {name: answer.headers[name] for name in ("ETag", "Cache-Control", "Vary")}
        setattr(request.state, SERVED, ServedPayload(request.state.api_key, body, headers["ETag"], headers))
    return answer


def conditional(request: Request, body: bytes, *, is_final: bool) -> Response:
    """Return the body with a strong ETag over all of it, or 304 when the client has it (RFC 9110, 13.1.2)."""
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": FINAL if is_final else REVALIDATE, "Vary": "Authorization"}
    if knows(request.headers.get("If-None-Match", ""), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")
