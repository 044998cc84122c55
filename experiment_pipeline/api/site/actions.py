"""Actions of the results page: ask for a refresh, start, pause and complete. Each leads back to the experiment."""

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from experiment_pipeline.api.experiments import Name
from experiment_pipeline.api.lake_soundness import require_sound_lake
from experiment_pipeline.api.phases import Phase, in_phase
from experiment_pipeline.api.problems import kind_of
from experiment_pipeline.api.site.experiment import Asked, Done, experiment_page
from experiment_pipeline.api.site.routes import SITE, CanAsk, CanManage, PageRoute, Visit, address
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import ClaimSource, Computation, computation_to_request
from experiment_pipeline.errors import Conflict, InvalidTransition, LakeError, NotAllowed, RefreshRefused, Throttled

router = APIRouter(prefix=f"{SITE}/experiments/{{experiment}}", route_class=PageRoute, include_in_schema=False)


@router.post("/refresh/", response_class=Response)
def refresh(visit: CanAsk, experiment: Name, phase: Phase = None) -> Response:
    found, shared = in_phase(visit.find(experiment), phase), visit.shared
    exposures, results = (shared.registry.computations.get(found.id, each, found.phase) for each in Computation)
    try:
        require_sound_lake(shared)
        shared.registry.claims.create(
            found.id,
            computation_to_request(exposures, results).computation,
            ClaimSource.API,
            shared.now(),
            shared.settings.refresh_min_interval,
            phase=None if phase is None else found.phase,
        )
    except (RefreshRefused, LakeError) as refused:
        return _refused(visit, found, Asked(phase), refused)
    return _back(visit, found, Done.REFRESH, phase)


@router.post("/start/", response_class=Response)
def start(visit: CanManage, experiment: Name) -> Response:
    return _transition(visit, experiment, ExperimentStatus.RUNNING, Done.START)


@router.post("/pause/", response_class=Response)
def pause(visit: CanManage, experiment: Name) -> Response:
    return _transition(visit, experiment, ExperimentStatus.PAUSED, Done.PAUSE)


@router.post("/complete/", response_class=Response)
def complete(visit: CanManage, experiment: Name) -> Response:
    return _transition(visit, experiment, ExperimentStatus.COMPLETED, Done.COMPLETE)


def _transition(visit: Visit, name: str, to: ExperimentStatus, done: Done) -> Response:
    found, shared = visit.find(name), visit.shared
    try:
        shared.registry.experiments.transition(found.id, to, actor=visit.visitor.actor, now=shared.now())
    except (NotAllowed, Conflict) as refused:
        return _refused(visit, found, Asked(), refused)
    return _back(visit, found, done)


def _refused(visit: Visit, experiment: Experiment, asked: Asked, refused: Exception) -> Response:
    """Return the experiment's page, with the reason why nothing was done."""
    reason = refused.advice if isinstance(refused, InvalidTransition) else str(refused)
    status, _ = kind_of(refused)
    response = experiment_page(visit, experiment, asked, status=status, refusal=reason)
    if isinstance(refused, Throttled):
        response.headers["Retry-After"] = str(refused.seconds_left)
    return response


def _back(visit: Visit, experiment: Experiment, done: Done, phase: str | None = None) -> Response:
    """Return the way back to the experiment's page, which says what was done."""
    return RedirectResponse(
        address(f"{visit.visitor.home}/experiments/{experiment.key}/", phase=phase, done=done.value), 303
    )
