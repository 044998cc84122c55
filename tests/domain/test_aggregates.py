"""Moments: merged exactly, in any order, and never got back from sums (rule M5)."""

import math
import sys
from collections.abc import Sequence
from functools import reduce

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.aggregates import EMPTY, LARGEST_SHARE, PairAggregate, ValueSummary, VariantAggregate

VALUES = st.floats(-1e6, 1e6, allow_subnormal=False)
SAMPLES = st.lists(VALUES, max_size=20)
PAIRS = st.lists(st.tuples(VALUES, VALUES), max_size=20)


def assert_same(one: VariantAggregate, other: VariantAggregate, sample: Sequence[float]) -> None:
    size = max(map(abs, sample), default=0.0)
    assert one.n == other.n
    assert one.mean == pytest.approx(other.mean, rel=1e-12, abs=1e-12 * size)
    # Below the smallest normal double there are fewer digits than that to be equal in.
    assert one.m2 == pytest.approx(other.m2, rel=1e-12, abs=max(1e-12 * len(sample) * size * size, sys.float_info.min))


@given(SAMPLES, SAMPLES)
def test_merge__two_samples__is_the_aggregate_of_both(one: list[float], other: list[float]) -> None:
    merged = VariantAggregate.of(one).merge(VariantAggregate.of(other))
    assert_same(merged, VariantAggregate.of(one + other), one + other)


@given(SAMPLES, SAMPLES)
def test_merge__swapped__is_the_same(one: list[float], other: list[float]) -> None:
    a, b = VariantAggregate.of(one), VariantAggregate.of(other)
    assert_same(a.merge(b), b.merge(a), one + other)


@given(SAMPLES, SAMPLES, SAMPLES)
def test_merge__grouped_differently__is_the_same(one: list[float], two: list[float], three: list[float]) -> None:
    a, b, c = map(VariantAggregate.of, (one, two, three))
    assert_same(a.merge(b).merge(c), a.merge(b.merge(c)), one + two + three)


@given(SAMPLES)
def test_merge__with_nothing__changes_nothing(sample: list[float]) -> None:
    aggregate = VariantAggregate.of(sample)
    assert aggregate.merge(EMPTY) == aggregate == EMPTY.merge(aggregate)


def test_moments__mean_of_a_billion_and_deviation_of_one__keep_their_digits() -> None:
    values = (1e9 + np.random.default_rng(7).standard_normal(10_000)).tolist()
    with mpmath.workdps(60):
        exact = [mpmath.mpf(value) for value in values]
        mean = mpmath.fsum(exact) / len(exact)
        m2 = mpmath.fsum((value - mean) ** 2 for value in exact)
    parts = [VariantAggregate.of(values[i : i + 100]) for i in range(0, len(values), 100)]
    whole, merged = VariantAggregate.of(values), reduce(VariantAggregate.merge, parts)
    assert (whole.mean, merged.mean) == pytest.approx((float(mean), float(mean)), rel=1e-15)
    assert whole.m2 == pytest.approx(float(m2), rel=1e-12)
    assert merged.m2 == pytest.approx(float(m2), rel=1e-7)  # each part's mean is kept to 1e-7 of a deviation only
    derived = whole.sum_squares - whole.sum**2 / whole.n
    assert abs(derived / float(m2) - 1) > 0.01  # why m2 is never got back from sums


@given(PAIRS, PAIRS)
def test_pair_merge__two_samples__is_the_aggregate_of_both(
    one: list[tuple[float, float]], other: list[tuple[float, float]]
) -> None:
    merged, whole = PairAggregate.of(one).merge(PairAggregate.of(other)), PairAggregate.of(one + other)
    size = max((abs(value) for pair in one + other for value in pair), default=0.0)
    assert merged.c_xy == pytest.approx(whole.c_xy, rel=1e-12, abs=1e-11 * len(one + other) * size * size)
    assert (merged.n, merged.mean_x, merged.mean_y) == pytest.approx((whole.n, whole.mean_x, whole.mean_y), abs=1e-6)


@given(PAIRS, st.floats(-10, 10))
def test_residual_m2__any_slope__is_that_of_the_residuals(pairs: list[tuple[float, float]], slope: float) -> None:
    aggregate = PairAggregate.of(pairs)
    residuals = VariantAggregate.of(y - slope * x for x, y in pairs)
    scale = aggregate.m2_y + slope * slope * aggregate.m2_x
    assert aggregate.residual_m2(slope) == pytest.approx(residuals.m2, rel=1e-9, abs=1e-9 * scale + 1e-9)


def test_variance__fewer_than_two_identities__is_none() -> None:
    assert EMPTY.variance is None
    assert VariantAggregate.of([3.0]).variance is None
    assert VariantAggregate.of([1.0, 3.0]).variance == 2.0


@pytest.mark.parametrize(
    ("n", "mean", "m2", "message"),
    [
        (-1, 0.0, 0.0, "n: "),
        (2**53 + 1, 0.0, 0.0, "n: "),
        (10, math.nan, 0.0, "mean, m2: "),
        (10, 0.0, math.inf, "mean, m2: "),
        (10, 0.0, -1.0, "m2: "),
    ],
)
def test_variant_aggregate__impossible_moments__are_refused_by_name(
    n: int, mean: float, m2: float, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        VariantAggregate(n, mean, m2)


def test_pair_aggregate__impossible_co_moment__is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^c_xy: "):
        PairAggregate(3, 0.0, 0.0, 2.0, 3.0, math.nan)


@pytest.mark.parametrize(
    ("largest", "total", "share"),
    [
        (3.0, 12.0, 0.25),
        (1e200, 1e200, 1.0),
        (30.0, 12.0, 2.5),
        (1.0, 1e-300, LARGEST_SHARE),
        (3.0, 0.0, None),
        (3.0, -12.0, None),
        (None, 12.0, None),
        (3.0, None, None),
    ],
)
def test_largest_share__of_a_total_that_is_not_positive_or_unknown__is_none(
    largest: float | None, total: float | None, share: float | None
) -> None:
    assert ValueSummary(nonzero=9, with_value=9, largest=largest, total=total).largest_share == share


@given(st.lists(st.sampled_from((0.0, 0.0, 1.0, 2.5, 40.0)), max_size=60))
def test_summary__of_moments_alone__counts_at_most_those_that_are_not_0(values: list[float]) -> None:
    summary = ValueSummary.of_moments(VariantAggregate.of(values))
    nonzero = sum(value != 0 for value in values)
    assert summary.nonzero <= nonzero
    if set(values) <= {0.0, 1.0}:
        assert summary.nonzero >= nonzero - 1, "equal values tell their number, but for rounding"
    assert (summary.with_value, summary.largest) == (len(values), None)


@pytest.mark.parametrize("aggregate", [None, EMPTY, VariantAggregate(9, 1e308, 1e308), VariantAggregate(9, 0.0, 0.0)])
def test_summary__of_moments_of_any_size__is_finite(aggregate: VariantAggregate | None) -> None:
    summary = ValueSummary.of_moments(aggregate)
    assert summary.total is None or math.isfinite(summary.total)
    assert (aggregate.n if aggregate else 0) >= summary.nonzero >= 0
