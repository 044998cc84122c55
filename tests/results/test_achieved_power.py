"""Achieved power: what published results detect, by their errors and never by their effects."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.experiments import Design, Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection
from experiment_pipeline.domain.several_treatments import sample_factor
from experiment_pipeline.results.achieved_power import achieved_power
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.live_stats import live_stats
from experiment_pipeline.results.payload import results_payload
from tests.metrics import version_1
from tests.results.subjects import CONTROL, EVEN, PURCHASE, experiment, rate

NOW = datetime(2026, 3, 11, tzinfo=UTC)
START = NOW - timedelta(days=10)
ONE_LOOK = 14_128  # an arm, for a lift of 10 % of 0.1: two-sided 5 %, 80 % power
DESIGN = Design(mde=0.1, baseline=0.1)
THREE = (CONTROL, Variant("b", VariantRole.TREATMENT, 25), Variant("c", VariantRole.TREATMENT, 25))


def achieved(
    converted: float = 0.1, n: int = ONE_LOOK, variants: tuple[Variant, ...] = EVEN, design: Design = DESIGN
) -> dict[str, Any]:
    subject = experiment(variants, design=design, started_at=START)
    moments = {variant.key or "": rate(n, round(n * converted)) for variant in variants}
    found = MetricAggregates(7, dict(moments))
    computed = compute_results(subject, dict.fromkeys(moments, n), [found], Floors(), as_of=NOW)
    return dict(achieved_power(subject, results_payload(computed), NOW))


def lifts(shown: dict[str, Any], treatment: str = "b") -> dict[str, Any]:
    (metric,) = shown["metrics"]
    (reading,) = metric["treatments"][treatment]["lifts"]
    assert reading["adjusted"] is False
    return dict(reading)


def test_achieved__at_the_planned_sample__detects_the_mde_and_has_its_progress() -> None:
    shown = achieved()
    assert (shown["as_of"], shown["alpha"], shown["power"]) == ("2026-03-11T00:00:00Z", 0.05, 0.8)
    assert lifts(shown)["once"] == pytest.approx(0.1, rel=1e-3)
    assert lifts(shown)["every_look"] == pytest.approx(0.1 * math.sqrt(sample_factor(1)), rel=1e-3)
    progress = shown["metrics"][0]["treatments"]["b"]["progress"]
    assert progress["days_left_at_current_traffic"] == pytest.approx(0, abs=0.1)
    quarter = achieved(n=ONE_LOOK // 4)
    assert lifts(quarter)["once"] == pytest.approx(0.2, rel=1e-3)
    assert quarter["metrics"][0]["treatments"]["b"]["progress"]["days_left_at_current_traffic"] == pytest.approx(
        30, rel=0.01
    )


def test_achieved__of_several_treatments__is_at_their_share_of_alpha() -> None:
    one, two = lifts(achieved()), lifts(achieved(variants=THREE), "c")
    assert two["once"] == pytest.approx(one["once"] * (2.2414 + 0.8416) / (1.96 + 0.8416), rel=1e-4)
    assert two["every_look"] == pytest.approx(one["once"] * math.sqrt(sample_factor(2)), rel=1e-6)


def test_achieved__below_the_floors__says_why() -> None:
    assert lifts(achieved(n=40)) == {
        "adjusted": False, "once": None, "every_look": None, "reason": "below_minimum_identities",
    }  # fmt: skip


def test_achieved__of_another_power__has_no_factor_for_every_look() -> None:
    shown = lifts(achieved(design=Design(mde=0.1, baseline=0.1, power=0.9)))
    assert shown["once"] == pytest.approx(0.1 * (1.96 + 1.2816) / (1.96 + 0.8416), rel=1e-3)
    assert (shown["every_look"], shown["reason"]) == (None, "no_factor_for_this_design")


def test_achieved__with_planned_looks__has_no_factor_for_every_look() -> None:
    shown = achieved(design=Design(mde=0.1, baseline=0.1, n_looks=4))
    assert lifts(shown)["reason"] == shown["planned"]["reason"] == "no_factor_for_planned_looks"
    assert lifts(shown)["once"] == pytest.approx(0.1, rel=1e-3)


def test_achieved__looks_that_decide_nothing__leave_the_factor_for_every_look() -> None:
    """Planned looks are the primary metric's alone, and none without a complete design (rule C8)."""
    assert lifts(achieved(design=Design(n_looks=4)))["every_look"] == lifts(achieved())["every_look"]
    subject = experiment(design=Design(mde=0.1, baseline=0.1, n_looks=4), started_at=START)
    second = AttachedMetric(replace(PURCHASE, id=8), ExpectedDirection.INCREASE)
    subject = replace(subject, metrics=(*subject.metrics, second))
    arms = {"control": rate(ONE_LOOK, 1_413), "b": rate(ONE_LOOK, 1_413)}
    found = [MetricAggregates(number, dict(arms)) for number in (7, 8)]
    computed = compute_results(subject, dict.fromkeys(arms, ONE_LOOK), found, Floors(), as_of=NOW)
    primary, secondary = achieved_power(subject, results_payload(computed), NOW)["metrics"]
    assert primary["treatments"]["b"]["lifts"][0]["every_look"] is None
    assert secondary["treatments"]["b"]["lifts"][0]["every_look"] == lifts(achieved())["every_look"]


