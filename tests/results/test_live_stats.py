"""Live statistics: every status, numbers by another implementation, and the same numbers as the results payload."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy import stats

from experiment_pipeline.domain.aggregates import (
    MetricAggregates,
    PairAggregate,
    QuantileEstimate,
    ValueSummary,
    VariantAggregate,
)
from experiment_pipeline.domain.experiments import Design, Experiment, Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import (
    Direction,
    ExpectedDirection,
    Funnel,
    Mean,
    Metric,
    Quantile,
    Ratio,
    Retention,
    Statistic,
)
from experiment_pipeline.domain.planned_looks import PlannedLookOf
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.live_stats import MetricType, live_stats, metric_type
from experiment_pipeline.results.model import ExperimentResults
from experiment_pipeline.results.payload import results_payload
from experiment_pipeline.stats.group_sequential import spending_boundaries
from tests.results.subjects import EVEN, PURCHASE, experiment, rate

BUYING = Events("purchase")
AMOUNT = Measure(BUYING, Aggregation.SUM)
HOLDOUT = Variant("h", VariantRole.HOLDOUT, 10)
UNEVEN = (*EVEN, Variant("c", VariantRole.TREATMENT, 20))
N = 400
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def of(statistic: Statistic, direction: Direction = Direction.UP) -> Metric:
    return Metric(7, "prod", "metric", statistic, direction=direction)


def both(subject: Experiment, found: MetricAggregates, **others: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The live statistics, and the payload of the same results."""
    identities = {key: 0 if each is None else each.n for key, each in found.by_variant.items()} | others
    computed = compute_results(subject, identities, [found], Floors())
    return dict(live_stats(subject, computed)), dict(results_payload(computed))


