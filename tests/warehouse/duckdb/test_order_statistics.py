"""Exact order statistics (rules M10, M12)."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.warehouse.duckdb import order_statistics as module
from experiment_pipeline.warehouse.duckdb.order_statistics import nearest_rank, order_statistics

numbers = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("share", "n", "rank"),
    [(0.9, 10, 9), (0.9, 11, 10), (0.5, 2, 1), (0.001, 5, 1), (0.29, 100, 29), (Fraction("99.5") / 100, 1000, 995)],
)
def test_nearest_rank__of_a_share__is_that_of_the_decimal_number__m10(share: float, n: int, rank: int) -> None:
    assert nearest_rank(share, n) == rank


@pytest.mark.parametrize("at_once", [1, 7, 1000])
@given(pieces=st.lists(st.lists(numbers, max_size=9), max_size=5), data=st.data())
def test_order_statistics__of_pieces__are_those_of_the_sorted_values(
    at_once: int, pieces: list[list[float]], data: st.DataObject
) -> None:
    values = sorted(value + 0.0 for piece in pieces for value in piece)
    if not values:
        return
    ranks = data.draw(st.lists(st.integers(1, len(values)), min_size=1, max_size=4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE", at_once)
        found = order_statistics([np.array(piece, np.float64) for piece in pieces], ranks)
    assert found == [values[rank - 1] for rank in ranks]
