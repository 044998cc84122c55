"""Families of comparisons: an interval at its level and the adjusted p-value say the same."""

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.stats.multiplicity import (
    Levels,
    benjamini_hochberg,
    benjamini_hochberg_levels,
    holm,
    holm_levels,
)

Adjust = Callable[[Sequence[float]], list[float]]
P_VALUES = st.lists(st.floats(0, 1), max_size=8)


@pytest.mark.parametrize(
    ("levels_of", "adjust"), [(holm_levels, holm), (benjamini_hochberg_levels, benjamini_hochberg)]
)
@given(p_values=P_VALUES, alpha=st.floats(0.001, 0.5))
def test_levels__interval_at_its_level__rejects_what_the_procedure_rejects(
    levels_of: Levels, adjust: Adjust, p_values: list[float], alpha: float
) -> None:
    levels, adjusted = levels_of(p_values, alpha), adjust(p_values)
    assert all(0 < level <= alpha for level in levels)
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
    assert holm_levels([0.03], 0.05) == benjamini_hochberg_levels([0.03], 0.05) == [0.05]


def test_benjamini_hochberg_levels__by_hand__grow_with_what_is_rejected() -> None:
    assert benjamini_hochberg_levels([0.9, 0.02, 0.6, 0.8], 0.04) == pytest.approx([0.01] * 4), "none: alpha / m"
    assert benjamini_hochberg_levels([0.9, 0.019, 0.001, 0.8], 0.04) == pytest.approx([0.02] * 4), "two: 2 alpha / m"
    assert benjamini_hochberg_levels([0.03, 0.03, 0.03, 0.04], 0.04) == pytest.approx([0.04] * 4), "all: alpha"
    assert benjamini_hochberg_levels([0.0] * 3, 0.1) == [0.1] * 3, "not a rounding more"
    assert benjamini_hochberg_levels([], 0.04) == []


@pytest.mark.parametrize("p_value", [-0.1, 1.1, math.nan])
def test_p_values__outside_0_to_1__are_refused_by_name(p_value: float) -> None:
    for adjust in (holm, benjamini_hochberg):
        with pytest.raises(ValueError, match=r"^p_values: "):
            adjust([0.5, p_value])
    for levels_of in (holm_levels, benjamini_hochberg_levels):
        with pytest.raises(ValueError, match=r"^p_values: "):
            levels_of([0.5, p_value], 0.05)


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_levels__alpha_outside_0_to_1__is_refused_by_name(alpha: float) -> None:
    for levels_of in (holm_levels, benjamini_hochberg_levels):
        with pytest.raises(ValueError, match=r"^alpha: "):
            levels_of([0.5], alpha)
