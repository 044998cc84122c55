"""Ratios and CUPED: an arm becomes one aggregate, or says why it cannot."""

import numpy as np
import pytest

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.stats.cuped import CupedAdjustment, cuped
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.ratio import ratio_aggregate

RNG = np.random.default_rng(11)
HABIT = RNG.standard_gamma(2.0, 400)
PAIRS = list(zip((HABIT + RNG.standard_normal(400)).tolist(), HABIT.tolist(), strict=True))


def test_ratio__identities_linearised_by_hand__is_the_same_aggregate() -> None:
    pairs = [(abs(x) + 1, y) for x, y in PAIRS]
    arm = PairAggregate.of(pairs)
    ratio = arm.mean_y / arm.mean_x
    by_hand = VariantAggregate.of(ratio + (y - ratio * x) / arm.mean_x for x, y in pairs)
    found = ratio_aggregate(arm)
    assert isinstance(found, VariantAggregate)
    assert (found.n, found.mean, found.m2) == pytest.approx((by_hand.n, by_hand.mean, by_hand.m2), rel=1e-10)


@pytest.mark.parametrize("pairs", [[], [(0.0, 1.0), (0.0, 2.0)], [(-1.0, 1.0), (0.5, 2.0)]])
def test_ratio__denominator_not_positive__is_withheld(pairs: list[tuple[float, float]]) -> None:
    assert ratio_aggregate(PairAggregate.of(pairs)) == NotComputable("denominator_not_positive")


def test_ratio__too_large_for_a_float__is_withheld() -> None:
    arm = PairAggregate(n=10, mean_x=1e-300, mean_y=1e300, m2_x=0.0, m2_y=1.0, c_xy=0.0)
    assert ratio_aggregate(arm) == NotComputable("out_of_range")


def test_cuped__correlated_pre_period__takes_its_share_of_the_variance() -> None:
    control, treatment = PairAggregate.of(PAIRS[:200]), PairAggregate.of(PAIRS[200:])
    adjusted = cuped(control, treatment)
    assert isinstance(adjusted, CupedAdjustment)
    assert adjusted.control.mean == control.mean_y
    by_hand = VariantAggregate.of(y - adjusted.theta * x for x, y in PAIRS[200:])
    assert adjusted.treatment.m2 == pytest.approx(by_hand.m2, rel=1e-10)
    assert adjusted.treatment.mean == pytest.approx(by_hand.mean + adjusted.theta * control.mean_x, rel=1e-10)
    assert 0.5 < adjusted.variance_reduction < 1


def test_cuped__metric_is_its_pre_period__leaves_no_variance() -> None:
    same = PairAggregate.of([(x, x) for x, _ in PAIRS])
    adjusted = cuped(same, same)
    assert isinstance(adjusted, CupedAdjustment)
    assert (adjusted.theta, adjusted.control.m2, adjusted.variance_reduction) == pytest.approx((1.0, 0.0, 1.0))


def test_cuped__no_variance_to_use__says_why() -> None:
    flat = PairAggregate.of([(1.0, y) for _, y in PAIRS])
    constant = PairAggregate.of([(x, 1.0) for x, _ in PAIRS])
    few = PairAggregate.of(PAIRS[:1])
    assert cuped(flat, flat) == NotComputable("pre_period_without_variance")
    assert cuped(few, flat) == cuped(flat, few) == NotComputable("fewer_than_two_identities")
    adjusted = cuped(constant, constant)
    assert isinstance(adjusted, CupedAdjustment)
    assert adjusted.variance_reduction == 0.0


def test_cuped__too_large_for_a_float__is_withheld() -> None:
    arm = PairAggregate(n=10, mean_x=1e300, mean_y=0.0, m2_x=1e-300, m2_y=1e300, c_xy=1.0)
    other = PairAggregate(n=10, mean_x=-1e300, mean_y=0.0, m2_x=1e-300, m2_y=1e300, c_xy=1.0)
    assert cuped(arm, other) == NotComputable("out_of_range")