def moments(**arms: VariantAggregate) -> MetricAggregates:
    summaries = {key: ValueSummary(N // 2, arm.n, 9.0, arm.sum) for key, arm in arms.items()}
    return MetricAggregates(7, dict(arms), of_identities=summaries)


def spent(seed: int, gain: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).gamma(2.0, 5.0, N) + gain


CONTROL_SPENT, TREATMENT_SPENT = spent(1, 0.0), spent(2, 1.0)
SPENT = moments(control=VariantAggregate.of(CONTROL_SPENT.tolist()), b=VariantAggregate.of(TREATMENT_SPENT.tolist()))


def comparison(shown: dict[str, Any]) -> dict[str, Any]:
    (only,) = shown["comparisons"]
    assert isinstance(only, dict)
    return only


def test_binary__numbers__are_those_of_other_implementations() -> None:
    shown, _ = both(experiment(), moments(control=rate(1_000, 100), b=rate(1_000, 130)))
    found = comparison(shown)
    chi_square, p_value = stats.chi2_contingency([[100, 900], [130, 870]], correction=False)[:2]
    assert found["frequentist"]["test"] == "two_proportion_z"
    assert found["frequentist"]["statistic"] == pytest.approx(math.sqrt(chi_square))
    assert found["frequentist"]["p_value"] == pytest.approx(p_value)
    error = math.sqrt(0.1 * 0.9 / 999 + 0.13 * 0.87 / 999)
    assert found["probability_treatment_beats_control"] == pytest.approx(stats.norm.cdf(0.03 / error))
    srm = stats.chisquare([1_000, 1_000])
    assert (shown["srm"]["chi_square"], shown["srm"]["p_value"]) == (srm.statistic, srm.pvalue)


def test_continuous__numbers__are_those_of_another_implementation() -> None:
    found = comparison(both(experiment(metric=of(Mean(AMOUNT))), SPENT)[0])
    test = stats.ttest_ind(TREATMENT_SPENT, CONTROL_SPENT, equal_var=False)
    interval = test.confidence_interval(0.95)
    assert found["frequentist"] == {
        "test": "welch_t",
        "statistic": pytest.approx(test.statistic),
        "degrees_of_freedom": pytest.approx(test.df),
        "p_value": pytest.approx(test.pvalue),
        "adjusted_p_value": pytest.approx(test.pvalue),
        "ci_low": pytest.approx(interval.low),
        "ci_high": pytest.approx(interval.high),
    }


def test_ratio__numbers__are_those_of_the_delta_method_by_hand() -> None:
    def linearised(seed: int, gain: float) -> tuple[PairAggregate, float, float]:
        """The joint moments, the ratio, and its squared standard error."""
        rng = np.random.default_rng(seed)
        x = rng.poisson(3.0, N) + 1.0
        y = x * (2.0 + gain) + rng.normal(0, 1, N)
        ratio = y.mean() / x.mean()
        error = (y - ratio * x).var(ddof=1) / x.mean() ** 2 / N
        return PairAggregate.of(zip(x.tolist(), y.tolist(), strict=True)), float(ratio), float(error)

    (control, ratio_c, error_c), (treatment, ratio_t, error_t) = linearised(3, 0.0), linearised(4, 0.1)
    joint = {"control": control, "b": treatment}
    arms = {key: VariantAggregate(each.n, each.mean_y, each.m2_y) for key, each in joint.items()}
    found = MetricAggregates(7, dict(arms), joint=dict(joint), of_identities=moments(**arms).of_identities)
    shown, _ = both(experiment(metric=of(Ratio(AMOUNT, Measure(BUYING, Aggregation.COUNT)))), found)
    z = (ratio_t - ratio_c) / math.sqrt(error_c + error_t)
    numbers = comparison(shown)
    assert shown["metric_type"] == "ratio"
    assert numbers["frequentist"]["test"] == "wald_z"
    assert numbers["frequentist"]["statistic"] == pytest.approx(z)
    assert numbers["frequentist"]["p_value"] == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert numbers["probability_treatment_beats_control"] == pytest.approx(stats.norm.cdf(z))


def test_quantile__numbers__are_those_of_its_interval() -> None:
    arms = {key: VariantAggregate(N, 1.0, 40.0) for key in ("control", "b")}
    quantiles = {"control": QuantileEstimate(N, 5.0, 4.5, 5.5), "b": QuantileEstimate(N, 5.6, 5.1, 6.1)}
    found = replace(moments(**arms), quantiles=dict(quantiles))
    slow = of(Quantile(0.9, AMOUNT), Direction.DOWN)
    shown, payload = both(experiment(metric=slow), found)
    numbers = comparison(shown)
    assert (shown["metric_type"], numbers["frequentist"]["test"]) == ("quantile", "wald_z")
    error = payload["metrics"][0]["standard_error"]["b"]
    assert numbers["frequentist"]["statistic"] == pytest.approx(0.6 / error)
    assert numbers["probability_treatment_beats_control"] > 0.9, "of the larger value, though smaller is better"
    assert numbers["effect"]["chance_to_win"] == pytest.approx(1 - numbers["probability_treatment_beats_control"])


def test_live_stats__of_what_the_payload_has_too__are_the_same_numbers() -> None:
    subject = experiment((*UNEVEN, HOLDOUT), of(Mean(AMOUNT)), design=Design(mde=0.1, baseline=10.0))
    third = VariantAggregate.of(spent(5, 0.5).tolist())
    found = replace(SPENT, by_variant={**SPENT.by_variant, "c": third})
    summaries = {**SPENT.of_identities, "c": ValueSummary(N // 2, N, 9.0, 1.0)}
    shown, payload = both(subject, replace(found, of_identities=summaries), h=90)
    (metric,) = payload["metrics"]
    assert shown["srm"]["chi_square"] == payload["srm"]["chi_square"]
    assert shown["srm"]["p_value"] == payload["srm_p_value"]
    assert shown["srm"]["is_srm"] is not payload["trustworthy"]
    assert shown["srm"]["observed_counts"] == payload["srm"]["identities"]
    assert [each["treatment"] for each in shown["comparisons"]] == ["b", "c"]
    for numbers in shown["comparisons"]:
        key = numbers["treatment"]
        assert numbers["effect"] == metric["effect"][key]
        assert numbers["lift"] == metric["inference"][key]
        assert numbers["frequentist"] == metric["frequentist"][key]
        assert numbers["probability_treatment_beats_control"] == metric["effect"][key]["chance_to_win"]
        assert numbers["verdict"] == metric["verdict"][key]
        fraction = shown["sequential"]["treatments"][key]["information_fraction"]
        assert fraction == metric["progress"][key]["information_fraction"]


def test_holdout__takes_no_part() -> None:
    shown, _ = both(experiment((*EVEN, HOLDOUT)), moments(control=rate(1_000, 100), b=rate(1_000, 130)), h=300)
    assert shown["exposures_total"] == 2_000
    assert set(shown["variants"]) == set(shown["srm"]["observed_counts"]) == {"control", "b"}
    assert "h" not in str(shown["comparisons"][0]["treatment"])


def test_conversions__are_identities_with_a_counted_event() -> None:
    found = replace(SPENT, with_event={"control": 130, "b": 170})
    shown, _ = both(experiment(metric=of(Mean(AMOUNT))), found)
    assert shown["conversions_total"] == 300
    assert shown["variants"]["b"]["conversions"] == 170


@pytest.mark.parametrize(
    ("sizes", "status", "is_srm"),
    [((1_000, 1_010), "ok", False), ((1_000, 1_400), "srm_detected", True), ((20, 20), "insufficient_data", None)],
)
def test_srm__has_every_status(sizes: tuple[int, int], status: str, is_srm: bool | None) -> None:
    control, treatment = sizes
    shown, _ = both(experiment(), moments(control=rate(control, 10), b=rate(treatment, 10)))
    srm = shown["srm"]
    assert (srm["status"], srm["is_srm"]) == (status, is_srm)
    assert srm["expected_counts"] == {"control": sum(sizes) / 2, "b": sum(sizes) / 2}
    assert (srm["reason"] is None) == (is_srm is not None)


def test_comparison__of_two_identities__is_ok_below_the_floor() -> None:
    arms = VariantAggregate.of([0.0, 4.0]), VariantAggregate.of([1.0, 9.0, 2.0])
    found = comparison(both(experiment(metric=of(Mean(AMOUNT))), moments(control=arms[0], b=arms[1]))[0])
    assert (found["status"], found["below_floor"], found["reason"]) == ("ok", True, None)
    assert found["frequentist"]["adjusted_p_value"] is None
    assert found["effect"]["value"] == 2.0
    assert found["verdict"] == "collecting_data"


@pytest.mark.parametrize(
    ("arms", "reason"),
    [
        ((VariantAggregate.of([1.0]), VariantAggregate.of([1.0, 2.0])), "fewer_than_two_identities"),
        ((VariantAggregate.of([3.0] * 60), VariantAggregate.of([3.0] * 60)), "no_variance"),
    ],
)
def test_comparison__that_cannot_be_made__says_why(
    arms: tuple[VariantAggregate, VariantAggregate], reason: str
) -> None:
    found = comparison(both(experiment(metric=of(Mean(AMOUNT))), moments(control=arms[0], b=arms[1]))[0])
    assert (found["status"], found["reason"], found["below_floor"]) == ("insufficient_data", reason, False)
    numbers = ("effect", "lift", "frequentist", "probability_treatment_beats_control")
    assert {name: found[name] for name in numbers} == dict.fromkeys(numbers)


def test_comparison__with_unreadable_values__has_numbers_and_the_reason() -> None:
    found = replace(SPENT, values={"control": 100, "b": 100}, invalid_values={"b": 50})
    numbers = comparison(both(experiment(metric=of(Mean(AMOUNT))), found)[0])
    assert (numbers["status"], numbers["reason"]) == ("ok", "unreadable_values")
    assert numbers["effect"] is not None


def test_sequential__of_one_look__is_of_a_fixed_horizon() -> None:
    design = Design(mde=0.2, baseline=0.1)
    shown, _ = both(experiment(design=design), moments(control=rate(1_000, 100), b=rate(1_000, 130)))
    sequential = shown["sequential"]
    assert (sequential["status"], sequential["n_looks"]) == ("fixed_horizon", 1)
    quantiles = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    planned = math.ceil(2 * (quantiles / 0.02) ** 2 * 0.1 * 0.9)
    assert sequential["planned_sample_size_per_variant"] == planned
    assert 0 < sequential["information_fraction"] < 1
    assert sequential["reason"] is None


def test_sequential__of_several_looks__has_insufficient_data_before_the_first_one() -> None:
    design = Design(mde=0.2, baseline=0.1, n_looks=4)
    shown, _ = both(experiment(design=design), moments(control=rate(200, 20), b=rate(200, 26)))
    sequential = shown["sequential"]
    assert (sequential["status"], sequential["n_looks"]) == ("insufficient_data", 4)
    assert sequential["reason"] == "before_first_planned_look"
    assert 0 < sequential["information_fraction"] < 0.25


def test_sequential__at_planned_looks__is_active_with_the_boundary_in_force() -> None:
    """After the first look z and boundary stay those of the look, as in the payload, until the next one."""
    subject = experiment(design=Design(mde=0.1, baseline=0.5, n_looks=4))

    def at(n: int, buying: float, stored: Sequence[PlannedLookOf] = ()) -> tuple[ExperimentResults, dict[str, Any]]:
        found = moments(control=rate(n, n // 2), b=rate(n, round(n * buying)))
        computed = compute_results(subject, {"control": n, "b": n}, [found], Floors(), as_of=NOW, planned_looks=stored)
        return computed, dict(live_stats(subject, computed)["sequential"])

    computed, first = at(500, 0.5)
    assert (first["status"], first["n_looks"], first["reason"]) == ("active", 4, None)
    (boundary,) = spending_boundaries([first["information_fraction"]])
    assert first["current_boundary_z"] == pytest.approx(boundary)
    assert first["treatments"]["b"]["z"] == 0
    assert first["treatments"]["b"]["crossed"] is False
    planned = first["planned_sample_size_per_variant"]
    assert planned == math.ceil(((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) / 0.05) ** 2 * 0.5)
    between, shown = at(550, 0.52, computed.new_planned_looks)
    assert (shown["current_boundary_z"], shown["treatments"]["b"]["z"]) == (first["current_boundary_z"], 0)
    assert shown["information_fraction"] > first["information_fraction"]
    assert not between.new_planned_looks
    _, second = at(1_000, 0.6, computed.new_planned_looks)
    assert second["treatments"]["b"]["crossed"] is True
    assert second["treatments"]["b"]["z"] > second["current_boundary_z"]


def test_sequential__of_a_metric_whose_looks_cannot_be_planned__says_why() -> None:
    subject = experiment(metric=of(Mean(AMOUNT)), design=Design(n_looks=4))
    shown, _ = both(subject, SPENT)
    assert (shown["sequential"]["status"], shown["sequential"]["reason"]) == ("insufficient_data", "design_incomplete")
    last = of(Mean(Measure(BUYING, Aggregation.LAST)))
    shown, _ = both(experiment(metric=last, design=Design(mde=0.1, baseline=10.0, n_looks=4)), SPENT)
    assert (shown["sequential"]["status"], shown["sequential"]["reason"]) == (
        "insufficient_data", "evidence_not_planned",
    )  # fmt: skip


@pytest.mark.parametrize("margin", [None, 0.05])
def test_sequential__whose_looks_the_design_does_not_plan__says_so(margin: float | None) -> None:
    """Without a standard deviation of a sum, or with a margin, verdicts hold at every refresh (rule C8)."""
    design = Design(mde=0.1, baseline=10.0, n_looks=4, standard_deviation=None if margin is None else 7.0)
    subject = experiment(metric=of(Mean(AMOUNT)), expected=ExpectedDirection.NOT_DECREASE, design=design)
    subject = replace(subject, metrics=(replace(subject.metrics[0], margin=margin),))
    sequential = both(subject, SPENT)[0]["sequential"]
    assert (sequential["status"], sequential["reason"]) == ("insufficient_data", "no_planned_looks")
    assert sequential["information_fraction"] is not None


def test_sequential__of_an_effect_that_no_sample_finds__says_so() -> None:
    design = Design(mde=1e-8, baseline=0.2)
    shown, _ = both(experiment(design=design), moments(control=rate(1_000, 200), b=rate(1_000, 230)))
    sequential = shown["sequential"]
    assert (sequential["planned_sample_size_per_variant"], sequential["reason"]) == (None, "effect_too_small")


def test_sequential__of_a_mean__plans_by_the_variance_so_far() -> None:
    subject = experiment(metric=of(Mean(AMOUNT)), design=Design(mde=0.1, baseline=10.0))
    shown, payload = both(subject, SPENT)
    needed = payload["metrics"][0]["progress"]["b"]["identities_needed"]
    assert shown["sequential"]["planned_sample_size_per_variant"] == math.ceil(needed / 2)
    named = replace(subject, design=replace(subject.design, standard_deviation=7.0))
    planned = both(named, SPENT)[0]["sequential"]["planned_sample_size_per_variant"]
    assert planned == math.ceil(2 * (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) ** 2 * 7.0**2)


@pytest.mark.parametrize(
    ("design", "reason"),
    [(Design(), "design_incomplete"), (Design(mde=0.1, baseline=10.0), "below_minimum_identities")],
)
def test_sequential__without_a_plan__says_why(design: Design, reason: str) -> None:
    few = moments(control=VariantAggregate.of([1.0, 3.0]), b=VariantAggregate.of([2.0, 5.0]))
    shown, _ = both(experiment(metric=of(Mean(AMOUNT)), design=design), few)
    sequential = shown["sequential"]
    assert (sequential["planned_sample_size_per_variant"], sequential["reason"]) == (None, reason)
    assert sequential["information_fraction"] is None


def test_cuped__of_a_metric_with_a_pre_period__has_its_numbers() -> None:
    def arm(seed: int, gain: float) -> PairAggregate:
        rng = np.random.default_rng(seed)
        before = rng.standard_gamma(2.0, N)
        after = before + rng.normal(5 + gain, 0.3, N)
        return PairAggregate.of(zip(before.tolist(), after.tolist(), strict=True))

    joint = {"control": arm(1, 0.0), "b": arm(2, 0.3)}
    arms = {key: VariantAggregate(each.n, each.mean_y, each.m2_y) for key, each in joint.items()}
    found = replace(moments(**arms), joint=dict(joint))
    shown, payload = both(experiment(metric=of(Mean(AMOUNT, covariate_before=timedelta(14)))), found)
    adjusted = payload["metrics"][0]["adjusted"]["b"]
    assert shown["cuped"] == {
        "status": "available",
        "reason": None,
        "treatments": {
            "b": {
                "effect": adjusted["effect"],
                "lift": adjusted["inference"],
                "variance_reduction": adjusted["variance_reduction"],
                "probability_treatment_beats_control": adjusted["effect"]["chance_to_win"],
                "reason": None,
            }
        },
    }
    flat = {key: replace(each, m2_x=0.0, c_xy=0.0) for key, each in joint.items()}
    shown, _ = both(
        experiment(metric=of(Mean(AMOUNT, covariate_before=timedelta(14)))), replace(found, joint=dict(flat))
    )
    assert (shown["cuped"]["status"], shown["cuped"]["reason"]) == ("unavailable", "pre_period_without_variance")


def test_cuped__of_a_metric_without_a_pre_period__is_unavailable() -> None:
    shown, _ = both(experiment(metric=of(Mean(AMOUNT))), SPENT)
    assert shown["cuped"] == {"status": "unavailable", "reason": "no_pre_period", "treatments": {}}


def test_live_stats__of_an_experiment_without_a_metric__are_of_its_split() -> None:
    subject = replace(experiment(), metrics=())
    computed = compute_results(subject, {"control": 1_000, "b": 1_000}, [], Floors())
    shown = live_stats(subject, computed)
    assert (shown["metric_type"], shown["primary_metric_name"], shown["comparisons"]) == (None, None, [])
    assert shown["srm"]["status"] == "ok"
    assert (shown["sequential"]["reason"], shown["cuped"]["reason"]) == ("no_metric", "no_metric")


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        (PURCHASE, MetricType.BINARY),
        (of(Retention(Measure(BUYING, Aggregation.OCCURRENCE))), MetricType.BINARY),
        (of(Funnel((Events("view"), BUYING))), MetricType.BINARY),
        (of(Mean(AMOUNT)), MetricType.CONTINUOUS),
        (of(Mean(Measure(BUYING, Aggregation.COUNT))), MetricType.CONTINUOUS),
    ],
)
def test_metric_type__of_each_statistic(metric: Metric, kind: MetricType) -> None:
    assert metric_type(metric) is kind
