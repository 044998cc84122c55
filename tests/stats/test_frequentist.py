"""Fixed-sample tests: exact tails, withheld where there is no answer."""

import mpmath
import pytest

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.stats.effect import Effect
from experiment_pipeline.stats.frequentist import WelchTest, two_proportion_test, two_sided_t_p, wald_test, welch_test
from experiment_pipeline.stats.not_computable import NotComputable
from tests.stats.arms import CONSTANT, CONTROL, SMALLEST, TREATMENT


@pytest.mark.parametrize("dof", [1.0, 2.5, 10.0, 99.3, 1e3, 123_456.7])
def test_two_sided_t_p__down_to_1e_300__is_exact(dof: float) -> None:
    for t in (0.0, 1e-3, 0.1, 1.0, 2.0, 3.3, 8.0, 15.0, 25.0, 36.5):
        d, x = mpmath.mpf(dof), mpmath.mpf(t)
        exact = mpmath.betainc(d / 2, mpmath.mpf(1) / 2, 0, d / (d + x * x), regularized=True)
        if exact > SMALLEST:
            assert two_sided_t_p(t, dof) == pytest.approx(float(exact), rel=1e-8)


def test_welch__no_variance__is_withheld() -> None:
    assert welch_test(CONSTANT, CONSTANT) == NotComputable("no_variance")


def test_wald__no_error_or_one_too_small_for_the_effect__is_withheld() -> None:
    assert wald_test(Effect(1.0, 0.0, 1.0, 1.0)) == NotComputable("no_variance")
    assert wald_test(Effect(1e140, 1e-200, 1e140, 1e140)) == NotComputable("out_of_range")


def test_two_proportions__what_is_no_proportion__is_refused_by_name() -> None:
    nothing, all_of_them = VariantAggregate(50, 0.0, 0.0), VariantAggregate(50, 1.0, 0.0)
    assert two_proportion_test(nothing, nothing) == two_proportion_test(all_of_them, all_of_them)
    assert two_proportion_test(nothing, nothing) == NotComputable("no_variance")
    with pytest.raises(ValueError, match=r"^treatment: "):
        two_proportion_test(CONTROL, VariantAggregate(50, 1.2, 3.0))


@pytest.mark.parametrize("alpha", [1e-17, 1e-50, 1e-200])
def test_welch__alpha_beyond_what_one_less_it_can_tell__keeps_its_interval(alpha: float) -> None:
    test = welch_test(CONTROL, TREATMENT, alpha=alpha)
    assert isinstance(test, WelchTest)
    reached = (test.ci_high - test.ci_low) / 2 / ((test.ci_high + test.ci_low) / 2 / test.statistic)
    assert two_sided_t_p(reached, test.dof) == pytest.approx(alpha, rel=1e-9)
