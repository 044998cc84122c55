"""Metrics, and the metrics of one experiment, over HTTP."""

from typing import Any

import pytest

from tests.api.conftest import METRIC, Api, detail


def test_metrics__declared_listed_changed_deleted(api: Api) -> None:
    created = api.metric(direction="down", description="Money", window="P7D")
    assert created == {**METRIC, "id": 1, "direction": "down", "description": "Money", "window": "P7D", "unit": ""}
    api.metric(name="orders")
    assert [each["name"] for each in api.get("/metrics/").json()["results"]] == ["orders", "revenue"]
    assert api.get("/metrics/?q=REV").json()["count"] == 1
    changed = api.patch("/metrics/1/", {"name": "sales", "window": None})
    assert (changed.status_code, changed.json()["name"], changed.json()["window"]) == (200, "sales", None)
    assert api.get("/metrics/1/").json() == changed.json()
    assert api.delete("/metrics/1/").status_code == 204
    assert api.get("/metrics/1/").status_code == 404


@pytest.mark.parametrize(
    ("definition", "errors"),
    [
        ("purchase", {"definition": ["Definition must be an object."]}),
        (
            {"event": "purchase"},
            {
                "definition": ["Definition must specify a supported 'version'."],
                "definition.version": ["This field is required: 1 or 2."],
            },
        ),
        ({"version": 1, "event": ""}, {"definition": ["Definition must specify a non-empty 'event'."]}),
    ],
)
def test_create_metric__broken_definition__says_which_rule(
    api: Api, definition: object, errors: dict[str, list[str]]
) -> None:
    refused = api.post("/metrics/", {**METRIC, "definition": definition})
    assert refused.status_code == 400
    assert refused.json()["errors"] == errors


RATIO: dict[str, Any] = {
    "version": 2,
    "statistic": "ratio",
    "numerator": {"event": "purchase", "aggregation": "sum", "window": {"to": 604800}},
    "denominator": {"event": "purchase", "aggregation": "count"},
}
WINDOW = {"from": "P1D", "to": "P2D"}
RETENTION = {"version": 2, "statistic": "retention", "measure": {"event": "open"}, "window": WINDOW}


def test_metrics__version_2__is_declared_shown_in_its_canonical_form_and_changed(api: Api) -> None:
    created = api.post("/metrics/", {"name": "aov", "definition": RATIO, "unit": "EUR"})
    shown = {
        "id": 1, "name": "aov", "description": "", "aggregation": None, "direction": "up", "window": None,
        "unit": "EUR", "definition": {**RATIO, "numerator": {**RATIO["numerator"], "window": {"to": "P7D"}}},
    }  # fmt: skip
    assert (created.status_code, created.json()) == (201, shown)
    assert api.get("/metrics/1/").json() == api.get("/metrics/").json()["results"][0] == shown
    changed = api.patch("/metrics/1/", {"definition": RETENTION})
    assert changed.json() == {**shown, "aggregation": "occurrence", "definition": RETENTION}
    assert api.patch("/metrics/1/", {"definition": changed.json()["definition"]}).json() == changed.json()
    log = api.get("/audit/?subject=metric:1&action=change").json()["results"]
    assert [line["after"]["definition"] for line in log] == [RETENTION]


def test_change_metric__definition_of_the_other_version__takes_what_stands_beside_it(api: Api) -> None:
    api.metric(window="P7D")
    changed = api.patch("/metrics/1/", {"definition": RATIO, "unit": "EUR"})
    assert (changed.status_code, changed.json()["aggregation"], changed.json()["window"]) == (200, None, None)
    refused = api.patch("/metrics/1/", {"window": "P1D"})
    assert list(refused.json()["errors"]) == ["window"]
    refused = api.patch("/metrics/1/", {"definition": METRIC["definition"]})
    assert refused.json()["errors"] == {"aggregation": ["This field is required."]}
    changed = api.patch("/metrics/1/", {"definition": METRIC["definition"], "aggregation": "sum"})
    assert changed.json() == {**METRIC, "id": 1, "direction": "up", "description": "", "window": None, "unit": ""}


def test_create_metric__version_2_that_breaks_rules__names_every_field(api: Api) -> None:
    broken = {**RATIO, "denominator": {"event": 5, "aggregation": "coun"}}
    refused = api.post("/metrics/", {"name": "aov", "definition": broken, "aggregation": "sum"})
    assert (refused.status_code, list(refused.json()["errors"])) == (
        400, ["definition.denominator.event", "definition.denominator.aggregation", "aggregation"],
    )  # fmt: skip
    assert api.get("/metrics/").json()["count"] == 0


def test_create_metric__name_that_is_taken__conflicts(api: Api) -> None:
    api.metric()
    assert api.post("/metrics/", METRIC).status_code == 409


