"""Experiments over HTTP, row by row of the contract."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from tests.api.conftest import EXPERIMENT, Api, detail

ACTIVE = "An active experiment already exists for this feature."


def test_list__several__newest_first_with_counts(api: Api) -> None:
    for number in range(3):
        api.clock.pass_by(timedelta(minutes=1))
        api.experiment(*(["start"] if number == 1 else []), feature=f"feature-{number}")
    listed = api.get("/experiments/").json()
    assert [each["feature"] for each in listed["results"]] == ["feature-2", "feature-1", "feature-0"]
    assert (listed["count"], listed["next"], listed["previous"]) == (3, None, None)
    assert listed["status_counts"] == {"created": 2, "running": 1, "paused": 0, "completed": 0}


def test_list__status_and_search__counts_ignore_status_and_honour_search(api: Api) -> None:
    api.experiment("start", feature="button", name="One")
    api.experiment(feature="banner", name="Buttons")
    api.experiment(feature="other", name="Other")
    listed = api.get("/experiments/?status=running&status=paused&q=BUTTON").json()
    assert [each["feature"] for each in listed["results"]] == ["button"]
    assert listed["count"] == 1
    assert listed["status_counts"] == {"created": 1, "running": 1, "paused": 0, "completed": 0}


def test_list__pages__lead_to_each_other(api: Api) -> None:
    for number in range(3):
        api.experiment(feature=f"feature-{number}")
    path, seen = "/experiments/?page_size=2&q=feature", []
    while path:
        page = api.get(path).json()
        assert page["count"] == 3
        seen += [each["feature"] for each in page["results"]]
        path = (page["next"] or "").removeprefix("http://testserver/api/v1/environments/production")
    assert sorted(seen) == ["feature-0", "feature-1", "feature-2"]
    assert page["previous"].endswith("page_size=2&q=feature&page=1")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=finished", "status"), ("status=running&status=x&status=y", "status"),
        ("page=0", "page"), ("page=x", "page"), ("page_size=1000", "page_size"),
        ("page=99999999999999999999", "page"), ("q=%00", "q"),
    ],
)  # fmt: skip
def test_list__query_that_is_not_allowed__names_it(api: Api, query: str, field: str) -> None:
    refused = api.get(f"/experiments/?{query}")
    assert refused.status_code == 400
    assert detail(refused)
    assert list(refused.json()["errors"]) == [field]


def test_create__full_body__shows_everything(api: Api) -> None:
    metric = api.metric()
    body = {
        "key": "checkout",
        **EXPERIMENT,
        "variants": [
            {"key": "larger", "percentage_allocation": 30},
            {"key": "out", "percentage_allocation": 10, "role": "holdout"},
        ],
        "metrics": [{"metric": metric["id"], "expected_direction": "not_decrease"}],
        "multiple_exposures": "first",
        "refresh_interval": "PT30M",
        "design": {
            "alpha": 0.01,
            "power": 0.9,
            "mde": 0.02,
            "n_looks": 5,
            "baseline": 0.1,
            "standard_deviation": None,
        },
        "ignored_variants": ["tester", "a key that\nno variant may have"],
    }
    created = api.post("/experiments/", body)
    assert created.status_code == 201
    assert created.json() == {
        **body,
        "id": 1,
        "status": "created",
        "variants": [
            {"key": "control", "role": "control", "percentage_allocation": 60.0},
            {"key": "larger", "role": "treatment", "percentage_allocation": 30.0},
            {"key": "out", "role": "holdout", "percentage_allocation": 10.0},
        ],
        "metrics": [
            {
                "metric": 1,
                "name": "revenue",
                "aggregation": "sum",
                "expected_direction": "not_decrease",
                "is_guardrail": True,
                "margin": None,
                "added_after_start": False,
            },
        ],
        "dimensions": [],
        "cross": [],
        "entry": None,
        "only": [],
        "exclude_identifiers": [],
        "post_stratify": None,
        "prior": None,
        "design_warnings": [
            "metrics.0.margin: the primary metric is a guardrail, which never wins: without a margin nothing is ever "
            "shipped. Put the metric that is to improve first, or state a margin such as margin: 0.02.",
            "design.n_looks: changes nothing without standard_deviation, since the primary metric is no share of "
            "identities. "
            "Verdicts hold at every refresh, and no look is planned.",
        ],
        "created_at": "2026-03-02T12:00:00Z",
        "updated_at": "2026-03-02T12:00:00Z",
        "started_at": None,
        "ended_at": None,
        "phase": 1,
        "ended_phases": [],
    }
    for name in ("1", "checkout"):
        assert api.get(f"/experiments/{name}/").json() == created.json()


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"variants": [{"key": "a", "percentage_allocation": 60}, {"key": "b", "percentage_allocation": 60}]},
         "variants", "Variant allocations must not exceed 100%, got 120%."),
        ({"variants": []}, "variants", "Only multivariate features can be experimented on: add a treatment."),
        ({"variants": [{"key": "a", "percentage_allocation": 500}]}, "variants.0.percentage_allocation",
         "Must be a number from 0 to 100."),
        ({"variants": [{"key": "a", "percentage_allocation": "50"}]}, "variants.0.percentage_allocation",
         "Input should be a valid number"),
        ({"key": "1st"}, "key", "Must begin with a letter and hold up to 80 letters, digits, underscores or hyphens."),
        ({"metrics": [{"metric": 404, "expected_direction": "increase"}]}, "metrics.0.metric",
         "Metric must belong to this environment."),
        ({"hypotesis": "x"}, "hypotesis", "Unknown field."),
        ({"refresh_interval": "PT1M"}, "refresh_interval", "Must be whole seconds from 300 to 31622400."),
        ({"design": {"alpha": 0.9}}, "design.alpha", "Must lie between 0 and 0.5."),
        ({"design": {"mde": 5, "baseline": 0.1}}, "design.mde", "Must be a share above 0 and below 5: 0.2 is 20 %."),
        ({"design": {"mde": 0.1}}, "design.baseline", "Needed with mde, which is relative to it."),
        ({"design": {"mde": 0.1, "baseline": 0}}, "design.baseline", "Must not be 0: mde is relative to it."),
        ({"ignored_variants": ["a", "a"]}, "ignored_variants", "Must not name a variant more than once."),
        ({"ignored_variants": [""]}, "ignored_variants.0", "Must not be empty."),
        ({"ignored_variants": [str(n) for n in range(101)]}, "ignored_variants", "Must not be more than 100 variants."),
        ({"ignored_variants": ["control"]}, "ignored_variants",
         "The split provides for 'control': it cannot be ignored."),
        ({"multiple_exposures": "last"}, "multiple_exposures", "Input should be 'exclude' or 'first'"),
    ],
)  # fmt: skip
def test_create__field_that_breaks_a_rule__names_it(
    api: Api, changes: dict[str, Any], field: str, message: str
) -> None:
    refused = api.post("/experiments/", {**EXPERIMENT, **changes})
    assert refused.status_code == 400
    assert detail(refused) == message
    assert refused.json()["errors"] == {field: [message]}


def test_create__treatments_that_take_everything__are_accepted_with_a_warning(api: Api) -> None:
    created = api.experiment(variants=[{"key": "larger", "percentage_allocation": 100}])
    (warning,) = created["design_warnings"]
    assert warning.startswith("variants: the other variants take 100 % of the traffic and leave none for control")


def test_create__missing_fields__are_all_named(api: Api) -> None:
    errors = api.post("/experiments/", {}).json()["errors"]
    assert errors == {name: ["This field is required."] for name in ("name", "hypothesis", "feature", "variants")}


def test_create__active_feature__conflicts(api: Api) -> None:
    api.experiment()
    refused = api.post("/experiments/", EXPERIMENT)
    assert refused.status_code == 409
    assert detail(refused) == ACTIVE


def test_create__two_at_once__one_201_and_one_409(api: Api) -> None:
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda _: api.post("/experiments/", EXPERIMENT), range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]


def test_patch__before_the_start__changes_what_is_sent(api: Api) -> None:
    created = api.experiment()
    changed = api.patch("/experiments/checkout/", {"variants": [{"key": "b", "percentage_allocation": 10}]})
    assert changed.status_code == 200
    assert [each["key"] for each in changed.json()["variants"]] == ["control", "b"]
    assert changed.json()["hypothesis"] == created["hypothesis"]
    assert api.get("/experiments/checkout/").json() == changed.json()


def test_patch__after_the_start__name_and_hypothesis_alone(api: Api) -> None:
    api.experiment("start")
    assert api.patch("/experiments/checkout/", {"name": "New", "hypothesis": ""}).json()["name"] == "New"
    refused = api.patch("/experiments/checkout/", {"design": {"alpha": 0.1}, "refresh_interval": 600})
    assert refused.status_code == 400
    message = ["Cannot be changed after the experiment has started."]
    assert refused.json()["errors"] == {"refresh_interval": message, "design": message}


@pytest.mark.parametrize("status", ["start", "complete"])
def test_patch__ignored_variants_at_any_time__are_changed_and_audited__l3(api: Api, status: str) -> None:
    api.experiment("start", *([status] if status == "complete" else []))
    changed = api.patch("/experiments/checkout/", {"ignored_variants": ["tester"]})
    assert (changed.status_code, changed.json()["ignored_variants"]) == (200, ["tester"])
    last = api.get("/audit/", params={"action": "change"}).json()["results"][0]
    assert (last["before"]["ignored_variants"], last["after"]["ignored_variants"]) == ([], ["tester"])


@pytest.mark.parametrize("field", ["feature", "key"])
def test_patch__feature_and_key__never_change(api: Api, field: str) -> None:
    created = api.experiment()
    assert api.patch("/experiments/checkout/", {field: created[field]}).status_code == 200
    refused = api.patch("/experiments/checkout/", {field: "other"})
    assert refused.status_code == 400
    assert refused.json()["errors"] == {field: [f"The {field} cannot be changed."]}


@pytest.mark.parametrize("body", [{"name": None}, {"status": "running"}, {"started_at": "2026-01-01T00:00:00Z"}, []])
def test_patch__null_and_what_is_no_field__is_refused(api: Api, body: object) -> None:
    api.experiment()
    assert api.patch("/experiments/checkout/", body).status_code == 400


def test_delete__running__is_refused_and_paused_is_gone(api: Api) -> None:
    api.experiment("start")
    refused = api.delete("/experiments/checkout/")
    assert refused.status_code == 400
    assert detail(refused) == "Cannot delete a running experiment. Pause or complete it first."
    api.post("/experiments/checkout/pause/")
    gone = api.delete("/experiments/checkout/")
    assert (gone.status_code, gone.content) == (204, b"")
    assert api.get("/experiments/checkout/").status_code == 404
    assert api.get("/experiments/").json()["count"] == 0


def test_steps__through_a_life__show_the_experiment(api: Api) -> None:
    api.experiment()
    shown = {}
    for step in ("start", "pause", "start", "complete"):
        answer = api.post(f"/experiments/checkout/{step}/")
        assert answer.status_code == 200
        shown = answer.json()
        api.clock.pass_by(timedelta(hours=1))
    assert shown["status"] == "completed"
    assert (shown["started_at"], shown["ended_at"]) == ("2026-03-02T12:00:00Z", "2026-03-02T15:00:00Z")


@pytest.mark.parametrize(
    ("steps", "step", "message"),
    [
        ([], "pause", "Cannot transition from 'created' to 'paused'."),
        ([], "complete", "Cannot transition from 'created' to 'completed'."),
        (["start"], "start", "Cannot transition from 'running' to 'running'."),
        (["start", "complete"], "start", "Cannot transition from 'completed' to 'running'."),
    ],
)
def test_steps__that_do_not_exist__are_refused(api: Api, steps: list[str], step: str, message: str) -> None:
    api.experiment(*steps)
    refused = api.post(f"/experiments/checkout/{step}/")
    assert refused.status_code == 400
    assert detail(refused) == message


def test_change__by_a_key__is_audited_with_its_name(api: Api) -> None:
    created = api.experiment()
    prefix = api.tokens["admin"].split("_")[1]
    assert [
        line.actor for line in api.registry.audit.list("production", subject=f"experiment:{created['id']}")[::-1]
    ] == [f"key:{prefix}"]


def test_experiments__audience__is_declared_shown_and_changed(api: Api) -> None:
    audience = {
        "dimensions": [{"name": "country", "trait": "country"}, {"name": "device", "trait": "device.kind"}],
        "cross": [["country", "device"]],
        "entry": {"event": "opened", "where": [{"field": "value", "is": True}]},
        "only": [{"field": "traits.country", "in": ["DE", "AT"]}],
        "exclude_identifiers": ["staff"],
        "post_stratify": "country",
    }
    created = api.experiment(**audience)
    assert {name: created[name] for name in audience} == audience
    changed = api.patch("/experiments/checkout/", {"only": [], "entry": None}).json()
    assert {name: changed[name] for name in audience} == {**audience, "only": [], "entry": None}
    refused = api.patch("/experiments/checkout/", {"cross": [["country", "devise"]], "post_stratify": "land"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["cross.0", "post_stratify"])
    refused = api.patch("/experiments/checkout/", {"only": [{"field": "value", "is": None, "are": 1}]})
    assert list(refused.json()["errors"]) == ["only.0.is", "only.0.are"]
    api.post("/experiments/checkout/start/")
    assert list(api.patch("/experiments/checkout/", {"dimensions": []}).json()["errors"]) == [
        "cross.0",
        "post_stratify",
    ]
    frozen = api.patch("/experiments/checkout/", {"exclude_identifiers": []})
    assert list(frozen.json()["errors"]) == ["exclude_identifiers"]


def test_experiments__prior__is_declared_shown_and_taken_away(api: Api) -> None:
    prior = {"mean": 0.02, "standard_deviation": 0.05}
    assert api.experiment(prior=prior)["prior"] == prior
    assert api.patch("/experiments/checkout/", {"name": "New"}).json()["prior"] == prior
    for wrong in ({"standard_deviation": 0}, {"standard_deviation": 5.0}, {"mean": -1.0}, {"sigma": 1}):
        refused = api.patch("/experiments/checkout/", {"prior": prior | wrong})
        assert (refused.status_code, list(refused.json()["errors"])) == (400, [f"prior.{next(iter(wrong))}"])
    refused = api.patch("/experiments/checkout/", {"prior": {"mean": 0.1}})
    assert list(refused.json()["errors"]) == ["prior.standard_deviation"]
    assert api.patch("/experiments/checkout/", {"prior": None}).json()["prior"] is None
    api.patch("/experiments/checkout/", {"prior": prior})
    api.post("/experiments/checkout/start/")
    assert list(api.patch("/experiments/checkout/", {"prior": None}).json()["errors"]) == ["prior"]
