"""Live statistics over HTTP: the primary metric at the moment of the newest results, for dashboards."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from experiment_pipeline.api.auth import CanReadItsOwn, KeyCheckedRoute
from experiment_pipeline.api.computations import NOT_MODIFIED, conditional
from experiment_pipeline.api.dependencies import Shared
from experiment_pipeline.api.experiments import find
from experiment_pipeline.api.phases import Phase, in_phase
from experiment_pipeline.api.problems import POSSIBLE
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.registry.engine import to_json
from experiment_pipeline.results.live_stats import LiveStatsPayload
from experiment_pipeline.results.published_live_stats import served_live_stats
from experiment_pipeline.schemas.responses import Moment

router = APIRouter(
    prefix="/api/v1/experiments", tags=["exposures and results"], route_class=KeyCheckedRoute, responses=POSSIBLE
)
Name = Annotated[str, Path(description="the experiment's id, or its key in the API key's environment")]


class LiveStatsView(LiveStatsPayload):
    """Live statistics, and the results that they were published with; null before there are any."""

    as_of: Moment | None
    data_version: int | None
    is_final: bool


@router.get(
    "/{experiment}/live-stats", summary="Show live statistics", response_model=LiveStatsView, responses=NOT_MODIFIED
)
def show_live_stats(
    request: Request, shared: Shared, access: CanReadItsOwn, experiment: Name, phase: Phase = None
) -> Response:
    found = in_phase(find(shared, access, experiment), phase)
    stored = shared.registry.live_stats.get(found.id, found.phase)
    shown = served_live_stats(found, stored, Floors.of(shared.settings))
    return conditional(request, to_json(shown).encode(), is_final=stored is not None and stored.is_final)
