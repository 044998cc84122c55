"""Incremental refreshes against full ones over random histories, through the real lake and engine (X5, I1, I4)."""

from collections import Counter
from pathlib import Path

import pytest

from tests.incremental.histories import History


def counted(seeds: range, refreshes: int, folder: Path) -> Counter[str]:
    """Live through histories, and count how their refreshes were computed."""
    counts = Counter[str]()
    for seed in seeds:
        history = History(seed, folder / str(seed), refreshes)
        history.run()
        counts += history.counts
    return counts


@pytest.mark.parametrize("first", [0, 6, 9, 12, 15])
def test_refreshes__of_three_random_histories__equal_full_ones_to_the_last_bit__x5(first: int, tmp_path: Path) -> None:
    counts = counted(range(first, first + 3), 3, tmp_path)
    assert counts["aggregates: incremental"] + counts["exposures: incremental"] > 0


@pytest.mark.slow
def test_refreshes__of_100_random_histories__equal_full_ones_to_the_last_bit__x5(tmp_path: Path) -> None:
    counts = counted(range(1000, 1100), 5, tmp_path)
    assert counts["aggregates: incremental"] > 150
    assert counts["exposures: incremental"] > 120
    assert counts["rows read"] < counts["rows read by full refreshes"]
