"""The split within values of dimensions: which are named, and how the error of many tests is held (S3, M15)."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from experiment_pipeline.domain.aggregates import Group, MetricAggregates, Part
from experiment_pipeline.domain.audience import Audience
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.health.split_by_dimension import CHECK
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.stats.srm import SRM_ALPHA, AnytimeSrmTest, anytime_srm_test
from tests.health.test_split import CHECKOUT

EVEN, BROKEN = (4_000, 4_020), (4_000, 3_300)
SUSPECT = (4_000, 3_600)  # on its own a mismatch, one of many values none


def browser(value: str | None, *, is_other: bool = False) -> Group:
    return Group(Part.DIMENSION, "browser", value, is_other)


def aggregates(groups: Mapping[Group, tuple[int, int]], not_mature: int = 0) -> MetricAggregates:
    def arms(control: int, treatment: int) -> MetricAggregates:
        mature = {"control": control - not_mature, "b": treatment - not_mature}
        return MetricAggregates(1, {}, identities=mature, not_mature=dict.fromkeys(mature, not_mature))

    return MetricAggregates(1, {}, groups={group: arms(*counts) for group, counts in groups.items()})


def found(groups: Mapping[Group, tuple[int, int]], not_mature: int = 0) -> Finding:
    identities = {"control": 40_000, "b": 40_000}
    results = compute_results(CHECKOUT, identities, (), Floors())
    every = (aggregates(groups, not_mature), aggregates(groups))
    subject = replace(CHECKOUT, audience=Audience(cross=(("country", "browser"),)))
    return CHECK.judge(HealthInputs(subject, every, results, identities))


def p_value(control: int, treatment: int) -> float:
    test = anytime_srm_test({"control": control, "b": treatment}, {"control": 50, "b": 50})
    assert isinstance(test, AnytimeSrmTest)
    return test.p_value


@pytest.mark.parametrize("groups", [{}, {browser("Safari"): EVEN}, {browser("Safari"): (90, 2)}])
def test_split_by_dimension__of_even_few_or_no_identities__passes(groups: dict[Group, tuple[int, int]]) -> None:
    finding = found(groups)
    assert (finding.code, finding.severity) == ("split_by_dimension_as_configured", Severity.OK)
    assert finding.evidence["values"] == []


def test_split_by_dimension__broken_in_some_values__is_a_warning_that_names_them_the_worst_first() -> None:
    groups = {
        browser("Firefox"): EVEN,
        browser(None): BROKEN,
        Group(Part.DIMENSION, "country × browser", '["DE","Safari"]'): (4_000, 2_000),
        Group(Part.SLICE, "metadata.shop", "a"): (4_000, 2_000),
    }
    finding = found(groups)
    assert (finding.code, finding.severity) == ("mismatch_by_dimension", Severity.WARNING)
    assert finding.detail.startswith(
        "In 2 of 3 values the split is too far from the configured shares to be chance: "
        "country × browser 'DE', 'Safari' (control: 4,000, b: 2,000); "
        "browser without a value (control: 4,000, b: 3,300). Look for"
    )
    first, second = json.loads(json.dumps(finding.evidence, allow_nan=False))["values"]
    assert (second["dimension"], second["value"]) == ("browser", None)
    assert second["identities"] == {"control": 4_000, "b": 3_300}
    assert second["p_value"] == p_value(*BROKEN)
    assert second["adjusted_p_value"] == pytest.approx(2 * p_value(*BROKEN)), "one is rejected before it"
    assert first["adjusted_p_value"] < second["adjusted_p_value"] < SRM_ALPHA


def test_split_by_dimension__one_suspect_value_of_many__is_chance() -> None:
    assert SRM_ALPHA / 40 < p_value(*SUSPECT) < SRM_ALPHA
    assert not found({browser("Safari"): SUSPECT}).passed
    assert found({browser("Safari"): SUSPECT, **{browser(str(n)): EVEN for n in range(39)}}).passed


def test_split_by_dimension__other__is_not_tested() -> None:
    assert found({browser(None, is_other=True): BROKEN}).passed


def test_split_by_dimension__identities_that_wait_for_their_window__count() -> None:
    assert found({browser("Safari"): EVEN}, not_mature=3_990).evidence["tested"] == 1
    assert not found({browser("Safari"): BROKEN}, not_mature=3_290).passed


def test_split_by_dimension__very_many_broken_values__name_three() -> None:
    finding = found({browser(f"v{number:02}"): BROKEN for number in range(25)})
    assert "browser 'v02'" in finding.detail
    assert "'v03'" not in finding.detail
    assert "and 22 more" in finding.detail
    assert len(finding.evidence["values"]) == 20
