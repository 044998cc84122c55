"""Rules S1-S2 and the inference, against numbers worked out by hand or printed in textbooks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from tests.reference.aggregates import Moments, moments
from tests.reference.exposures import Experiment, Variant
from tests.reference.inference import (
    chi_square_tail,
    expected_shares,
    infer,
    is_enough,
    lift_interval,
    outside_the_split,
    srm_p_value,
    standard_error,
)


def of(*variants: Variant) -> Experiment:
    """An experiment with these variants."""
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    return Experiment("demo", "checkout", variants, [], moment, moment, 1)


CONTROL = Variant("control", "control")
EVEN = of(CONTROL, Variant("b", "treatment", 50))


def share(converted: int, n: int) -> Moments:
    """An occurrence metric."""
    return moments([Fraction(1)] * converted + [Fraction(0)] * (n - converted))


@pytest.mark.parametrize(
    ("x", "degrees", "tail"),
    [
        (3.841458820694124, 1, 0.05),  # the 95 % points of any chi-square table
        (5.991464547107979, 2, 0.05),
        (7.814727903251179, 3, 0.05),
        (9.487729036781154, 4, 0.05),
        (0.0, 3, 1.0),
    ],
)
def test_chi_square_tail__meets_the_table(x: float, degrees: int, tail: float) -> None:
    assert chi_square_tail(x, degrees) == pytest.approx(tail, rel=1e-12)


def test_s1_control_takes_the_remainder() -> None:
    shares = expected_shares(of(CONTROL, Variant("b", "treatment", 33.3), Variant("c", "treatment", 33.4)))
    assert shares == {"control": Fraction(333, 1000), "b": Fraction(333, 1000), "c": Fraction(334, 1000)}


def test_s1_a_holdout_is_taken_out() -> None:
    shares = expected_shares(of(CONTROL, Variant("b", "treatment", 30), Variant("h", "holdout", 10)))
    assert shares == {"control": Fraction(2, 3), "b": Fraction(1, 3)}


def test_s2_an_arm_without_share_leaves_the_test() -> None:
    shares = expected_shares(of(CONTROL, Variant("b", "treatment", 50), Variant("c", "treatment", 0)))
    assert shares == {"control": Fraction(1, 2), "b": Fraction(1, 2)}


@pytest.mark.parametrize(
    "variants",
    [
        (CONTROL, Variant("b", "treatment", 100)),
        (CONTROL, Variant("b", "treatment", 60), Variant("c", "treatment", 41)),
        (CONTROL, Variant(None, "treatment", 50)),
    ],
)
def test_s2_skipped_and_not_guessed(variants: Sequence[Variant]) -> None:
    assert srm_p_value({"control": 1000, "b": 1000}, of(*variants)) is None


def test_s2_needs_100_identities() -> None:
    assert srm_p_value({"control": 50, "b": 49, "unknown": 500}, EVEN) is None
    assert srm_p_value({"control": 50, "b": 50}, EVEN) == 1.0


def test_s1_p_value() -> None:
    # (60 - 50)^2 / 50 + (40 - 50)^2 / 50 = 4; erfc(sqrt(2)) is 1 - 0.9545, the two-sigma rule
    assert srm_p_value({"control": 60, "b": 40}, EVEN) == pytest.approx(0.04550026389635839, rel=1e-12)


def test_floors() -> None:
    def enough(control: Moments, nonzero: int, *, occurrence: bool) -> bool:
        return is_enough(control, share(10, 50), occurrence=occurrence, nonzero=(nonzero, 99))

    assert not enough(share(10, 49), 99, occurrence=True)
    assert not enough(share(4, 50), 99, occurrence=True)
    assert enough(share(5, 50), 0, occurrence=True)
    assert not enough(share(5, 50), 19, occurrence=False)
    assert enough(share(5, 50), 20, occurrence=False)


def test_chance_to_win_and_lift() -> None:
    control, treatment = share(20, 100), share(30, 100)
    result = infer(control, treatment, lower_is_better=False)
    assert result is not None
    assert result["lift"] == pytest.approx(0.5)
    # D = 0.1, SE^2 = (16 + 21) / 99 / 100, z = 1.635781; Phi(z) from a table of the normal distribution
    assert result["chance_to_win"] == pytest.approx(0.94906, abs=1e-4)
    assert standard_error(control, treatment) == pytest.approx((37 / 9900) ** 0.5, rel=1e-15)
    flipped = infer(control, treatment, lower_is_better=True)
    assert flipped is not None
    assert flipped["chance_to_win"] == pytest.approx(1 - result["chance_to_win"], abs=1e-15)


def test_s2_traffic_outside_the_split_is_named_by_the_larger_part() -> None:
    with_empty_arm = of(CONTROL, Variant("b", "treatment", 50), Variant("c", "treatment", 0))
    with_holdout = of(CONTROL, Variant("b", "treatment", 45), Variant("h", "holdout", 10))
    sound = {"control": 5000, "b": 5000}
    assert outside_the_split(sound | {"c": 102}, with_empty_arm) == "traffic_in_arm_without_share"
    assert outside_the_split(sound | {"c": 101}, with_empty_arm) is None
    assert outside_the_split(sound | {"c": 101, "x": 102}, with_empty_arm) == "unknown_variants"
    assert outside_the_split({"control": 45, "b": 45, "x": 9}, with_empty_arm) is None
    assert outside_the_split(sound | {"h": 900}, with_holdout) is None
    assert outside_the_split(sound | {"x": 900}, replace(EVEN, ignored_variants=["x"])) is None


def test_lift_interval__the_fieller_bounds_solve_their_equation() -> None:
    control, treatment = share(20, 100), share(30, 100)
    interval = lift_interval(control, treatment)
    assert interval is not None
    for bound in interval:
        ratio = bound + 1
        squared_error = 21 / 99 / 100 + ratio**2 * 16 / 99 / 100
        assert (0.3 - ratio * 0.2) ** 2 == pytest.approx(1.959963984540054**2 * squared_error, rel=1e-12)


def test_lift__withheld_where_the_control_mean_is_not_clear_of_zero() -> None:
    assert lift_interval(share(3, 100), share(30, 100)) is None
    assert lift_interval(share(0, 100), share(30, 100)) is None


@pytest.mark.parametrize(("treated", "chance"), [(2, 0.5), (3, 1.0), (1, 0.0)])
def test_without_variance_certainty_is_exact(treated: int, chance: float) -> None:
    result = infer(moments([Fraction(2)] * 50), moments([Fraction(treated)] * 50), lower_is_better=False)
    lift = treated / 2 - 1
    assert result == {"lift": lift, "ci_low": lift, "ci_high": lift, "chance_to_win": chance}
