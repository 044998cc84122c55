"""The page of an environment's experiments: where each stands, with search, filters and pages."""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Query
from fastapi.responses import Response

from experiment_pipeline.api.pagination import Paging, Search
from experiment_pipeline.api.site.routes import SITE, CanView, PageRoute, page
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.pages.listing import listed_experiment

router = APIRouter(prefix=f"{SITE}/experiments", route_class=PageRoute, include_in_schema=False)


@router.get("/", response_class=Response)
def list_experiments(
    visit: CanView,
    paging: Paging,
    status: Annotated[list[ExperimentStatus], Query()] = [],  # noqa: B006 - FastAPI copies it
    search: Search = "",
) -> Response:
    registry, environment = visit.shared.registry, visit.visitor.environment_key
    counts = registry.experiments.status_counts(environment, search=search)
    count = sum(number for each, number in counts.items() if each in status or not status)
    found = registry.experiments.list(
        environment, statuses=status, search=search, limit=paging.limit, offset=paging.offset
    )
    ids = [experiment.id for experiment in found]
    results, health, now = registry.computations.newest_results(ids), registry.health.newest(ids), visit.shared.now()
    return page(
        visit.request,
        "list.html",
        experiments=[listed_experiment(each, results.get(each.id), health.get(each.id), now) for each in found],
        counts=[(each.value, number, each in status) for each, number in counts.items()],
        search=search,
        is_filtered=bool(search or status),
        count=count,
        first=paging.offset + 1,
        next_page=_query(paging.next(count)),
        previous_page=_query(paging.previous()),
    )


def _query(address: str | None) -> str:
    """Return the query of a page's address: the server need not know by which host it was reached."""
    return f"?{urlsplit(address).query}" if address else ""
