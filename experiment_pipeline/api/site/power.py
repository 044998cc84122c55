"""The page that plans a sample: identities and days, from what refreshes and previews measured of a metric."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from experiment_pipeline.api.site.routes import SITE, CanView, PageRoute, Visit, page
from experiment_pipeline.domain.power_request import MOST_VARIANTS, SHOWN_VARIANTS, PowerRequest
from experiment_pipeline.errors import ConfigurationError, Conflict, NotFound
from experiment_pipeline.pages.plans import PlanView, plan_view
from experiment_pipeline.results.sample_plan import sample_plan

router = APIRouter(prefix=f"{SITE}/power", route_class=PageRoute, include_in_schema=False)
EMPTY = {"metric": "", "mde": "5", "traffic": "", "variants": "", "alpha": "5", "power": "80"}  # shares in per cent
SUGGESTED_METRICS = 500


@router.get("/", response_class=Response)
def plan_power(visit: CanView) -> Response:
    given = {name: visit.request.query_params.get(name, default).strip() for name, default in EMPTY.items()}
    context: dict[str, Any] = {"plan": None, "errors": {}, "refusal": ""}
    status = 200
    if given["metric"]:
        try:
            context["plan"] = _plan(visit, given)
        except ConfigurationError as wrong:
            status, context["errors"] = 400, {field: " ".join(told) for field, told in wrong.errors.items()}
        except (Conflict, NotFound) as refused:
            status, context["refusal"] = (409 if isinstance(refused, Conflict) else 404), str(refused)
    metrics = visit.shared.registry.metrics.list(visit.visitor.environment_key)[:SUGGESTED_METRICS]
    names = [metric.name for metric in metrics]
    return page(visit.request, "power.html", status, given=given, metrics=names, most=MOST_VARIANTS, **context)


def _plan(visit: Visit, given: dict[str, str]) -> PlanView:
    """Return the plan that a form asks for.

    Raises:
        ConfigurationError: a field is wrong; names it.
        NotFound: the environment has no such metric.
        Conflict: nothing is measured of it; says what to run.
    """
    registry, name = visit.shared.registry, given["metric"]
    variants, mde = _number(given, "variants"), _share(given, "mde")
    levels: dict[str, Any] = {each: share for each in ("alpha", "power") if (share := _share(given, each)) is not None}
    requests = [
        PowerRequest(name, mde, _number(given, "traffic"), variants=each, **levels)
        for each in (SHOWN_VARIANTS if variants is None else (_whole(variants),))
    ]
    requests[0].check()
    metric = registry.metrics.find(visit.visitor.environment_key, name)
    measurements = registry.measurements.list(metric)
    plans = [sample_plan(metric, measurements, request) for request in requests]
    measured_in = plans[0]["measured"]["experiment_id"]
    return plan_view(plans, metric, None if measured_in is None else registry.experiments.find_key(measured_in))


def _number(given: dict[str, str], field: str) -> float | None:
    """Return the number in a field; None where it is empty."""
    text = given[field].replace(",", "")
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError.of(field, "Must be a number.") from None


def _share(given: dict[str, str], field: str) -> float | None:
    """Return the share of a field in per cent."""
    number = _number(given, field)
    return None if number is None else number / 100


def _whole(variants: float) -> int:
    if not variants.is_integer():
        raise ConfigurationError.of("variants", "Must be a whole number.")
    return int(variants)
