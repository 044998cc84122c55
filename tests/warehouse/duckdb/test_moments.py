"""Moments of one arm, merged range by range (rule M5)."""

import dataclasses
import math

import numpy as np
import pytest

from experiment_pipeline.domain.aggregates import PairAggregate
from experiment_pipeline.warehouse.duckdb.moments import ArmMoments, Counts, Moments


def of(values: list[float]) -> Moments:
    return Moments.of(np.array(values, np.float64))


def arm(values: list[float], x: list[float] | None = None, counts: Counts = Counts()) -> ArmMoments:  # noqa: B008
    return ArmMoments.of(np.array(values, np.float64), None if x is None else np.array(x, np.float64), counts)


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


def test_moments__whose_squares_alone_are_too_large__keep_the_mean() -> None:
    whole = of([1e200, 0.0, 0.0, 0.0])
    assert (whole.mean, whole.m2, whole.aggregate) == (2.5e199, None, None)
    assert of([1e200, 0.0]).merge(of([0.0, 0.0])) == whole
    assert whole.merge(of([0.0] * 4)).mean == 1.25e199


def test_arm__merged_range_by_range__counts_and_compares_identities_as_in_one_piece() -> None:
    ranges = [arm([0.0, -1.0], counts=Counts(values=3)), arm([]), arm([-0.0, 7.0, 3.0]), arm([-9.0])]
    merged = ranges[0]
    for each in ranges[1:]:
        merged = merged.merge(each)
    assert (merged.counts, merged.largest) == (Counts(nonzero=4, values=3), 7.0)
    assert arm([-2.0, -1.0]).largest == -1.0
    assert arm([]).merge(arm([-2.0])).largest == -2.0
    assert arm([math.inf]).merge(arm([1.0])).largest is arm([]).largest is None


def test_arm__of_two_values_per_identity__has_their_joint_moments() -> None:
    y, x = [1.0, 4.0, -2.0, 0.0, 9.0], [3.0, 1.0, 0.0, 2.0, 2.5]
    exact = PairAggregate.of(zip(x, y, strict=True))
    whole, parts = arm(y, x), arm([], []).merge(arm(y[:2], x[:2])).merge(arm(y[2:], x[2:]))
    for found in (whole.joint, parts.joint):
        assert found is not None
        assert dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(exact))
    assert arm([1.0]).joint is None


def test_arm__whose_products_are_too_large__has_no_joint_moments() -> None:
    large = arm([1e160, -1e160], [1e160, 1e150])
    assert large.joint is None
    assert large.merge(arm([1.0, 2.0], [1.0, 2.0])).c_xy is None
