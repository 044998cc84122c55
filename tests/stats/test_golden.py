"""Every method against an implementation that shares no code with it (tests/golden)."""

from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.metrics import Direction
from experiment_pipeline.stats.bayesian import chance_to_be_best
from experiment_pipeline.stats.cuped import CupedAdjustment, cuped
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.frequentist import (
    ProportionTest,
    WelchTest,
    two_proportion_test,
    welch_test,
    wilson_interval,
)
from experiment_pipeline.stats.group_sequential import exit_probabilities
from experiment_pipeline.stats.multiplicity import benjamini_hochberg, holm
from experiment_pipeline.stats.normal import two_sided_quantile
from experiment_pipeline.stats.power import minimum_detectable_effect, power_of, sample_size
from experiment_pipeline.stats.ratio import ratio_aggregate
from experiment_pipeline.stats.srm import SrmTest, srm_test
from tests.golden.files import cases, metric, pair

Case = dict[str, Any]


def proportion(converted: int, n: int) -> VariantAggregate:
    return VariantAggregate(n, converted / n, converted * (1 - converted / n))


@pytest.mark.parametrize("case", cases("chi_square"))
def test_srm__scipy__agrees(case: Case) -> None:
    arms = [str(i) for i in range(len(case["counts"]))]
    test = srm_test(dict(zip(arms, case["counts"], strict=True)), dict(zip(arms, case["shares"], strict=True)))
    assert isinstance(test, SrmTest)
    assert (test.chi2, test.p_value) == pytest.approx((case["chi2"], case["p_value"]), rel=1e-10)


@pytest.mark.parametrize("case", cases("welch"))
def test_welch__scipy__agrees(case: Case) -> None:
    test = welch_test(metric(case["control"]), metric(case["treatment"]))
    assert isinstance(test, WelchTest)
    for name in ("statistic", "dof", "p_value", "ci_low", "ci_high"):
        assert getattr(test, name) == pytest.approx(case[name], rel=1e-9), name


@pytest.mark.parametrize("case", cases("two_proportions"))
def test_two_proportions__statsmodels__agrees(case: Case) -> None:
    test = two_proportion_test(proportion(*case["control"]), proportion(*case["treatment"]))
    assert isinstance(test, ProportionTest)
    for name in ("statistic", "p_value", "ci_low", "ci_high"):
        assert getattr(test, name) == pytest.approx(case[name], rel=1e-9), name
    interval = wilson_interval(case["control"][0], case["control"][1], two_sided_quantile(0.05))
    assert interval == pytest.approx(case["wilson"], rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("case", cases("multiplicity"))
def test_comparisons__statsmodels__agrees(case: Case) -> None:
    assert holm(case["p_values"]) == pytest.approx(case["holm"], rel=1e-12)
    assert benjamini_hochberg(case["p_values"]) == pytest.approx(case["benjamini_hochberg"], rel=1e-12)


@pytest.mark.parametrize("case", cases("power"))
def test_power__statsmodels__agrees(case: Case) -> None:
    design = {name: case[name] for name in ("alpha", "power")}
    size = sample_size(standard_deviation=1.0, effect=case["effect"], ratio=case["ratio"], **design)
    assert size.control == pytest.approx(case["control_n"], abs=1.0)
    assert size.treatment == pytest.approx(case["control_n"] * case["ratio"], abs=1.0)
    error = (1 / 1_000 + 1 / (1_000 * case["ratio"])) ** 0.5
    assert power_of(case["effect"], error, alpha=case["alpha"]) == pytest.approx(case["power_at_1000"], rel=1e-9)
    found = minimum_detectable_effect(
        standard_deviation=1.0, control_n=size.control, treatment_n=size.treatment, **design
    )
    assert found == pytest.approx(case["effect"], rel=1e-3)


@pytest.mark.parametrize("case", cases("ancova"))
def test_cuped__least_squares__agrees(case: Case) -> None:
    adjusted = cuped(pair(case["control"]), pair(case["treatment"]))
    assert isinstance(adjusted, CupedAdjustment)
    assert adjusted.theta == pytest.approx(case["theta"], rel=1e-9)
    assert adjusted.treatment.mean - adjusted.control.mean == pytest.approx(case["effect"], rel=1e-9)
    assert adjusted.control.mean == case["control"]["mean_y"]
    test = welch_test(adjusted.control, adjusted.treatment)
    assert isinstance(test, WelchTest)
    # tea-tasting's theta is that of both arms thrown together, so its effect differs by far less than its error
    error = (test.ci_high - test.ci_low) / 4
    assert adjusted.treatment.mean - adjusted.control.mean == pytest.approx(case["tea_tasting_effect"], abs=error / 10)
    assert test.p_value == pytest.approx(case["tea_tasting_p_value"], rel=0.3)


@pytest.mark.parametrize("case", cases("ratio"))
def test_ratio__tea_tasting__agrees(case: Case) -> None:
    control, treatment = ratio_aggregate(pair(case["control"])), ratio_aggregate(pair(case["treatment"]))
    assert isinstance(control, VariantAggregate)
    assert isinstance(treatment, VariantAggregate)
    test, absolute = welch_test(control, treatment), effect(control, treatment)
    assert isinstance(test, WelchTest)
    assert isinstance(absolute, Effect)
    assert (control.mean, absolute.value) == pytest.approx((case["control_ratio"], case["effect"]), rel=1e-9)
    for name in ("statistic", "p_value", "ci_low", "ci_high"):
        assert getattr(test, name) == pytest.approx(case[name], rel=1e-8), name


@pytest.mark.parametrize("case", cases("best_of_several"))
def test_chance_to_be_best__quadrature__agrees(case: Case) -> None:
    n = 1_000
    arms = {
        str(i): VariantAggregate(n, mean, error * error * n * (n - 1))
        for i, (mean, error) in enumerate(zip(case["means"], case["errors"], strict=True))
    }
    chances = chance_to_be_best(arms, Direction.UP)
    assert isinstance(chances, dict)
    assert list(chances.values()) == pytest.approx(case["chances"], abs=1e-9)


@pytest.mark.parametrize("case", cases("planned_looks"))
def test_exit_probabilities__multivariate_normal__agree(case: Case) -> None:
    found = exit_probabilities(case["fractions"], case["boundaries"], case["drift"])
    assert found.total == pytest.approx(case["stop"], abs=1e-5)
