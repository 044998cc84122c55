"""A mean whose share of identities with a value differs between the arms has no verdict (rule M3)."""

from dataclasses import replace
from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import Group, MetricAggregates, Part, ValueSummary, VariantAggregate
from experiment_pipeline.domain.experiments import Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import ExpectedDirection
from experiment_pipeline.results.compute import compute_results
from tests.metrics import version_1
from tests.results.subjects import CONTROL, EVEN, experiment, metric_payload

N = 10_000
THIRD = 100 / 3
THREE = (CONTROL, Variant("b", VariantRole.TREATMENT, THIRD), Variant("c", VariantRole.TREATMENT, THIRD))


def measured(with_value: int) -> tuple[VariantAggregate, ValueSummary]:
    """Identities of whom some have the value 10, and the others, who have none, count as 0."""
    share = with_value / N
    return VariantAggregate(N, 10 * share, 100 * with_value * (1 - share)), ValueSummary(
        with_value, with_value, 10.0, 10.0 * with_value
    )


def compared(
    aggregation: Aggregation = Aggregation.MEAN,
    expected: ExpectedDirection = ExpectedDirection.INCREASE,
    **with_value: int,
) -> dict[str, Any]:
    arms = {key: measured(count) for key, count in with_value.items()}
    metric = version_1(7, "prod", "load_time", "page", aggregation)
    aggregates = MetricAggregates(
        7,
        {key: arm for key, (arm, _) in arms.items()},
        values=with_value,
        of_identities={key: each for key, (_, each) in arms.items()},
    )
    subject = experiment(EVEN if len(arms) == 2 else THREE, metric, expected)
    return metric_payload(compute_results(subject, dict.fromkeys(arms, N), [aggregates], Floors()))


@pytest.mark.parametrize("expected", [ExpectedDirection.INCREASE, ExpectedDirection.NOT_DECREASE])
def test_mean__of_equal_values_that_one_arm_measures_less_often__has_no_verdict__m3(
    expected: ExpectedDirection,
) -> None:
    metric = compared(expected=expected, control=9_000, b=6_000)
    assert metric["inference"]["b"]["lift"] == pytest.approx(-1 / 3), "what could be read is still shown"
    assert (metric["verdict"], metric["reason"]) == ({"b": "inconclusive"}, {"b": "missing_values_differ"})
    assert metric["anytime"] == {"b": None}
    assert metric["with_value"] == {"control": 9_000, "b": 6_000}


def test_breakdown__of_a_metric_without_a_verdict__has_none_either__m3() -> None:
    whole, cell = {"control": 9_000, "b": 6_000}, {"control": 900, "b": 890}
    of_cell, of_whole = (
        MetricAggregates(
            7,
            {key: arm for key, (arm, _) in arms.items()},
            values=counts,
            of_identities={key: each for key, (_, each) in arms.items()},
        )
        for counts in (cell, whole)
        for arms in [{key: measured(count) for key, count in counts.items()}]
    )
    found = replace(of_whole, groups={Group(Part.DIMENSION, "country", "DE"): of_cell})
    subject = experiment(
        EVEN, version_1(7, "prod", "load_time", "page", Aggregation.MEAN), ExpectedDirection.NOT_DECREASE
    )
    metric = metric_payload(compute_results(subject, dict.fromkeys(whole, N), [found], Floors()))
    (part,) = metric["breakdown"]["country"]
    assert (part["verdict"], part["reason"]) == ({"b": "inconclusive"}, {"b": "missing_values_differ"})


@pytest.mark.parametrize("aggregation", [Aggregation.SUM, Aggregation.COUNT])
def test_other_aggregations__of_the_same_numbers__keep_their_verdict__m3(aggregation: Aggregation) -> None:
    metric = compared(aggregation, control=9_000, b=6_000)
    assert (metric["verdict"], metric["reason"]) == ({"b": "losing"}, {"b": None})


def test_mean__that_both_arms_measure_as_often__keeps_its_verdict__m3() -> None:
    assert compared(control=9_000, b=9_020)["reason"] == {"b": None}


def test_mean__of_several_treatments__is_withheld_where_the_share_differs__m3() -> None:
    metric = compared(control=5_000, b=5_020, c=9_000)
    assert metric["reason"] == {"b": None, "c": "missing_values_differ"}
    assert (metric["verdict"]["c"], metric["anytime"]["c"]) == ("inconclusive", None)
    assert metric["anytime"]["b"]["level"] == pytest.approx(0.025), "counted among those that are judged"
