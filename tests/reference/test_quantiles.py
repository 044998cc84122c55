"""Nearest ranks and the ranks around a quantile, rules M10 and M12, worked out by hand."""

from fractions import Fraction

import pytest

from tests.reference.quantiles import QuantileEstimate, interval_ranks, nearest_rank, of_events, of_identities, share

TEN = [Fraction(number) for number in range(1, 11)]


@pytest.mark.parametrize(
    ("part", "value"),
    [("0.5", 5), ("0.51", 6), ("0.9", 9), ("0.91", 10), ("0.05", 1), ("0.1", 1), ("0.101", 2), ("0.995", 10)],
)
def test_m10_nearest_rank__the_smallest_value_that_so_many_do_not_exceed(part: str, value: int) -> None:
    assert nearest_rank(TEN[::-1], Fraction(part)) == value


def test_m10_a_percentile_is_the_number_as_written() -> None:
    assert share(0.55) * 100 == 55  # in doubles it is 55.00000000000001, and the rank one too high
    assert nearest_rank([Fraction(number) for number in range(1, 101)], share(0.55)) == 55


@pytest.mark.parametrize(
    ("n", "ranks"),
    [
        (100, (40, 61)),  # 50 -+ 1.96 * 5 = 40.2 and 59.8
        (4, (0, 5)),  # 2 -+ 1.96
        (6, (0, 7)),  # 3 -+ 2.4005
        (9, (1, 9)),  # 4.5 -+ 2.9399 = 1.56 and 7.44
    ],
)
def test_m12_ranks_of_a_median(n: int, ranks: tuple[int, int]) -> None:
    assert interval_ranks(n, Fraction(1, 2), n * Fraction(1, 4)) == ranks


def test_m12_without_a_variance_the_ranks_stand_beside_the_quantile() -> None:
    assert interval_ranks(10, Fraction(1, 2), Fraction(0)) == (5, 6)
    assert interval_ranks(10, Fraction(1, 4), Fraction(0)) == (2, 4)


def test_m12_of_identities__a_rank_that_is_not_there_is_none() -> None:
    assert of_identities(TEN[:9], Fraction(1, 2)) == QuantileEstimate(9, Fraction(5), Fraction(1), Fraction(9))
    assert of_identities(TEN[:4], Fraction(1, 2)) == QuantileEstimate(4, Fraction(2), None, None)
    assert of_identities([], Fraction(1, 2)) is None


def test_m12_of_events__events_of_one_identity_hang_together() -> None:
    # 100 events 1..100, the quantile is 50. One event each is the case of identities but for the factor n / (n - 1).
    # Five identities with 20 each: below are 20, 20, 10, 0, 0 of them, 10, 10, 0, -10, -10 from the mean.
    # The variance is 400 * 5 / 4 = 500, the reach 1.96 * 22.36 = 43.8, the ranks 6 and 95.
    hundred = [Fraction(number) for number in range(1, 101)]
    apart = of_events([[value] for value in hundred], Fraction(1, 2))
    assert apart == QuantileEstimate(100, Fraction(50), Fraction(40), Fraction(61))
    together = of_events([hundred[start : start + 20] for start in range(0, 100, 20)], Fraction(1, 2))
    assert together == QuantileEstimate(5, Fraction(50), Fraction(6), Fraction(95))


def test_m12_of_events__one_identity_has_no_interval() -> None:
    assert of_events([TEN], Fraction(1, 2)) == QuantileEstimate(1, Fraction(5), None, None)
    assert of_events([[], []], Fraction(1, 2)) is None
