"""The relative effect: Fieller and delta intervals, withheld where there is no answer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.stats.lift import Lift, lift
from experiment_pipeline.stats.normal import two_sided_quantile
from experiment_pipeline.stats.not_computable import NotComputable
from tests.stats.arms import CONTROL, TREATMENT, effect_between


@given(st.floats(0.05, 2), st.floats(0.001, 0.4), st.floats(0.001, 0.4), st.floats(0.01, 0.3))
def test_fieller__its_ends__are_ratios_that_the_test_just_fails_to_refute(
    ratio: float, error_c: float, error_t: float, alpha: float
) -> None:
    n = 1_000
    control = VariantAggregate(n, 1.0, error_c * error_c * n * (n - 1))
    treatment = VariantAggregate(n, ratio, error_t * error_t * n * (n - 1))
    found = lift(control, treatment, alpha=alpha)
    z = two_sided_quantile(alpha)
    if z * error_c >= 1:
        assert found == NotComputable("control_mean_not_distinguishable_from_zero")
        return
    assert isinstance(found, Lift)
    for end in (1 + found.ci_low, 1 + found.ci_high):
        assert abs(ratio - end) == pytest.approx(z * math.hypot(error_t, end * error_c), rel=1e-6, abs=1e-9)
    assert found.ci_low <= found.value <= found.ci_high


def test_delta__two_arms__is_the_symmetric_delta_method() -> None:
    found, absolute = lift(CONTROL, TREATMENT, interval="delta"), effect_between(CONTROL, TREATMENT)
    assert isinstance(found, Lift)
    ratio, squared = 1.3, (90 / 999 / 1_000, 1_100 * 0.13 * 0.87 / 1_099 / 1_100)
    error = math.sqrt(squared[1] + ratio * ratio * squared[0]) / 0.1
    assert (found.value, found.ci_high - found.value) == pytest.approx(
        (absolute.value / 0.1, 1.959964 * error), rel=1e-6
    )
    assert found.value - found.ci_low == pytest.approx(found.ci_high - found.value)


@pytest.mark.parametrize("mean", [0.0, -0.1, -1e-300])
def test_lift__control_mean_not_positive__is_withheld(mean: float) -> None:
    assert lift(VariantAggregate(100, mean, 9.0), TREATMENT) == NotComputable("control_mean_not_positive")


def test_lift__unknown_interval__is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^interval: "):
        lift(CONTROL, TREATMENT, interval="exact")  # type: ignore[arg-type]
