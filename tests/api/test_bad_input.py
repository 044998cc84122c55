"""Whatever is sent: a problem document of the 4xx kind, never a fault."""

import json

import pytest

from tests.api.conftest import EXPERIMENT, METRIC, Api, detail

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"1", b'"text"', b"NaN", b"\xff\xfe", b"[" * 200_000, b'{"a":' * 100_000,
        b"1" * 10_000, b'{"name": NaN}', b'{"\\ud800": 1}', b'{"name": "\\ud800"}', b'{"variants": {"0": 1}}',
        b'{"metrics": [{"metric": "\\ud800", "expected_direction": "increase"}]}',
        b'{"design": {"n_looks": 1e400}}', b'{"design": {"alpha": Infinity}}',
        b'{"refresh_interval": 1000000000000000000000000}', b'{"key": "\\u0000"}',
        json.dumps({**EXPERIMENT, "name": "a\x00b"}).encode(), json.dumps({**EXPERIMENT, "feature": "\x00"}).encode(),
        json.dumps({**EXPERIMENT, "hypothesis": "\x00"}).encode(),
        json.dumps({**EXPERIMENT, "design": {"n_looks": 10**30}}).encode(),
        json.dumps({**EXPERIMENT, "metrics": [{"metric": 10**30, "expected_direction": "increase"}]}).encode(),
        json.dumps({**EXPERIMENT, "metrics": [{"metric": "\x00", "expected_direction": "increase"}]}).encode(),
        json.dumps({**EXPERIMENT, "variants": [{"key": "\ud800", "percentage_allocation": 5}]}).encode(),
    ],
    ids=range(27),
)  # fmt: skip
def test_experiment_body__that_cannot_be_one__is_a_400(api: Api, body: bytes) -> None:
    refused = api.ask("POST", "/experiments/", content=body, headers=JSON)
    assert refused.status_code == 400
    assert detail(refused)


@pytest.mark.parametrize(
    "definition",
    [
        None,
        [],
        {"version": 1, "event": "\ud800"},
        {"version": 1, "event": "\x00"},
        {"version": 1, "event": "e", "\ud800": 1},
        {"version": [], "event": {}},
    ],
)
def test_metric_definition__that_cannot_be_one__is_a_400(api: Api, definition: object) -> None:
    refused = api.ask(
        "POST", "/metrics/", content=json.dumps({**METRIC, "definition": definition}).encode(), headers=JSON
    )
    assert refused.status_code == 400
    assert detail(refused)


@pytest.mark.parametrize("name", ["9" * 30, "0", "-1", "%00", "%ff", "x" * 5000, "'; DROP TABLE experiments; --", "١"])
def test_names_in_paths__that_nothing_has__are_a_404(api: Api, name: str) -> None:
    for path in (f"/experiments/{name}/", f"/experiments/{name}/results/"):
        assert api.get(path).status_code == 404
    assert api.get("/experiments/", base=f"/api/v1/environments/{name}").status_code == 404


@pytest.mark.parametrize("number", ["9" * 30, "0", "-1", "2147483648"])
def test_metric_ids__that_overflow__are_a_404(api: Api, number: str) -> None:
    api.experiment()
    assert api.get(f"/metrics/{number}/").status_code == 404
    assert api.delete(f"/metrics/{number}/").status_code == 404
    assert api.delete(f"/experiments/checkout/metrics/{number}/").status_code == 404


def test_body__larger_than_the_limit__is_a_413_however_it_comes(api: Api) -> None:
    piece = b" " * 65_536
    declared = api.ask("POST", "/experiments/", content=piece * 17, headers=JSON)
    streamed = api.ask("POST", "/experiments/", content=(piece for _ in range(17)), headers=JSON)
    for refused in (declared, streamed):
        assert refused.status_code == 413
        assert detail(refused) == "The body must not be larger than 1048576 bytes."


def test_body__that_does_not_say_it_is_json__is_a_415(api: Api) -> None:
    refused = api.ask("POST", "/experiments/", content=json.dumps(EXPERIMENT), headers={"content-type": "text/plain"})
    assert refused.status_code == 415


def test_text__of_every_script__comes_back_as_it_was_sent(api: Api) -> None:
    name = "Größe \u202eקנה\u202c 买 🛒 ' OR 1=1 --"  # with a change of direction and back
    created = api.experiment(name=name, hypothesis="line\nline\ttab", feature="żółć %_\\")
    assert api.get(f"/experiments/{created['id']}/").json() == created
    assert (created["name"], created["feature"]) == (name, "żółć %_\\")
    assert api.get("/experiments/", params={"q": "ŻÓŁĆ %_\\"}).json()["count"] == 1


def test_path_and_method__that_do_not_exist__are_problems_too(api: Api) -> None:
    for answer, status in (
        (api.get("/nothing/"), 404),
        (api.get("/experiments"), 404),
        (api.ask("PUT", "/experiments/"), 405),
    ):
        assert answer.status_code == status
        assert detail(answer)
    assert "GET" in api.ask("PUT", "/experiments/").headers["allow"]
