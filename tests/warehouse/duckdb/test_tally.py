"""Exact sums, and the tally of events per identity (rules M2-M5, X5)."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.warehouse.duckdb.tally import ExactSums, Moments, Population, Tally

EPSILON = Fraction(2) ** -52
numbers = st.floats(allow_nan=False, allow_infinity=False)
deliveries = st.lists(st.tuples(st.integers(0, 3), numbers), max_size=60)


def summed(pieces: list[list[tuple[int, float]]]) -> Floats:
    sums = ExactSums(4)
    for piece in pieces:
        sums.add(
            np.array([number for number, _ in piece], np.int64), np.array([value for _, value in piece], np.float64)
        )
    return sums.totals()


@given(deliveries, st.randoms(use_true_random=False), st.integers(1, 60))
def test_sums__in_any_order_and_pieces__are_the_same_to_the_last_bit__x5(
    delivered: list[tuple[int, float]], shuffled: random.Random, length: int
) -> None:
    again = list(delivered)
    shuffled.shuffle(again)
    pieces = [again[start : start + length] for start in range(0, len(again), length)]
    assert summed([delivered]).tobytes() == summed(pieces).tobytes()


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-1e300, 1e300)), max_size=60))
def test_sums__are_those_of_fractions__m3(delivered: list[tuple[int, float]]) -> None:
    totals = summed([delivered])
    for number in range(4):
        mine = [Fraction(value) for who, value in delivered if who == number]
        allowed = 2 * EPSILON * sum(map(abs, mine), Fraction(0)) + Fraction(math.ulp(0.0)) * len(mine)
        assert abs(Fraction(float(totals[number])) - sum(mine, Fraction(0))) <= allowed


def test_sums__what_cancels_leaves_what_does_not__m3() -> None:
    assert summed([[(0, 1e16), (0, 1.0), (0, -1e16)]])[0] == 1.0


def population() -> Population:
    """Two arms; hashes in no order, 7 is first exposed at 100."""
    return Population(np.array([7, -3, 40]), np.array([100, 50, 0]), np.array([0, 1, 1]), arms=2)


def of(values: list[float]) -> Moments:
    return Moments.of(np.array(values, np.float64), 0)


def test_tally__counts_from_the_first_exposure_to_the_end_of_the_window__m3() -> None:
    tally = Tally.of(population(), window_us=10)
    tally.add(np.array([7, 7, 7, 7, 8, -3, -100, 99]), np.array([99, 100, 109, 110, 105, 55, 55, 55]))
    assert tally.moments(Aggregation.COUNT) == [of([2]), of([1, 0])]
    assert tally.moments(Aggregation.OCCURRENCE) == [of([1]), of([1, 0])]


def test_tally__values_that_are_no_numbers__are_counted_and_left_out__e5() -> None:
    tally = Tally.of(population(), window_us=None)
    tally.add(np.array([40, 40, 40]), np.array([1, 2, 3]), np.array([1.5, math.nan, 4.5]))
    tally.add(np.array([-3]), np.array([60]), np.array([math.nan]))
    nobody, two = tally.moments(Aggregation.MEAN)
    assert nobody == Moments.of(np.zeros(1), 0, with_value=0)
    assert two == Moments.of(np.array([0, 3.0]), 2, 4, with_value=1)
    assert tally.moments(Aggregation.SUM)[1].aggregate == of([0, 6.0]).aggregate
    assert tally.moments(Aggregation.COUNT)[1] == of([1, 3])


@pytest.mark.parametrize("add", [[], [1, 2]])
def test_tally__of_nobody__is_empty(add: list[int]) -> None:
    nobody = np.empty(0, np.int64)
    tally = Tally.of(Population(nobody, nobody, nobody, 1), window_us=None)
    tally.add(np.array(add, np.int64), np.array(add, np.int64), np.array(add, np.float64))
    assert tally.moments(Aggregation.SUM) == [of([])]


def test_moments__too_large_for_a_float__are_none_whatever_they_are_merged_with() -> None:
    large = of([1e308, 1e308, -1e308])
    assert large.aggregate is None
    assert of([1.0]).merge(large).aggregate is None
    assert large.merge(of([1.0])).aggregate is None
    whole, parts = of([1.0, 2.0, 6.0]).aggregate, of([1.0]).merge(of([2.0, 6.0])).aggregate
    assert whole is not None
    assert parts is not None
    assert parts.n == whole.n
    assert (parts.mean, parts.m2) == pytest.approx((whole.mean, whole.m2))


def test_moments__finite_apart_and_not_together__are_none_as_they_are_in_one_piece() -> None:
    assert of([1e160]).aggregate is not None
    assert of([1e160]).merge(of([-1e160])) == of([1e160, -1e160])
    assert (of([1e160, -1e160]).mean, of([1e160, -1e160]).m2) == (0.0, None)


def test_tally__of_identities_that_are_not_0_or_have_a_value__is_by_aggregation() -> None:
    tally = Tally.of(population(), window_us=None)
    tally.add(np.array([40, 40]), np.array([1, 2]), np.array([-2.0, 2.0]))
    tally.add(np.array([-3]), np.array([60]), np.array([math.nan]))
    found = {each: tally.moments(each)[1] for each in Aggregation}
    assert {each: moments.nonzero for each, moments in found.items()} == {
        Aggregation.OCCURRENCE: 2, Aggregation.COUNT: 2, Aggregation.SUM: 0, Aggregation.MEAN: 0
    }  # fmt: skip
    assert {each: moments.with_value for each, moments in found.items()} == {
        Aggregation.OCCURRENCE: 2, Aggregation.COUNT: 2, Aggregation.SUM: 2, Aggregation.MEAN: 1
    }  # fmt: skip
    assert found[Aggregation.COUNT].largest == 2.0


def test_moments__merged_range_by_range__count_and_compare_identities_as_in_one_piece() -> None:
    ranges = [of([0.0, -1.0]), of([]), of([-0.0, 7.0, 3.0]), of([-9.0])]
    merged = ranges[0]
    for each in ranges[1:]:
        merged = merged.merge(each)
    assert (merged.nonzero, merged.with_value, merged.largest) == (4, 6, 7.0)
    assert of([-2.0, -1.0]).largest == -1.0
    assert of([]).merge(of([-2.0])).largest == -2.0
    assert of([math.inf]).merge(of([1.0])).largest is of([]).largest is None


def test_moments__whose_squares_alone_are_too_large__keep_the_mean() -> None:
    whole = of([1e200, 0.0, 0.0, 0.0])
    assert (whole.mean, whole.m2, whole.aggregate, whole.largest) == (2.5e199, None, None, 1e200)
    assert of([1e200, 0.0]).merge(of([0.0, 0.0])) == whole
    assert whole.merge(of([0.0] * 4)).mean == 1.25e199


def test_sums__of_a_few_odd_values__take_no_room_for_everybody() -> None:
    sums = ExactSums(100_000)
    everybody = np.arange(100_000)
    sums.add(everybody, np.full(100_000, 1.5))
    odd = [10.0**power for power in range(-200, 200, 10)]
    sums.add(np.zeros(len(odd), np.int64), np.array(odd))
    assert len(sums._places) <= 3
    assert sums.totals()[0] == math.fsum([1.5, *odd])
    assert sums.totals()[1] == 1.5
