"""The shares that traffic should split by (rules S1, S2, S4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.experiments import SharesUnknown, Variant, VariantRole, expected_shares, unallocated

CONTROL = Variant("control", VariantRole.CONTROL)


def treatment(key: str | None, percentage: float | None) -> Variant:
    return Variant(key, VariantRole.TREATMENT, percentage)


def test_expected_shares__control__takes_the_remainder() -> None:
    assert expected_shares([CONTROL, treatment("a", 20), treatment("b", 30)]) == {"control": 0.5, "a": 0.2, "b": 0.3}


def test_expected_shares__holdout__is_taken_out_and_the_rest_renormalised() -> None:
    holdout = Variant("out", VariantRole.HOLDOUT, 20)
    assert expected_shares([CONTROL, treatment("a", 40), holdout]) == {"control": 0.5, "a": 0.5}


def test_expected_shares__control_with_a_share_of_its_own__still_takes_the_remainder() -> None:
    stated = Variant("control", VariantRole.CONTROL, 75)
    assert expected_shares([stated, treatment("a", 25)]) == {"control": 0.75, "a": 0.25}


def test_expected_shares__everything_held_out__are_zero() -> None:
    variants = [CONTROL, treatment("a", 0), Variant("out", VariantRole.HOLDOUT, 100)]
    assert expected_shares(variants) == {"control": 0.0, "a": 0.0}


@pytest.mark.parametrize(
    ("variants", "reason"),
    [
        ([CONTROL, treatment(None, 50)], "variant_without_key"),
        ([CONTROL, treatment("a", 60), treatment("b", 60)], "allocations_over_100"),
    ],
)
def test_expected_shares__that_cannot_be_known__say_why(variants: list[Variant], reason: str) -> None:
    assert expected_shares(variants) == SharesUnknown(reason)


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=8))
def test_expected_shares__any_allocations_up_to_100__sum_to_one(parts: list[int]) -> None:
    scale = 100 / max(sum(parts), 100_000)
    shares = expected_shares([CONTROL, *(treatment(f"t{n}", part * scale) for n, part in enumerate(parts))])
    assert isinstance(shares, dict)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-12)
    assert all(share >= 0 for share in shares.values())


def test_unallocated__thirds_in_decimals__leave_exactly_nothing() -> None:
    assert unallocated([33.3, 66.7]) == 0
    assert unallocated([33.33, 33.33, 33.34]) == 0