def test_planned__sample_of_the_design__is_for_control_and_the_smallest_treatment() -> None:
    every_look = math.ceil(sample_factor(1) * ONE_LOOK)
    assert achieved()["planned"] == {
        "mde": 0.1,
        "once": {"control": ONE_LOOK, "treatment": ONE_LOOK},
        "every_look": {"control": every_look, "treatment": every_look},
        "reason": None,
    }
    smaller = achieved(variants=(CONTROL, Variant("b", VariantRole.TREATMENT, 20)))["planned"]["once"]
    assert smaller["control"] == pytest.approx(4 * smaller["treatment"], abs=4)
    assert achieved(design=Design())["planned"] == {
        "mde": None, "once": None, "every_look": None, "reason": "design_incomplete",
    }  # fmt: skip


@pytest.mark.parametrize(("deviation", "per_variant"), [(3.0, ONE_LOOK), (None, None)])
def test_planned__of_a_sum__needs_a_standard_deviation(deviation: float | None, per_variant: int | None) -> None:
    design = Design(mde=0.1, baseline=1.0, standard_deviation=deviation)
    spent = version_1(7, "prod", "spent", "purchase", Aggregation.SUM)
    subject = experiment(metric=spent, design=design, started_at=START)
    arm = rate(1000, 100)
    found = MetricAggregates(7, {"control": arm, "b": arm})
    computed = compute_results(subject, {"control": 1000, "b": 1000}, [found], Floors(), as_of=NOW)
    planned = achieved_power(subject, results_payload(computed), NOW)["planned"]
    assert (planned["once"] or {}).get("control") == per_variant


def test_achieved__guardrail_with_a_margin__is_planned_by_its_margin__c9() -> None:
    """The same plan in achieved power and in live statistics, as if the margin were the design's mde."""
    plain = experiment(design=Design(mde=0.02, baseline=0.1), started_at=START)
    guarded = AttachedMetric(PURCHASE, ExpectedDirection.NOT_DECREASE, margin=0.02)
    subject = replace(plain, metrics=(guarded,), design=Design(mde=0.3, baseline=0.1))
    arms = {"control": rate(1_000, 100), "b": rate(1_000, 100)}
    shown = []
    for each in (plain, subject):
        found = [MetricAggregates(7, dict(arms))]
        computed = compute_results(each, dict.fromkeys(arms, 1_000), found, Floors(), as_of=NOW)
        planned = achieved_power(each, results_payload(computed), NOW)["planned"]
        live = live_stats(each, computed)["sequential"]["planned_sample_size_per_variant"]
        shown.append((planned["mde"], planned["once"], live))
    assert shown[0] == shown[1]