def test_delete_metric__attached_to_an_active_experiment__conflicts(api: Api) -> None:
    api.metric()
    api.experiment(metrics=[{"metric": 1, "expected_direction": "increase"}])
    refused = api.delete("/metrics/1/")
    assert refused.status_code == 409
    assert detail(refused) == (
        "Cannot delete a metric attached to an active experiment. Detach it or complete the experiment first."
    )
    assert api.delete("/experiments/checkout/metrics/1/").status_code == 204
    assert api.delete("/metrics/1/").status_code == 204


def test_attachments__attached_listed_changed_detached(api: Api) -> None:
    api.metric()
    api.metric(name="orders")
    api.experiment(metrics=[{"metric": 1, "expected_direction": "increase"}])
    attached = api.post("/experiments/checkout/metrics/", {"metric": "orders", "expected_direction": "not_increase"})
    assert attached.status_code == 201
    assert attached.json() == {
        "metric": 2, "name": "orders", "aggregation": "sum", "expected_direction": "not_increase", "is_guardrail": True,
        "margin": None, "added_after_start": False,
    }  # fmt: skip
    changed = api.patch("/experiments/checkout/metrics/2/", {"expected_direction": "decrease"})
    assert (changed.status_code, changed.json()["is_guardrail"]) == (200, False)
    listed = api.get("/experiments/checkout/metrics/").json()
    assert [(each["metric"], each["expected_direction"]) for each in listed] == [(1, "increase"), (2, "decrease")]
    assert api.delete("/experiments/checkout/metrics/1/").status_code == 204
    assert [each["metric"] for each in api.get("/experiments/checkout/metrics/").json()] == [2]
    assert api.delete("/experiments/checkout/metrics/1/").status_code == 404


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"metric": 1, "expected_direction": "increase"},
         {"metric": ["Metric is already attached to this experiment."]}),
        ({"metric": 3, "expected_direction": "increase"}, {"metric": ["Metric must belong to this environment."]}),
        ({"metric": 2**40, "expected_direction": "increase"}, {"metric": ["Metric must belong to this environment."]}),
        ({"metric": 1.5, "expected_direction": "increase"}, {"metric": ["Must be a metric's id or its name."]}),
        ({"expected_direction": "up"},
         {"metric": ["This field is required."], "expected_direction":
          ["Input should be 'increase', 'decrease', 'not_increase' or 'not_decrease'"]}),
    ],
)  # fmt: skip
def test_attach__what_is_not_allowed__names_the_field(
    api: Api, body: dict[str, Any], errors: dict[str, list[str]]
) -> None:
    api.metric()
    api.experiment(metrics=[{"metric": 1, "expected_direction": "increase"}])
    refused = api.post("/experiments/checkout/metrics/", body)
    assert refused.status_code == 400
    assert refused.json()["errors"] == errors


def test_attachments__margin_of_a_guardrail__is_set_changed_and_taken_away__m16(api: Api) -> None:
    api.metric()
    body = {"metric": 1, "expected_direction": "not_decrease", "margin": 0.02}
    created = api.experiment(metrics=[body])
    assert created["metrics"][0]["margin"] == 0.02
    refused = api.patch("/experiments/checkout/metrics/1/", {"expected_direction": "increase"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["margin"])
    for patch, margin in (({"margin": 0.05}, 0.05), ({"margin": None}, None)):
        assert api.patch("/experiments/checkout/metrics/1/", patch).json()["margin"] == margin
        assert api.get("/experiments/checkout/").json()["metrics"][0]["margin"] == margin
    for refused, field in (
        (api.patch("/experiments/checkout/metrics/1/", {"margin": -1}), "margin"),
        (api.patch("/experiments/checkout/", {"metrics": [{**body, "margin": 1}]}), "metrics.0.margin"),
    ):
        assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])


def test_attachments__once_started__are_frozen(api: Api) -> None:
    api.metric()
    api.metric(name="orders")
    api.experiment("start", metrics=[{"metric": 1, "expected_direction": "increase"}])
    remedy = "Secondary metrics may be added as the last ones until it is completed."
    frozen = [f"Cannot be changed after the experiment has started. {remedy}"]
    for refused in (
        api.post("/experiments/checkout/metrics/", {"metric": 2, "expected_direction": "not_increase"}),
        api.patch("/experiments/checkout/metrics/1/", {"expected_direction": "decrease"}),
        api.delete("/experiments/checkout/metrics/1/"),
    ):
        assert refused.status_code == 400
        assert refused.json()["errors"] == {"metrics": frozen}
    later = api.post("/experiments/checkout/metrics/", {"metric": 2, "expected_direction": "increase"})
    assert (later.status_code, later.json()["added_after_start"]) == (201, True)
    api.post("/experiments/checkout/complete/")
    refused = api.delete("/experiments/checkout/metrics/1/")
    assert refused.status_code == 400
    assert detail(refused) == "Cannot detach metrics from a completed experiment."
