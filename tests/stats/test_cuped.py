"""CUPED: the pre-period takes its share of the variance, or says why it cannot."""

import pytest

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.stats.cuped import CupedAdjustment, cuped
from experiment_pipeline.stats.not_computable import NotComputable
from tests.stats.arms import PAIRS


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
