"""Other readings of the primary metric: each judged alone, and whether they contradict the declared one."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import (
    UNCAPPED,
    Bounds,
    MetricAggregates,
    PairAggregate,
    VariantAggregate,
)
from experiment_pipeline.domain.experiments import Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection, Mean, Metric
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import results_payload
from experiment_pipeline.results.sensitivity import contradicts
from experiment_pipeline.stats.verdict import Verdict
from tests.results.subjects import CONTROL, EVEN, PURCHASE, experiment, rate

N = 10_000
COVERED = Mean(Measure(Events("visit"), Aggregation.COUNT), covariate_before=timedelta(days=14))
VISITS = Metric(7, "prod", "visits", COVERED)
HABIT = PairAggregate(N, mean_x=2.0, mean_y=4.0, m2_x=1e4, m2_y=1e4, c_xy=9.9e3)
HARMED, INCONCLUSIVE, LOSING, OK, WINNING = (
    Verdict.HARMED,
    Verdict.INCONCLUSIVE,
    Verdict.LOSING,
    Verdict.OK,
    Verdict.WINNING,
)


@pytest.mark.parametrize(
    ("readings", "disagree"),
    [
        ([], False),
        ([(WINNING, 0.02), (WINNING, 0.01)], False),
        ([(WINNING, 0.02), (INCONCLUSIVE, 0.01)], False),
        ([(WINNING, 0.02), (INCONCLUSIVE, -1e-300)], True),
        ([(WINNING, 0.02), (INCONCLUSIVE, 0.0), (INCONCLUSIVE, None)], False),
        ([(INCONCLUSIVE, 0.0), (INCONCLUSIVE, -0.1)], False),
        ([(WINNING, 0.02), (LOSING, 0.02)], True),
        ([(INCONCLUSIVE, 0.1), (WINNING, 0.02), (LOSING, None)], True),
        ([(OK, 0.1), (HARMED, 0.1)], True),
        ([(OK, 0.1), (INCONCLUSIVE, 0.1)], False),
    ],
)
def test_contradicts__opposite_verdicts_or_different_signs__and_nothing_else(
    readings: list[tuple[Verdict, float | None]], disagree: bool
) -> None:
    assert contradicts(readings) is disagree
    assert contradicts(iter(readings[::-1])) is disagree


def converted(**counts: int) -> MetricAggregates:
    return MetricAggregates(7, {key: rate(N, count) for key, count in counts.items()})


def of_habits(*, gain: float) -> MetricAggregates:
    """Visits of a treatment whose identities came less often before already."""
    joint: dict[str, PairAggregate | None] = {"control": HABIT, "b": replace(HABIT, mean_x=1.9, mean_y=3.9 + gain)}
    moments: dict[str, VariantAggregate | None] = {
        key: VariantAggregate(N, each.mean_y, each.m2_y) for key, each in joint.items() if each is not None
    }
    return MetricAggregates(7, moments, joint=joint)


def shown(found: MetricAggregates, metric: Metric = PURCHASE, variants: tuple[Variant, ...] = EVEN) -> Any:
    identities = {variant.key or "": N for variant in variants}
    return results_payload(compute_results(experiment(variants, metric), identities, [found], Floors()))


def test_sensitivity__of_readings_that_agree__has_their_numbers_and_contradicts_nothing() -> None:
    found = replace(converted(control=1_000, b=1_300), sensitivity={"first": converted(control=1_010, b=1_305)})
    payload = shown(found)
    assert (payload["sensitivity"]["metric_id"], payload["sensitivity"]["contradicted"]) == (7, [])
    first, alone = payload["sensitivity"]["readings"]["first"], shown(converted(control=1_010, b=1_305))["metrics"][0]
    for member in ("effect", "inference", "anytime", "verdict", "reason"):
        assert first[member] == alone[member], "as if it had been declared so"
    assert first["variants"]["b"]["sum"] == pytest.approx(1_305)
    without = shown(converted(control=1_000, b=1_300))
    assert "sensitivity" not in without
    assert payload["metrics"] == without["metrics"]


def test_sensitivity__treatments__are_contradicted_each_by_its_own_readings_and_judged_by_holm() -> None:
    variants = (CONTROL, *(Variant(key, VariantRole.TREATMENT, 33) for key in ("b", "c")))
    first = converted(control=1_000, b=990, c=1_300)
    found = replace(converted(control=1_000, b=1_300, c=1_300), sensitivity={"first": first})
    payload = shown(found, variants=variants)
    assert payload["sensitivity"]["contradicted"] == ["b"]
    levels = {key: each["level"] for key, each in payload["sensitivity"]["readings"]["first"]["anytime"].items()}
    assert levels == {"b": 0.05, "c": 0.025}


def test_sensitivity__reading_without_enough_data__is_withheld_and_contradicts_nothing() -> None:
    few = MetricAggregates(7, {"control": rate(40, 20), "b": rate(40, 1)})
    found = shown(replace(converted(control=1_000, b=1_300), sensitivity={"exclude": few}))["sensitivity"]
    reading = found["readings"]["exclude"]
    assert (reading["effect"], reading["reason"]) == ({"b": None}, {"b": "below_minimum_identities"})
    assert found["contradicted"] == []


def test_sensitivity__uncapped__is_not_withheld_by_a_cap_of_zero__m10() -> None:
    moments: dict[str, VariantAggregate | None] = dict.fromkeys(("control", "b"), VariantAggregate(N, 0.0, 0.0))
    uncapped = MetricAggregates(7, dict.fromkeys(moments, VariantAggregate(N, 1.0, N * 1.0)))
    found = MetricAggregates(7, moments, bounds=Bounds(0.0, None, {}, {}), sensitivity={UNCAPPED: uncapped})
    spent = Metric(7, "prod", "spent", Mean(Measure(Events("purchase"), Aggregation.SUM)))
    payload = shown(found, spent)
    assert payload["metrics"][0]["reason"] == {"b": "cap_is_zero"}
    assert payload["sensitivity"]["readings"]["uncapped"]["reason"] == {"b": None}


def test_sensitivity__adjusted_metric__has_its_plain_reading_beside_it__c8() -> None:
    """The plain reading is below 0, and the adjusted one, which decides, above."""
    payload = shown(of_habits(gain=0.05), VISITS)
    metric, other = payload["metrics"][0], payload["sensitivity"]["readings"]["unadjusted"]
    assert metric["verdict"] == {"b": "winning"}
    assert metric["adjusted"]["b"]["effect"]["value"] == pytest.approx(0.049)
    assert other["effect"] == metric["effect"]
    assert other["effect"]["b"]["value"] == pytest.approx(-0.05)
    assert payload["sensitivity"]["contradicted"] == ["b"]


def test_sensitivity__other_reading_of_an_adjusted_metric__is_adjusted_too() -> None:
    found = replace(of_habits(gain=0.05), sensitivity={"first": of_habits(gain=0.15)})
    reading = shown(found, VISITS)["sensitivity"]["readings"]["first"]
    assert reading["effect"]["b"]["value"] == pytest.approx(0.149)


def test_sensitivity__of_a_split_that_is_not_trustworthy__calls_nothing_winning() -> None:
    found = replace(converted(control=1_000, b=1_300), sensitivity={"first": converted(control=1_000, b=1_300)})
    payload: Any = results_payload(compute_results(experiment(), {"control": N, "b": N // 2}, [found], Floors()))
    assert payload["sensitivity"]["readings"]["first"]["verdict"] == {"b": "inconclusive"}


def test_sensitivity__is_of_the_primary_metric_alone() -> None:
    attached = tuple(AttachedMetric(replace(PURCHASE, id=number), ExpectedDirection.INCREASE) for number in (7, 8))
    second = replace(converted(control=1_000, b=1_300), metric_id=8, sensitivity={"first": converted(control=1, b=2)})
    subject, first = replace(experiment(), metrics=attached), converted(control=1_000, b=1_300)
    assert compute_results(subject, {}, [first, second], Floors()).sensitivity is None
