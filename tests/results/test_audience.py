"""Results of an audience: the split of who entered and of all who were exposed, effects made of those within values."""

import dataclasses

import pytest

from experiment_pipeline.domain.aggregates import Group, MetricAggregates, Part, VariantAggregate
from experiment_pipeline.domain.audience import Audience, Dimension
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import Mean, Metric, Ratio, Statistic
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import ResultsPayload, results_payload
from experiment_pipeline.stats.post_stratification import PostStratified, post_stratified
from tests.results.subjects import experiment

SPENT = Mean(Measure(Events("purchase"), Aggregation.SUM))
EVEN = {"control": 5_000, "b": 5_000}


def payload(
    statistic: Statistic = SPENT, *, identities: dict[str, int] = EVEN, before_entry: dict[str, int] | None = None
) -> ResultsPayload:
    cells = {
        "DE": {"control": VariantAggregate(3_000, 1.0, 3_000.0), "b": VariantAggregate(2_000, 1.2, 2_000.0)},
        "FR": {"control": VariantAggregate(2_000, 3.0, 2_000.0), "b": VariantAggregate(3_000, 3.2, 3_000.0)},
    }
    whole = {key: cells["DE"][key].merge(cells["FR"][key]) for key in EVEN}
    groups = {Group(Part.DIMENSION, "country", value): MetricAggregates(7, dict(arms)) for value, arms in cells.items()}
    aggregates = MetricAggregates(7, dict(whole), groups=groups)
    subject = dataclasses.replace(
        experiment(metric=Metric(7, "prod", "spent", statistic)),
        audience=Audience(dimensions=(Dimension("country", "country"),)),
        post_stratify="country",
    )
    return results_payload(compute_results(subject, identities, [aggregates], Floors(nonzero=1), before_entry))


def test_post_stratified__effect__is_made_of_those_within_the_values__c11() -> None:
    found = payload()["metrics"][0]["post_stratified"]["b"]
    cells = [
        (VariantAggregate(3_000, 1.0, 3_000.0), VariantAggregate(2_000, 1.2, 2_000.0)),
        (VariantAggregate(2_000, 3.0, 2_000.0), VariantAggregate(3_000, 3.2, 3_000.0)),
    ]
    wanted = post_stratified(cells)
    assert isinstance(wanted, PostStratified)
    assert found["value"] == pytest.approx(0.2)
    assert (found["cells"], found["reason"]) == (2, None)
    assert found["standard_error"] == wanted.effect.standard_error
    plain = payload()["metrics"][0]["effect"]["b"]
    assert plain is not None
    assert plain["value"] == pytest.approx(0.6)


def test_post_stratified__of_a_ratio__is_not_given() -> None:
    assert "post_stratified" not in payload(Ratio(SPENT.measure, SPENT.measure))["metrics"][0]


@pytest.mark.parametrize(
    ("entered", "exposed", "trustworthy"),
    [
        (EVEN, {"control": 9_000, "b": 9_000}, True),
        ({"control": 5_000, "b": 4_000}, {"control": 9_000, "b": 9_000}, False),
        (EVEN, {"control": 9_000, "b": 7_000}, False),
    ],
)
def test_split__of_who_entered_and_of_all_exposed__are_tested_both__m19(
    entered: dict[str, int], exposed: dict[str, int], *, trustworthy: bool
) -> None:
    found = payload(identities=entered, before_entry=exposed)
    assert found["trustworthy"] is trustworthy
    assert (found["srm"]["identities"], found["srm"]["before_entry"]["identities"]) == (entered, exposed)
    assert "before_entry" not in payload()["srm"]
