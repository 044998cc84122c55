"""Exact sums: the same to the last bit in any order and pieces (rule X5)."""

import math
import random
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.warehouse.duckdb.exact_sums import ExactSums

EPSILON = Fraction(2) ** -52
numbers = st.floats(allow_nan=False, allow_infinity=False)
deliveries = st.lists(st.tuples(st.integers(0, 3), numbers), max_size=60)


def summed(pieces: list[list[tuple[int, float]]]) -> Floats:
    sums = ExactSums(4)
    for piece in pieces:
        sums.add(
            slice(0, 4),
            np.array([number for number, _ in piece], np.int64),
            np.array([value for _, value in piece], np.float64),
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


def test_sums__of_a_few_odd_values__take_no_room_for_everybody() -> None:
    sums = ExactSums(100_000)
    everybody = np.arange(100_000)
    sums.add(slice(0, 100_000), everybody, np.full(100_000, 1.5))
    odd = [10.0**power for power in range(-200, 200, 10)]
    sums.add(slice(0, 1), np.zeros(len(odd), np.int64), np.array(odd))
    assert len(sums._places) <= 3
    assert sums.totals()[0] == math.fsum([1.5, *odd])
    assert sums.totals()[1] == 1.5


def test_sums__within_some_identities__are_theirs() -> None:
    sums = ExactSums(100)
    sums.add(slice(0, 100), np.arange(100), np.full(100, 1.5))
    sums.add(slice(40, 60), np.array([0, 19]), np.array([0.25, 1e200]))
    assert [sums.totals()[number] for number in (0, 19, 40, 59)] == [1.5, 1.5, 1.75, 1e200]
