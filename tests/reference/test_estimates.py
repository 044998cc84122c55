"""Rules M9, M11 and C12, against numbers worked out by hand."""

from fractions import Fraction

import pytest

from tests.reference.estimates import adjusted, of_quantile, of_ratio
from tests.reference.quantiles import QuantileEstimate


def pairs(*each: tuple[int, int]) -> list[tuple[Fraction, Fraction]]:
    return [(Fraction(x), Fraction(y)) for x, y in each]


def test_m9_a_ratio_of_equal_parts_has_no_error() -> None:
    found = of_ratio(pairs((1, 3), (2, 6), (5, 15)))
    assert found is not None
    assert [found.n, found.mean, found.squared_error] == [3, 3, 0]


def test_m9_a_ratio_by_a_constant_has_the_error_of_a_mean() -> None:
    found = of_ratio(pairs((2, 1), (2, 3)))
    assert found is not None
    assert [found.mean, found.squared_error] == [1, Fraction(1, 4)]  # y has variance 2: 2 / 4 / 2
    assert of_ratio(pairs((0, 1), (0, 3))) is None
    assert of_ratio(pairs((-1, 1), (0, 3))) is None


@pytest.mark.parametrize(("low", "high", "reach"), [(4, 6, 1), (4, 7, Fraction(3, 2)), (4, 8, 3), (5, 6, 1), (5, 5, 0)])
def test_c12_the_error_of_a_quantile_is_half_of_its_interval_or_the_larger_side(
    low: int, high: int, reach: Fraction
) -> None:
    found = of_quantile(QuantileEstimate(100, Fraction(5), Fraction(low), Fraction(high)))
    assert found is not None
    assert found.squared_error == (reach / Fraction("1.959963984540054")) ** 2
    assert of_quantile(QuantileEstimate(100, Fraction(5), None, Fraction(high))) is None


def test_m11_what_the_pre_period_explains_is_taken_away() -> None:
    found = adjusted(pairs((1, 2), (3, 4)), pairs((4, 8), (6, 10)))
    assert found is not None
    assert [found.control.mean, found.treatment.mean] == [3, 6]  # 9 less a slope of 1 times 5 - 2
    assert [found.control.squared_error, found.variance_reduction] == [0, 1]
    assert adjusted(pairs((1, 2), (1, 4)), pairs((4, 8), (4, 10))) is None
