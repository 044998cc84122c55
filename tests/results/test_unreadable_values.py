"""Values that are no numbers: how many a verdict can stand, and who is told (rule E5)."""

import dataclasses
from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates, VariantAggregate
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.stats.verdict import Verdict
from tests.metrics import version_1
from tests.results.subjects import experiment, metric_payload

ARMS = {"control": VariantAggregate(1000, 10.0, 4000.0), "b": VariantAggregate(1000, 2.5, 4000.0)}
REVENUE = version_1(7, "prod", "revenue", "purchase", Aggregation.SUM)


def with_values(values: dict[str, int], invalid: dict[str, int], expected: ExpectedDirection) -> dict[str, Any]:
    subject = experiment(metric=REVENUE, expected=expected)
    identities = {key: arm.n for key, arm in ARMS.items()}
    return metric_payload(
        compute_results(subject, identities, [MetricAggregates(7, dict(ARMS), values, invalid)], Floors())
    )


@pytest.mark.parametrize("expected", [ExpectedDirection.INCREASE, ExpectedDirection.NOT_DECREASE])
@pytest.mark.parametrize(
    ("values", "invalid"),
    [
        ({"control": 120, "b": 120}, {"control": 0, "b": 86}),
        ({"control": 100, "b": 100}, {"control": 2, "b": 0}),
        ({"control": 10_000, "b": 10_000}, {"control": 101, "b": 100}),
        ({"control": 5, "b": 5}, {"control": 5, "b": 5}),
    ],
)
def test_verdict__with_over_1_percent_unreadable_values_in_any_arm__is_none__e5(
    values: dict[str, int], invalid: dict[str, int], expected: ExpectedDirection
) -> None:
    metric = with_values(values, invalid, expected)
    assert (metric["verdict"], metric["reason"]) == ({"b": "inconclusive"}, {"b": "unreadable_values"})
    assert (metric["values"], metric["invalid_values"]) == (values, invalid)
    assert metric["effect"]["b"]["value"] == -7.5, "what could be read is still shown"


def test_verdict__with_1_percent_of_unreadable_values_in_every_arm__stands__e5() -> None:
    one_percent = {"control": 10_000, "b": 100}, {"control": 100, "b": 1}
    metric = with_values(*one_percent, ExpectedDirection.INCREASE)
    assert (metric["verdict"], metric["reason"]) == ({"b": "losing"}, {"b": None})
    assert metric["invalid_values"] == {"control": 100, "b": 1}
    assert with_values(*one_percent, ExpectedDirection.NOT_DECREASE)["verdict"] == {"b": "harmed"}


def test_verdict__of_an_arm_that_is_not_compared__does_not_count__e5() -> None:
    metric = with_values({"control": 9, "b": 9, "other": 9}, {"other": 9}, ExpectedDirection.INCREASE)
    assert (metric["verdict"], metric["values"]) == ({"b": "losing"}, {"control": 9, "b": 9})


def test_verdict__of_other_metrics__gains_nothing_from_one_with_unreadable_values__e5() -> None:
    arms = {"control": VariantAggregate(40_000, 1.0, 40_000.0), "b": VariantAggregate(40_000, 1.0225, 40_000.0)}
    subject = experiment(metric=REVENUE)
    others = tuple(
        AttachedMetric(dataclasses.replace(REVENUE, id=number, name=str(number)), ExpectedDirection.INCREASE)
        for number in range(8, 12)
    )
    subject = dataclasses.replace(subject, metrics=(*subject.metrics, *others))
    clear = {"control": arms["control"], "b": VariantAggregate(40_000, 2.0, 40_000.0)}

    def verdicts(invalid: int) -> list[str]:
        values = {"control": 4_000, "b": 4_000}
        aggregates = [MetricAggregates(7, dict(arms), values), MetricAggregates(8, dict(arms), values)]
        aggregates += [MetricAggregates(number, dict(clear), values, {"b": invalid}) for number in range(9, 12)]
        computed = compute_results(subject, {"control": 40_000, "b": 40_000}, aggregates, Floors())
        return [comparison.verdict for metric in computed.metrics for comparison in metric.comparisons]

    assert verdicts(0)[1:] == [Verdict.WINNING] * 4, "three clear ones make room for a fourth"
    assert verdicts(50)[1:] == [Verdict.INCONCLUSIVE] * 4
