"""The check of identities that saw several variants: how many there are, and whether they decide (rule X3)."""

import json
from dataclasses import replace
from datetime import date

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.experiments import MultipleExposures
from experiment_pipeline.domain.exposures import FirstExposureCounts
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs, LakeCounts
from experiment_pipeline.health.quarantine import CHECK
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.results.compute import compute_results
from tests.results.subjects import experiment, rate

DECLARED = {"control": rate(1000, 100), "b": rate(1000, 150)}


def found(
    identities: int,
    quarantined: int,
    other: int | None = None,
    policy: MultipleExposures = MultipleExposures.EXCLUDE,
    thresholds: Thresholds | None = None,
) -> Finding:
    """Judge these counts; `other` is how many of 1,000 convert in the treatment under the other policy."""
    subject = replace(experiment(), multiple_exposures=policy)
    read = {} if other is None else {policy.other.value: MetricAggregates(7, {**DECLARED, "b": rate(1000, other)})}
    aggregates = (MetricAggregates(7, dict(DECLARED), sensitivity=read),)
    results = compute_results(subject, {"control": 1000, "b": 1000}, aggregates, Floors())
    counts = FirstExposureCounts({date(2026, 3, 1): identities} if identities else {}, quarantined)
    lake = LakeCounts(first_exposures=counts)
    return CHECK.judge(HealthInputs(subject, aggregates, results, lake=lake, thresholds=thresholds or Thresholds()))


@pytest.mark.parametrize(
    ("identities", "quarantined", "code"),
    [
        (1000, 20, "few_quarantined"),  # just 2 %
        (1000, 21, "many_quarantined"),
        (99, 50, "few_quarantined"),  # too few identities for a share
        (100, 50, "many_quarantined"),
        (0, 0, "few_quarantined"),
    ],
)
def test_quarantine__by_its_share__is_found_to_be(identities: int, quarantined: int, code: str) -> None:
    finding = found(identities, quarantined)
    assert finding.code == code
    assert finding.severity is (Severity.WARNING if code == "many_quarantined" else Severity.OK)
    json.dumps(finding.evidence, allow_nan=False)


@pytest.mark.parametrize("policy", MultipleExposures)
@pytest.mark.parametrize(("other", "disagrees"), [(101, False), (100, False), (99, True)])
def test_quarantine__whose_effect_turns_under_the_other_policy__is_told__x3(
    policy: MultipleExposures, other: int, disagrees: bool
) -> None:
    finding = found(2000, 5, other, policy)
    assert finding.code == ("policies_disagree" if disagrees else "few_quarantined")
    assert finding.evidence["contradicted"] == (["b"] if disagrees else [])
    assert (f"the opposite under the policy {policy.other.value}" in finding.detail) is disagrees


def test_quarantine__above_the_threshold__names_the_numbers_and_what_to_do() -> None:
    finding = found(1000, 25)
    assert "25 of 1,000 identities (2.5 %) saw several variants, over 2 %." in finding.detail
    assert "the same variant each time" in finding.detail
    assert found(1000, 25, thresholds=Thresholds(quarantined=0.03)).code == "few_quarantined"
