"""The self-check of one metric: calls of halves that are given, and the floors under which it is skipped."""

from dataclasses import replace

import pytest

from experiment_pipeline.domain.aggregates import EMPTY, MetricAggregates, PairAggregate, ValueSummary, VariantAggregate
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import Metric, Quantile, Ratio
from experiment_pipeline.domain.self_check import SelfCheck
from experiment_pipeline.results.arms import arms_of
from experiment_pipeline.results.self_check import checked_above_floors, count_calls
from tests.metrics import version_1
from tests.results.subjects import PURCHASE, rate

SPENT = version_1(8, "prod", "spent", "purchase", Aggregation.SUM)
PER_ORDER = Metric(
    9, "prod", "m", Ratio(*(Measure(Events("purchase"), each) for each in (Aggregation.SUM, Aggregation.COUNT)))
)
MEDIAN = Metric(10, "prod", "median", Quantile(0.5, Events("purchase")))


def half(mean: float) -> VariantAggregate:
    """A half of 100 identities, whose mean has a standard error of 1."""
    return VariantAggregate(100, mean, 99 * 100.0)


def test_calls__of_halves_that_differ_by_more_than_their_errors__are_counted() -> None:
    splits = [(half(0), half(mean)) for mean in (0, 2.0, 2.7, 2.85, -2.85, 9)]  # t: 1.97 at 198 degrees of freedom
    assert count_calls(SPENT, splits) == SelfCheck(3)


def test_calls__of_shares__are_those_of_the_pooled_test() -> None:
    assert count_calls(PURCHASE, [(rate(100, 40), rate(100, 53)), (rate(100, 40), rate(100, 55))]) == SelfCheck(1)


def test_calls__of_a_ratio_that_one_identity_dominates__are_all() -> None:
    """Half with one enormous denominator: to the delta method its ratio is nearly certain."""
    pairs = [(1.0, 1.0 + number % 3) for number in range(400)]
    dominated = PairAggregate.of([(1e7, 0.0), *pairs[:199]])
    assert count_calls(PER_ORDER, [(dominated, PairAggregate.of(pairs[200:]))] * 5) == SelfCheck(5)


@pytest.mark.parametrize(
    ("metric", "halves", "reason"),
    [
        (SPENT, (half(0), None), "out_of_range"),
        (SPENT, (EMPTY, half(0)), "fewer_than_two_identities"),
        (SPENT, (VariantAggregate(9, 1.0, 0.0), VariantAggregate(9, 1.0, 0.0)), "no_variance"),
        (PER_ORDER, (EMPTY, EMPTY), "denominator_not_positive"),
        (MEDIAN, (half(0), half(9)), "no_self_check_of_quantiles"),
    ],
)
def test_calls__of_a_split_that_cannot_be_tested__are_withheld_with_the_reason(
    metric: Metric, halves: tuple[VariantAggregate | None, VariantAggregate | None], reason: str
) -> None:
    assert count_calls(metric, [(half(0), half(0)), halves] if metric == SPENT else [halves]) == SelfCheck(None, reason)


@pytest.mark.parametrize(
    ("metric", "n", "counted", "reason"),
    [
        (SPENT, 300, 300, None),
        (SPENT, 300, 299, "below_minimum_nonzero"),
        (SPENT, 99, 99, "below_minimum_identities"),
        (PURCHASE, 1_000, 100, None),
        (PURCHASE, 1_000, 99, "below_minimum_conversions"),
        (PURCHASE, 1_000, 900, None),
        (PURCHASE, 1_000, 901, "below_minimum_conversions"),  # the others are few
    ],
)
def test_self_check__of_an_arm_that_is_not_enough_for_two__is_skipped(
    metric: Metric, n: int, counted: int, reason: str | None
) -> None:
    aggregates = MetricAggregates(metric.id, {"control": rate(n, counted)}, of_identities={})
    aggregates = replace(aggregates, of_identities={"control": ValueSummary(counted, n, 1.0, float(counted))})
    arm = arms_of(metric, aggregates, ["control"])["control"]
    found = checked_above_floors(metric, SelfCheck(9), arm, Floors())
    assert found == (SelfCheck(9) if reason is None else SelfCheck(None, reason))


def test_self_check__that_cannot_be__stays_withheld_for_its_own_reason() -> None:
    arm = arms_of(MEDIAN, MetricAggregates(10, {}), ["control"])["control"]
    assert checked_above_floors(MEDIAN, count_calls(MEDIAN, []), arm, Floors()).reason == "no_self_check_of_quantiles"
