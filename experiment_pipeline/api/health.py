"""Health findings over HTTP, as they were stored with the newest results; whether events arrive is judged anew."""

from fastapi import APIRouter
from pydantic import BaseModel, Field, JsonValue

from experiment_pipeline.api.auth import ENVIRONMENT, CanRead, KeyCheckedRoute
from experiment_pipeline.api.dependencies import Shared
from experiment_pipeline.api.experiments import Name, find
from experiment_pipeline.api.phases import Phase, in_phase
from experiment_pipeline.api.problems import POSSIBLE
from experiment_pipeline.health.finding import Severity
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.schemas.responses import Moment

router = APIRouter(
    prefix=f"{ENVIRONMENT}/experiments/{{experiment}}/health",
    tags=["exposures and results"],
    route_class=KeyCheckedRoute,
    responses=POSSIBLE,
)


class FindingView(BaseModel):
    """The outcome of one health check."""

    check: str = Field(description="the name of the check")
    code: str = Field(description="the outcome, for programs; it never changes once it has been served")
    severity: Severity
    title: str
    detail: str = Field(description="what was found, with its numbers, and what to do about it")
    evidence: dict[str, JsonValue] = Field(description="the numbers that the finding rests on")


class HealthFindings(BaseModel):
    """Findings of every health check, the worst first."""

    as_of: Moment = Field(description="of the results that they were stored with")
    data_version: int
    findings: list[FindingView]


class HealthView(BaseModel):
    """Health, null before results with findings were published."""

    health: HealthFindings | None


@router.get("/", summary="Show health findings")
def show_health(shared: Shared, access: CanRead, experiment: Name, phase: Phase = None) -> HealthView:
    found = in_phase(find(shared, access, experiment), phase)
    live = shared.registry.health.live(found, shared.now(), Thresholds.of(shared.settings))
    return HealthView.model_validate({"health": None if live is None else live.to_json()})
