"""Families of comparisons: an interval at its Holm level and the adjusted p-value say the same."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.stats.comparisons import benjamini_hochberg, holm, holm_levels

P_VALUES = st.lists(st.floats(0, 1), max_size=8)


@given(P_VALUES, st.floats(0.001, 0.5))
def test_holm_levels__interval_at_its_level__rejects_what_holm_rejects(p_values: list[float], alpha: float) -> None:
    levels, adjusted = holm_levels(p_values, alpha), holm(p_values)
    for p_value, level, p in zip(p_values, levels, adjusted, strict=True):
        if abs(p - alpha) > 1e-12:
            assert (p_value <= level) == (p <= alpha)


@given(P_VALUES)
def test_adjusted__never_smaller_than_given__and_in_its_order(p_values: list[float]) -> None:
    for adjust in (holm, benjamini_hochberg):
        adjusted = adjust(p_values)
        assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
        assert sorted(adjusted) == [q for _, q in sorted(zip(p_values, adjusted, strict=True))]
    assert all(b <= h for b, h in zip(benjamini_hochberg(p_values), holm(p_values), strict=True))


def test_one_comparison__is_not_adjusted() -> None:
    assert holm([0.03]) == benjamini_hochberg([0.03]) == [0.03]
    assert holm_levels([0.03], 0.05) == [0.05]


@pytest.mark.parametrize("p_value", [-0.1, 1.1, math.nan])
def test_p_values__outside_0_to_1__are_refused_by_name(p_value: float) -> None:
    for adjust in (holm, benjamini_hochberg):
        with pytest.raises(ValueError, match=r"^p_values: "):
            adjust([0.5, p_value])
