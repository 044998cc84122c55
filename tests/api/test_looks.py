"""Looks over HTTP (rule R9)."""

from dataclasses import replace

from experiment_pipeline.domain.looks import Movement
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.results.payload import results_payload
from tests.api.conftest import Api
from tests.api.test_computations import HOUR, publish
from tests.results.subjects import experiment, rate, results


def test_looks__of_an_experiment__are_listed_newest_first_in_pages(api: Api) -> None:
    api.experiment("start")
    assert api.get("/experiments/checkout/looks/", scope="read").json() == {
        "count": 0, "next": None, "previous": None, "results": [],
    }  # fmt: skip
    computed = results(experiment(), {"control": rate(1000, 100), "b": rate(1000, 200)})
    first = Movement.first(2000)
    second = replace(first, number=2, previous_as_of=api.clock.now + HOUR, new_identities=5, late_events=3)
    for movement in (None, first, second):
        api.clock.pass_by(HOUR)
        publish(api, Computation.RESULTS, results_payload(computed, movement))
    shown = api.get("/experiments/1/looks/", scope="read").json()
    assert [look["number"] for look in shown["results"]] == [3, 2, 1]
    newest = shown["results"][0]
    assert newest == {
        "phase": 1,
        "number": 3,
        "as_of": "2026-03-02T15:00:00Z",
        "data_version": 0,
        "code_version": "1",
        "computed_at": "2026-03-02T15:00:00Z",
        "identities": 2000,
        "trustworthy": True,
        "verdicts": [{"metric_id": 7, "name": "bought", "verdict": {"b": "winning"}}],
        "decision": None,
        "planned_looks": {},
        "moved": api.get("/experiments/1/results/").json()["results"]["payload"]["look"],
    }
    assert newest["moved"]["restated"]["late_events"] == 3
    assert shown["results"][2]["moved"] is None
    page = api.get("/experiments/1/looks/?page=2&page_size=2", scope="read").json()
    assert [look["number"] for look in page["results"]] == [1]
    assert (page["count"], page["next"]) == (3, None)
    assert "page=1" in page["previous"]


def test_looks__of_an_experiment_that_is_not_there__are_404(api: Api) -> None:
    assert api.get("/experiments/nobody/looks/", scope="read").status_code == 404
    assert api.get("/experiments/nobody/looks/", scope="no key").status_code == 401
