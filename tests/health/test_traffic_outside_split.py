"""The check of traffic outside the split: what it passes, warns of and fails, and what it shows (rule S2)."""

import dataclasses
import json

import pytest

from experiment_pipeline.domain.experiments import Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.health.split import CHECK as SHARES_CHECK
from experiment_pipeline.health.traffic_outside_split import CHECK
from experiment_pipeline.results.compute import compute_results
from tests.health.test_split import CHECKOUT

WITH_EMPTY_ARM = dataclasses.replace(
    CHECKOUT, variants=(*CHECKOUT.variants, Variant("c", VariantRole.TREATMENT, 0)), ignored_variants=("tester",)
)


def inputs(outside: dict[str, int]) -> HealthInputs:
    identities = {"control": 5_000, "b": 5_000, "tester": 4_000} | outside
    return HealthInputs(WITH_EMPTY_ARM, (), compute_results(WITH_EMPTY_ARM, identities, (), Floors()))


def found(outside: dict[str, int]) -> Finding:
    return CHECK.judge(inputs(outside))


@pytest.mark.parametrize(
    ("outside", "code", "severity"),
    [
        ({}, "traffic_in_split", Severity.OK),
        ({"c": 1}, "some_traffic_outside_split", Severity.WARNING),
        ({"x": 1}, "some_traffic_outside_split", Severity.WARNING),
        ({"c": 60, "x": 60}, "traffic_outside_split", Severity.ERROR),
    ],
)
def test_traffic__by_how_much_the_split_does_not_provide_for__is_found_to_be(
    outside: dict[str, int], code: str, severity: Severity
) -> None:
    finding = found(outside)
    assert (finding.code, finding.severity) == (code, severity)
    assert json.loads(json.dumps(finding.evidence, allow_nan=False)) == {
        "without_share": {"c": outside["c"]} if "c" in outside else {},
        "unknown_variants": {"x": outside["x"]} if "x" in outside else {},
        "unknown_identities": outside.get("x", 0),
        "identities": 10_000 + sum(outside.values()),
    }


def test_traffic__of_very_many_made_up_variants__is_told_by_the_largest_on_one_line() -> None:
    made_up = {f"v{number}": 1 for number in range(50)} | {"long" * 100: 7, "[red]\x1b": 3}
    finding = found(made_up | {"c": 2})
    assert "62 of 10,062 identities saw c (2), which has no share, the unknown longlong" in finding.detail
    assert "[red]\\x1b (3)" in finding.detail
    assert "other unknown variants (47)" in finding.detail
    assert len(finding.evidence["unknown_variants"]) == 5
    assert len(finding.detail) < 500


def test_traffic__outside_the_split__is_no_mismatch_of_the_shares() -> None:
    assert SHARES_CHECK.judge(inputs({"c": 5_000})).code == "split_as_configured"
