"""Health findings over HTTP."""

from typing import Any

from experiment_pipeline.domain.refresh import Computation, Publication
from tests.api.conftest import Api
from tests.api.test_computations import HOUR, open_run

OK: dict[str, Any] = {"check": "a", "code": "fine", "severity": "ok", "title": "A", "detail": "D", "evidence": {"n": 1}}
ERROR = {**OK, "check": "b", "code": "broken", "severity": "error"}


def test_health__before_any_results__is_null(api: Api) -> None:
    api.experiment()
    shown = api.get("/experiments/checkout/health/", scope="read")
    assert (shown.status_code, shown.json()) == (200, {"health": None})
    assert api.get("/experiments/nobody/health/", scope="read").status_code == 404


def test_health__published_with_results__is_served_worst_first(api: Api) -> None:
    api.experiment("start")
    api.clock.pass_by(HOUR)
    publication = Publication(open_run(api), Computation.RESULTS, {}, "1", api.clock.now, HOUR, findings=[OK, ERROR])
    api.registry.computations.publish(publication)
    shown = api.get("/experiments/1/health/", scope="read")
    assert shown.json() == {"health": {"as_of": "2026-03-02T13:00:00Z", "data_version": 0, "findings": [ERROR, OK]}}
