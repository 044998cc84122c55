"""From aggregates to results: nothing missing, nothing guessed, no verdict that is not earned (X6, S1-S3, M1)."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.aggregates import MetricAggregates, ValueSummary, VariantAggregate
from experiment_pipeline.domain.experiments import Design, Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import AttachedMetric, Direction, ExpectedDirection
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import comparison_rows, results_payload, split_rows
from experiment_pipeline.stats.verdict import Verdict
from experiment_pipeline.warehouse.frame_schemas import frame_of, validated
from tests.metrics import version_1
from tests.results.subjects import CONTROL, EVEN, PURCHASE, experiment, metric_payload, rate, results


@pytest.mark.parametrize("overflown", ["control", "b"])
def test_results__moments_too_large_for_a_float__are_withheld_with_their_reason(overflown: str) -> None:
    moments: dict[str, VariantAggregate | None] = {"control": rate(1000, 100), "b": rate(1000, 150)} | {overflown: None}
    metric = metric_payload(results(experiment(), moments))
    assert metric["variants"][overflown] == {"n": 1000, "sum": None, "sum_squares": None}
    assert (metric["effect"], metric["inference"]) == ({"b": None}, {"b": None})
    assert (metric["reason"], metric["verdict"]) == ({"b": "out_of_range"}, {"b": "collecting_data"})


def test_results__moments_whose_sums_alone_overflow__keep_the_payload_finite() -> None:
    huge = VariantAggregate(1000, 1e200, 1.0)
    spent = version_1(7, "prod", "spent", "purchase", Aggregation.SUM)
    metric = metric_payload(results(experiment(metric=spent), {"control": huge, "b": huge}))
    assert metric["variants"]["b"] == {"n": 1000, "sum": pytest.approx(1e203), "sum_squares": None}


def test_results__effect_without_a_lift__says_why() -> None:
    spent = version_1(7, "prod", "spent", "purchase", Aggregation.SUM)
    moments = {"control": VariantAggregate(1000, -1.0, 900.0), "b": VariantAggregate(1000, 2.0, 900.0)}
    read = MetricAggregates(7, dict(moments), values={"control": 2_000, "b": 2_000})
    metric = metric_payload(compute_results(experiment(metric=spent), {"control": 1000, "b": 1000}, [read], Floors()))
    assert metric["effect"]["b"]["value"] == pytest.approx(3)
    assert metric["effect"]["b"]["chance_to_win"] == pytest.approx(1)
    assert metric["inference"] == {"b": None}
    assert metric["reason"] == {"b": "control_mean_not_positive"}
    assert metric["verdict"] == {"b": "winning"}


@pytest.mark.parametrize(
    ("n", "conversions", "reason"),
    [
        (49, 20, "below_minimum_identities"),
        (50, 4, "below_minimum_conversions"),
        (50, 5, None),
    ],
)
def test_results__floors__are_kept_exactly(n: int, conversions: int, reason: str | None) -> None:
    metric = metric_payload(results(experiment(), {"control": rate(n, conversions), "b": rate(500, 100)}))
    assert metric["reason"] == {"b": reason}
    assert (metric["effect"]["b"] is None) == (reason is not None)


def test_results__holdout_and_unknown_variants__take_no_part__x6() -> None:
    variants = (*EVEN[:1], Variant("b", VariantRole.TREATMENT, 45), Variant("held", VariantRole.HOLDOUT, 10))
    moments = {"control": rate(1000, 100), "b": rate(1000, 150), "held": rate(5, 5), "unheard_of": rate(20, 7)}
    computed = results(experiment(variants), moments)
    plain = results(experiment(), {key: moments[key] for key in ("control", "b")})
    assert results_payload(computed) == results_payload(plain)
    assert computed.split.identities == {"control": 1000, "b": 1000}


def test_results__variant_without_a_key__leaves_the_split_untested__s2() -> None:
    variants = (*EVEN, Variant(None, VariantRole.TREATMENT, 10))
    computed = results(experiment(variants), {"control": rate(1000, 100), "b": rate(1000, 200)})
    assert results_payload(computed)["srm"]["reason"] == "variant_without_key"
    assert results_payload(computed)["trustworthy"] is None
    assert metric_payload(computed)["effect"]["b"] is not None
    assert computed.verdicts() == {"bought": {"b": "inconclusive"}}, "not tested is not trustworthy"


@pytest.mark.parametrize(("control", "treatment"), [(100, 400), (400, 100)])
def test_results__broken_split__shows_the_numbers_and_calls_nothing_winning__s3(control: int, treatment: int) -> None:
    computed = results(experiment(), {"control": rate(2000, control), "b": rate(1000, treatment)})
    assert computed.split.trustworthy is False
    metric = metric_payload(computed)
    assert metric["inference"]["b"] is not None
    assert metric["verdict"] == {"b": "inconclusive"}


def test_results__guardrail_harmed_on_a_broken_split__is_said_all_the_same__s3() -> None:
    subject = experiment(expected=ExpectedDirection.NOT_INCREASE)
    assert metric_payload(results(subject, {"control": rate(2000, 100), "b": rate(1000, 400)}))["verdict"] == {
        "b": "harmed"
    }
    sound = results(subject, {"control": rate(1000, 100), "b": rate(1000, 100)})
    assert metric_payload(sound)["verdict"] == {"b": "ok"}


def test_results__lower_is_better__flips_the_chance_and_the_verdict__m1() -> None:
    moments = {"control": rate(1000, 200), "b": rate(1000, 100)}
    lower = version_1(7, "prod", "bought", "purchase", Aggregation.OCCURRENCE, Direction.DOWN)
    up, down = (metric_payload(results(experiment(metric=metric), moments)) for metric in (PURCHASE, lower))
    assert up["inference"]["b"]["chance_to_win"] == pytest.approx(
        1 - down["inference"]["b"]["chance_to_win"], abs=1e-12
    )
    assert (up["verdict"]["b"], down["verdict"]["b"]) == ("losing", "winning")


def test_results__several_treatments__are_each_judged_at_their_level_of_holm() -> None:
    """One weak difference wins alone; beside a second treatment of no effect it is held to half the level."""
    weak = {"control": rate(10_000, 1000), "b": rate(10_000, 1130)}
    alone = results(experiment(), weak)
    third = 100 / 3
    variants = (CONTROL, Variant("b", VariantRole.TREATMENT, third), Variant("c", VariantRole.TREATMENT, third))
    beside_nothing = results(experiment(variants), weak | {"c": rate(10_000, 1000)})
    beside_a_winner = results(experiment(variants), weak | {"c": rate(10_000, 2000)})
    assert alone.verdicts() == {"bought": {"b": "winning"}}
    assert beside_nothing.verdicts() == {"bought": {"b": "inconclusive", "c": "inconclusive"}}
    assert beside_a_winner.verdicts() == {"bought": {"b": "winning", "c": "winning"}}


def test_results__treatment_without_data__is_counted_among_those_judged() -> None:
    """The level must not depend on who has data already: what wins alone today would be one of two tomorrow."""
    third = 100 / 3
    variants = (CONTROL, Variant("b", VariantRole.TREATMENT, third), Variant("c", VariantRole.TREATMENT, third))
    weak = {"control": rate(10_000, 1000), "b": rate(10_000, 1130)}
    computed = results(experiment(variants), weak | {"c": rate(10_000, 4)})
    assert computed.split.trustworthy
    assert computed.verdicts() == {"bought": {"b": "inconclusive", "c": "collecting_data"}}


STRONG, WEAK, NONE = rate(10_000, 1300), rate(10_000, 1130), rate(10_000, 1000)  # beside a control of 1,000
RISE, NO_RISE = ExpectedDirection.INCREASE, ExpectedDirection.NOT_INCREASE


def verdicts_of(*metrics: tuple[ExpectedDirection, VariantAggregate]) -> list[str]:
    """Return the verdicts of one treatment on these metrics, the first being the primary one."""
    attached = tuple(
        AttachedMetric(version_1(i, "prod", str(i), "purchase", Aggregation.OCCURRENCE), expected)
        for i, (expected, _) in enumerate(metrics)
    )
    moments = [MetricAggregates(i, {"control": NONE, "b": arm}) for i, (_, arm) in enumerate(metrics)]
    subject = dataclasses.replace(experiment(), metrics=attached)
    computed = compute_results(subject, {"control": 10_000, "b": 10_000}, moments, Floors())
    return [verdict["b"] for verdict in computed.verdicts().values()]


def test_results__secondary_metrics__are_judged_together_by_benjamini_hochberg() -> None:
    assert verdicts_of((RISE, NONE), (RISE, WEAK)) == ["inconclusive", "winning"], "alone at the whole level"
    beside_nothing = verdicts_of((RISE, NONE), (RISE, WEAK), (RISE, NONE))
    beside_winners = verdicts_of((RISE, NONE), (RISE, WEAK), (RISE, STRONG), (RISE, STRONG))
    assert beside_nothing == ["inconclusive", "inconclusive", "inconclusive"]
    assert beside_winners == ["inconclusive", "winning", "winning", "winning"]


def test_results__primary_metric_and_guardrails__are_judged_whatever_else_is_attached() -> None:
    unrelated = [(RISE, NONE)] * 20
    assert verdicts_of((RISE, WEAK), *unrelated)[0] == "winning"
    assert verdicts_of((RISE, NONE), (NO_RISE, WEAK), *unrelated)[1] == "harmed"
    assert verdicts_of((NO_RISE, WEAK), *unrelated)[0] == "harmed"
    assert verdicts_of((RISE, NONE), *unrelated, (NO_RISE, WEAK), (NO_RISE, NONE))[-2:] == ["harmed", "ok"]


def test_results__design_in_the_primary_metric_s_unit__does_not_silence_other_metrics() -> None:
    spent = version_1(8, "prod", "spent", "purchase", Aggregation.SUM)
    attached = (AttachedMetric(PURCHASE, RISE), AttachedMetric(spent, ExpectedDirection.NOT_DECREASE))
    subject = dataclasses.replace(experiment(design=Design(mde=0.1, baseline=0.1)), metrics=attached)
    arms = {"control": VariantAggregate(10_000, 50.0, 9e8), "b": VariantAggregate(10_000, 20.0, 9e8)}  # 7 errors
    bought = dict.fromkeys(arms, ValueSummary(nonzero=150, with_value=10_000, largest=9e3, total=5e5))
    spent_by = MetricAggregates(8, dict(arms), values=dict.fromkeys(arms, 1_000), of_identities=bought)
    moments = [MetricAggregates(7, {"control": NONE, "b": NONE}), spent_by]
    computed = compute_results(subject, {"control": 10_000, "b": 10_000}, moments, Floors())
    assert computed.verdicts() == {"bought": {"b": "inconclusive"}, "spent": {"b": "harmed"}}


def test_results__at_another_alpha__widen_their_intervals() -> None:
    moments = {"control": rate(1000, 100), "b": rate(1000, 150)}
    usual, strict = (
        metric_payload(results(experiment(design=Design(alpha=alpha)), moments))["effect"]["b"]
        for alpha in (0.05, 0.01)
    )
    assert strict["ci_low"] < usual["ci_low"] < usual["ci_high"] < strict["ci_high"]


COUNTS = st.one_of(st.integers(1, 200), st.integers(1, 2**52))  # two such arms are still counted exactly


def moments_of(aggregation: Aggregation) -> st.SearchStrategy[VariantAggregate | None]:
    """Anything that an engine can hand over for such a metric."""
    if aggregation is Aggregation.OCCURRENCE:
        return COUNTS.flatmap(lambda n: st.integers(0, n).map(lambda conversions: rate(n, conversions)))
    anything = st.builds(
        VariantAggregate,
        n=COUNTS,
        mean=st.floats(allow_nan=False, allow_infinity=False),
        m2=st.floats(min_value=0, allow_nan=False, allow_infinity=False),
    )
    return st.one_of(st.none(), anything)


@given(
    data=st.data(),
    aggregation=st.sampled_from(Aggregation),
    direction=st.sampled_from(Direction),
    expected=st.sampled_from(ExpectedDirection),
    share=st.sampled_from((0, 1e-12, 30, 50, 100, 110)),
)
def test_results__of_any_moments_at_all__are_json_numbers_or_withheld_with_a_reason(
    data: st.DataObject,
    aggregation: Aggregation,
    direction: Direction,
    expected: ExpectedDirection,
    share: float,
) -> None:
    variants = (CONTROL, Variant("b", VariantRole.TREATMENT, share))
    subject = experiment(variants, version_1(7, "prod", "m", "purchase", aggregation, direction), expected)
    arms = {key: data.draw(moments_of(aggregation), label=key) for key in ("control", "b")}
    computed = results(subject, arms)
    metric = metric_payload(computed)  # refuses NaN and infinity
    effect, inference, reason = metric["effect"]["b"], metric["inference"]["b"], metric["reason"]["b"]
    assert (reason is None) == (effect is not None and inference is not None)
    for interval, value in ((effect, "value"), (inference, "lift")):
        if interval is not None:
            assert interval["ci_low"] <= interval[value] or math.isclose(interval["ci_low"], interval[value])
            assert interval["ci_high"] >= interval[value] or math.isclose(interval["ci_high"], interval[value])
            assert 0 <= interval["chance_to_win"] <= 1
    if effect is None:
        assert metric["verdict"]["b"] == Verdict.COLLECTING_DATA
        assert metric["expected_loss"]["b"] is None
    if not computed.split.trustworthy:
        assert metric["verdict"]["b"] not in (Verdict.WINNING, Verdict.LOSING, Verdict.OK)
    for name, rows in (("srm", split_rows(computed.split)), ("bayesian_results", comparison_rows(computed))):
        validated(name, frame_of(name, rows))
