"""The results payload: every member of the contract, whatever was computed."""

from dataclasses import replace

import pytest

from experiment_pipeline.domain.experiments import Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.metrics import Direction
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import results_payload
from tests.results.subjects import CONTROL, PURCHASE, experiment, metric_payload, rate, results


def test_payload__of_a_plain_comparison__has_every_member_of_the_contract() -> None:
    computed = results(experiment(), {"control": rate(1000, 100), "b": rate(1000, 200)})
    payload = results_payload(computed)
    metric = metric_payload(computed)
    assert set(payload) == {"phase", "earlier_phases", "srm_p_value", "trustworthy", "srm", "metrics"}
    tests = {"chi_square", "degrees_of_freedom", "anytime_p_value"}
    assert set(payload["srm"]) == {*tests, "identities", "expected_shares", "reason"}
    assert (payload["srm"]["chi_square"], payload["srm"]["degrees_of_freedom"]) == (0.0, 1)
    assert payload["srm"]["expected_shares"] == {"control": 0.5, "b": 0.5}
    members = {"metric_id", "name", "variants", "inference", "effect", "expected_loss", "verdict", "reason"}
    of_values = {"values", "invalid_values", "nonzero", "with_value", "largest"}
    what_decides = {"family", "standard_error", "anytime", "risk"}
    beside = {"frequentist", "chance_to_be_best", "progress"}
    assert set(metric) == members | of_values | what_decides | beside
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
    assert metric["standard_error"] == metric["anytime"] == metric["risk"] == metric["frequentist"] == {"b": None}
    assert metric["chance_to_be_best"] is None
    assert metric["verdict"] == {"b": "collecting_data"}
    assert metric["reason"] == {"b": "below_minimum_identities"}


def test_chance_to_be_best__of_several_variants__sums_to_one_and_follows_the_better_side() -> None:
    third = 100 / 3
    variants = (CONTROL, Variant("b", VariantRole.TREATMENT, third), Variant("c", VariantRole.TREATMENT, third))
    moments = {"control": rate(1_000, 100), "b": rate(1_000, 120), "c": rate(1_000, 90)}
    rising = metric_payload(results(experiment(variants), moments))["chance_to_be_best"]
    assert sum(rising.values()) == pytest.approx(1)
    assert rising["b"] > rising["control"] > rising["c"]
    falling = replace(PURCHASE, direction=Direction.DOWN)
    best = metric_payload(results(experiment(variants, falling), moments))["chance_to_be_best"]
    assert best["c"] > best["control"] > best["b"]


def test_chance_to_be_best__of_two__is_the_chance_to_win() -> None:
    metric = metric_payload(results(experiment(), {"control": rate(1_000, 100), "b": rate(1_000, 115)}))
    assert metric["chance_to_be_best"]["b"] == pytest.approx(metric["effect"]["b"]["chance_to_win"], abs=1e-9)


def test_chance_to_be_best__an_arm_without_enough_data__is_null() -> None:
    metric = metric_payload(results(experiment(), {"control": rate(1_000, 100), "b": rate(10, 5)}))
    assert metric["chance_to_be_best"] is None


def test_payload__shows_what_the_verdict_is_read_from() -> None:
    shown = metric_payload(results(experiment(), {"control": rate(1000, 100), "b": rate(1000, 200)}))
    anytime, effect = shown["anytime"]["b"], shown["effect"]["b"]
    assert shown["family"] == "primary"
    assert shown["standard_error"]["b"] == pytest.approx((effect["ci_high"] - effect["value"]) / 1.959963984540054)
    assert anytime["level"] == 0.05
    assert 0 < anytime["p_value"] == anytime["adjusted_p_value"] < 0.05
    assert 0 < anytime["ci_low"] < effect["ci_low"] < effect["ci_high"] < anytime["ci_high"]
    assert shown["risk"]["b"]["if_ship"] == shown["expected_loss"]["b"] == pytest.approx(0, abs=1e-6)
    assert shown["risk"]["b"]["if_keep"] == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize(
    "conversions", [(1000, 1130, 1000), (1000, 1130, 2000), (1000, 1100, 1110), (1000, 1000, 1000)]
)
def test_payload__intervals_adjusted_p_values_and_verdicts__agree(conversions: tuple[int, int, int]) -> None:
    third = 100 / 3
    variants = (CONTROL, Variant("b", VariantRole.TREATMENT, third), Variant("c", VariantRole.TREATMENT, third))
    moments = {key: rate(10_000, count) for key, count in zip(("control", "b", "c"), conversions, strict=True)}
    shown = metric_payload(results(experiment(variants), moments))
    for key, anytime in shown["anytime"].items():
        excludes_zero = anytime["ci_low"] > 0 or anytime["ci_high"] < 0
        assert excludes_zero == (anytime["adjusted_p_value"] <= 0.05) == (shown["verdict"][key] != "inconclusive")
        assert anytime["adjusted_p_value"] >= anytime["p_value"]
        assert anytime["level"] in (0.025, 0.05)
