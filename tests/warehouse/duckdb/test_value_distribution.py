"""Distributions of values agree with counting them one by one, in any pieces."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.metric_preview import QUANTILES, Bin, ValueCount
from experiment_pipeline.warehouse.duckdb import value_distribution
from experiment_pipeline.warehouse.duckdb.value_distribution import distribution

NUMBERS = st.one_of(st.integers(-20, 20).map(float), st.floats(-1e9, 1e9, allow_nan=False))


@given(st.lists(st.lists(NUMBERS, max_size=30), max_size=4))
def test_distribution__of_any_pieces__is_that_of_all_values_counted(pieces: list[list[float]]) -> None:
    found = distribution([np.array(piece, np.float64) for piece in pieces])
    values = sorted(value for piece in pieces for value in piece)
    if found is None:
        assert not values
        return
    assert (found.n, found.zeros, found.too_large) == (len(values), values.count(0), 0)
    assert (found.smallest, found.largest) == (values[0], values[-1])
    ranks = [max(1, math.ceil(round(share * len(values), 9))) for share in QUANTILES]
    assert list(found.quantiles) == [values[rank - 1] for rank in ranks]
    counted = sorted(Counter(values).items(), key=lambda each: (-each[1], each[0]))[:10]
    assert found.top == tuple(ValueCount(value, count) for value, count in counted if count > 1)
    if found.bins:
        assert sum(each.count for each in found.bins) == len(values) - values.count(0)
        assert [each.high for each in found.bins[:-1]] == [each.low for each in found.bins[1:]]
    else:
        assert sum(count for _, count in counted) == len(values)


def test_distribution__of_a_skewed_sample__has_round_bars_and_one_for_the_largest_values() -> None:
    found = distribution([np.array([0.0] * 50 + [each / 10 for each in range(1, 100)] + [4_000.0])])
    assert found is not None
    assert found.bins[0] == Bin(0, 1, 9)
    assert found.bins[1:-1] == tuple(Bin(low, low + 1, 10) for low in range(1, 10))
    assert found.bins[-1] == Bin(10, None, 1)


@pytest.mark.parametrize(("largest", "width"), [(11, 1), (12, 2), (21, 2), (22, 5), (51, 5), (52, 10)])
def test_histogram__bars__are_1_2_or_5_times_a_power_of_ten_wide(largest: int, width: int) -> None:
    found = distribution([np.arange(1.0, largest + 1)])
    assert found is not None
    assert found.bins[1].high == found.bins[1].low + width


def test_distribution__values_too_large_for_a_float__are_counted_and_left_out() -> None:
    found = distribution([np.array([1.0, math.inf]), np.array([1.0, -math.inf])])
    assert found is not None
    assert (found.n, found.too_large, found.largest) == (2, 2, 1)


@pytest.mark.parametrize("chunk", [7, 1_000])
def test_frequent_values__of_more_values_than_are_counted_at_once__have_exact_counts(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    values = np.random.default_rng(1).permutation([3.0] * 90 + [-1.0] * 60 + [float(each) for each in range(100, 250)])
    monkeypatch.setattr(value_distribution, "MOST_CANDIDATES", 20)
    monkeypatch.setattr(value_distribution, "AT_ONCE", chunk)
    found = distribution([values[:100], values[100:]])
    assert found is not None
    assert found.top == (ValueCount(3, 90), ValueCount(-1, 60))
