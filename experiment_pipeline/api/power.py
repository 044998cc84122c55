"""Power over HTTP: plans of experiments from what was measured, and what an experiment detects by now."""

from fastapi import APIRouter

from experiment_pipeline.api.auth import ENVIRONMENT, CanRead, KeyCheckedRoute
from experiment_pipeline.api.dependencies import Shared
from experiment_pipeline.api.experiments import Name, find
from experiment_pipeline.api.problems import POSSIBLE, WRITING, problems
from experiment_pipeline.domain.power_request import PowerRequest
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.results.achieved_power import AchievedPowerPayload, published_power
from experiment_pipeline.results.sample_plan import PlanPayload, sample_plan

router = APIRouter(prefix=ENVIRONMENT, tags=["power"], route_class=KeyCheckedRoute, responses=POSSIBLE)


@router.post("/power/", summary="Plan the sample of an experiment", responses=WRITING)
def plan_sample(shared: Shared, access: CanRead, body: PowerRequest) -> PlanPayload:
    body.check()
    metric = shared.registry.metrics.find(access.environment_key, body.metric)
    return sample_plan(metric, shared.registry.measurements.list(metric), body)


@router.get(
    "/experiments/{experiment}/power/", summary="Show what an experiment detects by now", responses=problems(409)
)
def show_power(shared: Shared, access: CanRead, experiment: Name) -> AchievedPowerPayload:
    found = find(shared, access, experiment)
    state = shared.registry.computations.get(found.id, Computation.RESULTS)
    return published_power(found, state)
