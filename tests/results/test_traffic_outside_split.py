"""Traffic that the split does not provide for: arms of share 0, and variants that are not configured (rules S2, S3)."""

import dataclasses
import json
from typing import Any

import pytest

from experiment_pipeline.domain.experiments import Variant, VariantRole
from experiment_pipeline.domain.metrics import ExpectedDirection
from experiment_pipeline.results.payload import results_payload
from tests.results.subjects import CONTROL, EVEN, experiment, rate, results

NO_SHARE = (*EVEN, Variant("c", VariantRole.TREATMENT, 0))
RISE = {"control": rate(5_000, 500), "b": rate(5_000, 1_000)}


def payload(
    moments: Any = RISE,
    extra: dict[str, int] | None = None,
    *,
    variants: tuple[Variant, ...] = EVEN,
    expected: ExpectedDirection = ExpectedDirection.INCREASE,
    ignored: tuple[str, ...] = (),
) -> dict[str, Any]:
    subject = dataclasses.replace(experiment(variants, expected=expected), ignored_variants=ignored)
    shown: dict[str, Any] = json.loads(json.dumps(results_payload(results(subject, moments, extra)), allow_nan=False))
    return shown


def test_split__a_third_of_the_traffic_in_an_arm_of_share_0__is_not_trustworthy_and_nothing_wins__s2() -> None:
    moments = RISE | {"c": rate(5_000, 1_500)}
    shown = payload(moments, variants=NO_SHARE)
    assert (shown["trustworthy"], shown["srm"]["reason"]) == (False, "traffic_in_arm_without_share")
    assert (shown["srm_p_value"], shown["srm"]["anytime_p_value"]) == (1.0, 1.0), "the shares that there are hold"
    assert shown["srm"]["identities"] == {"control": 5_000, "b": 5_000, "c": 5_000}
    assert shown["metrics"][0]["verdict"] == {"b": "inconclusive", "c": "inconclusive"}
    guarded = payload(moments, variants=NO_SHARE, expected=ExpectedDirection.NOT_INCREASE)
    assert guarded["metrics"][0]["verdict"] == {"b": "harmed", "c": "harmed"}


def test_split__a_third_of_the_traffic_under_a_misspelt_key__is_not_trustworthy__s2() -> None:
    shown = payload(extra={"lagrer": 5_000})
    assert (shown["trustworthy"], shown["srm"]["reason"]) == (False, "unknown_variants")
    assert (shown["srm_p_value"], shown["metrics"][0]["verdict"]) == (1.0, {"b": "inconclusive"})


@pytest.mark.parametrize(
    ("outside", "trustworthy"),
    [({"x": 101}, True), ({"x": 102}, False), ({"x": 51, "y": 51}, False), ({"x": 51, "y": 50}, True)],
)
def test_split__up_to_1_percent_of_analysed_and_unknown_identities__is_tolerated__s2(
    outside: dict[str, int], trustworthy: bool
) -> None:
    shown = payload(extra=outside)  # beside 10,000: 101 of 10,101 are less than 1 %, 102 of 10,102 are more
    assert shown["trustworthy"] is trustworthy
    assert shown["srm"]["reason"] == (None if trustworthy else "unknown_variants")
    assert shown["metrics"][0]["verdict"] == {"b": "winning" if trustworthy else "inconclusive"}


@pytest.mark.parametrize(("unknown", "reason"), [(9, "fewer_than_100_identities"), (10, "unknown_variants")])
def test_split__of_fewer_than_100_identities__is_not_judged__s2(unknown: int, reason: str) -> None:
    shown = payload({"control": rate(45, 5), "b": rate(45, 5)}, {"x": unknown})
    assert shown["srm"]["reason"] == reason
    assert shown["trustworthy"] is (None if unknown == 9 else False)


@pytest.mark.parametrize(("without_share", "unknown"), [(200, 199), (200, 200), (200, 201)])
def test_split__of_both_kinds__names_the_larger__s2(without_share: int, unknown: int) -> None:
    shown = payload(RISE | {"c": rate(without_share, 9)}, {"x": unknown}, variants=NO_SHARE)
    expected = "unknown_variants" if unknown > without_share else "traffic_in_arm_without_share"
    assert shown["srm"]["reason"] == expected


def test_split__ignored_variants__do_not_count__s2() -> None:
    moments, unknown = RISE | {"c": rate(5_000, 1_500)}, {"renamed": 5_000, "x": 101}
    shown = payload(moments, unknown, variants=NO_SHARE, ignored=("c", "renamed"))
    assert (shown["trustworthy"], shown["srm"]["reason"]) == (True, None)
    assert payload(moments, unknown, variants=NO_SHARE, ignored=("c",))["trustworthy"] is False
    assert payload(moments, unknown, variants=NO_SHARE, ignored=("renamed",))["trustworthy"] is False


def test_split__holdout__is_provided_for__s2() -> None:
    variants = (CONTROL, Variant("b", VariantRole.TREATMENT, 45), Variant("held", VariantRole.HOLDOUT, 10))
    assert payload(extra={"held": 1_100}, variants=variants)["trustworthy"] is True


@pytest.mark.parametrize(
    ("variants", "trustworthy", "reason"),
    [
        ((*EVEN, Variant(None, VariantRole.TREATMENT, 10)), None, "variant_without_key"),
        ((*EVEN, Variant("c", VariantRole.TREATMENT, 60)), None, "allocations_over_100"),
        ((CONTROL, Variant("b", VariantRole.TREATMENT, 0)), False, "traffic_in_arm_without_share"),
    ],
)
def test_split__that_cannot_be_tested__is_denied_only_where_its_shares_are_known__s2(
    variants: tuple[Variant, ...], trustworthy: bool | None, reason: str
) -> None:
    shown = payload(extra={"x": 5_000} if trustworthy is None else {}, variants=variants)
    assert (shown["trustworthy"], shown["srm"]["reason"]) == (trustworthy, reason)
    assert shown["srm_p_value"] is None
    assert set(shown["metrics"][0]["verdict"].values()) <= {"inconclusive", "collecting_data"}
