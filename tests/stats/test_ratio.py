"""Ratios: an arm becomes one aggregate, or says why it cannot."""

import pytest

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.ratio import ratio_aggregate
from tests.stats.arms import PAIRS


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
