"""The results payload: every member of the contract, whatever was computed."""

import pytest

from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.model import Floors
from experiment_pipeline.results.payload import results_payload
from tests.results.subjects import experiment, metric_payload, rate, results


def test_payload__of_a_plain_comparison__has_every_member_of_the_contract() -> None:
    computed = results(experiment(), {"control": rate(1000, 100), "b": rate(1000, 200)})
    payload = results_payload(computed)
    metric = metric_payload(computed)
    assert set(payload) == {"srm_p_value", "trustworthy", "srm", "metrics"}
    assert set(payload["srm"]) == {"anytime_p_value", "identities", "expected_shares", "reason"}
    assert payload["srm"]["expected_shares"] == {"control": 0.5, "b": 0.5}
    members = {"metric_id", "name", "variants", "inference", "effect", "expected_loss", "verdict", "reason"}
    assert set(metric) == members | {"values", "invalid_values"}
    assert (metric["metric_id"], metric["name"]) == (7, "bought")
    assert metric["variants"] == {
        "control": {"n": 1000, "sum": pytest.approx(100), "sum_squares": pytest.approx(100)},
        "b": {"n": 1000, "sum": pytest.approx(200), "sum_squares": pytest.approx(200)},
    }
    assert {key: set(value) for key, value in metric["inference"].items()} == {
        "b": {"lift", "ci_low", "ci_high", "chance_to_win"}
    }
    assert {key: set(value) for key, value in metric["effect"].items()} == {
        "b": {"value", "ci_low", "ci_high", "chance_to_win"}
    }
    assert metric["inference"]["b"]["lift"] == pytest.approx(1)
    assert metric["effect"]["b"]["value"] == pytest.approx(0.1)
    assert metric["expected_loss"]["b"] >= 0
    assert (metric["verdict"], metric["reason"]) == ({"b": "winning"}, {"b": None})


def test_payload__without_any_aggregate__still_has_every_member() -> None:
    computed = compute_results(experiment(), {}, [], Floors())
    payload, metric = results_payload(computed), metric_payload(computed)
    assert (payload["srm_p_value"], payload["trustworthy"]) == (None, None)
    assert payload["srm"]["reason"] == "fewer_than_100_identities"
    assert metric["variants"] == {key: {"n": 0, "sum": 0.0, "sum_squares": 0.0} for key in ("control", "b")}
    assert metric["inference"] == metric["effect"] == metric["expected_loss"] == {"b": None}
    assert metric["verdict"] == {"b": "collecting_data"}
    assert metric["reason"] == {"b": "below_minimum_identities"}
