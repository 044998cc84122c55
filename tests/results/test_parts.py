"""Parts of a metric: steps, slices and dimensions are compared beside the whole, and judged apart (M14, M15, M18)."""

from collections.abc import Mapping
from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import Group, MetricAggregates, Part, VariantAggregate
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import Funnel, Mean, Metric
from experiment_pipeline.results.compute import compute_results
from tests.metrics import version_1
from tests.results.subjects import experiment, metric_payload, rate

FUNNEL = Metric(7, "prod", "checkout", Funnel((Events("cart"), Events("address"), Events("buy"))))
SPENT = Metric(7, "prod", "spent", Mean(Measure(Events("buy"), Aggregation.SUM, slice_by="metadata.shop")))


def country(value: str | None, *, is_other: bool = False) -> Group:
    return Group(Part.DIMENSION, "country", value, is_other)


def rates(control: tuple[int, int], treatment: tuple[int, int]) -> MetricAggregates:
    moments: dict[str, VariantAggregate | None] = {"control": rate(*control), "b": rate(*treatment)}
    return MetricAggregates(7, moments)


def measured(groups: Mapping[Group, MetricAggregates], metric: Metric = FUNNEL) -> dict[str, Any]:
    whole: dict[str, VariantAggregate | None] = {"control": rate(10_000, 1_000), "b": rate(10_000, 1_010)}
    found = MetricAggregates(7, whole, values=dict.fromkeys(whole, 1_000), groups=dict(groups))
    identities = dict.fromkeys(whole, 10_000)
    return metric_payload(compute_results(experiment(metric=metric), identities, [found], Floors()))


SAME, MORE = rates((2_000, 200), (2_000, 205)), rates((2_000, 200), (2_000, 400))


def test_breakdown__values_that_read_like_null_or_other__are_told_apart__m15() -> None:
    groups = {
        country(None, is_other=True): rates((9_000, 900), (9_000, 900)),
        country("other"): SAME,
        country(None): SAME,
        country("null"): SAME,
        country("AT"): rates((3_000, 300), (3_000, 300)),
    }
    cells = measured(groups)["breakdown"]["country"]
    shown = [(cell["value"], cell["other"]) for cell in cells]
    assert shown == [("AT", False), (None, False), ("null", False), ("other", False), (None, True)]


def test_breakdown__verdicts__are_a_family_of_their_own_and_leave_the_metric_alone__m15() -> None:
    alone = measured({})
    quiet = {country(str(number)): SAME for number in range(9)}
    metric = measured(quiet | {country("DE"): MORE})
    cells = {cell["value"]: cell for cell in metric["breakdown"]["country"]}
    assert cells["DE"]["verdict"] == {"b": "winning"}
    assert cells["DE"]["anytime"]["b"]["level"] == pytest.approx(0.05 / 10), "one of ten is found"
    assert cells["0"]["verdict"] == {"b": "inconclusive"}
    for member in ("verdict", "anytime", "effect", "family"):
        assert metric[member] == alone[member]


def test_breakdown__cell_below_the_floors__says_so_and_counts_in_the_family__m20() -> None:
    metric = measured({country("LI"): rates((49, 20), (60, 20)), country("DE"): MORE})
    large, small = metric["breakdown"]["country"]
    assert (small["reason"], small["verdict"]) == ({"b": "below_minimum_identities"}, {"b": "collecting_data"})
    assert small["variants"]["control"]["n"] == 49
    assert small["effect"] == small["anytime"] == {"b": None}
    assert large["anytime"]["b"]["level"] == pytest.approx(0.05 / 2)


def test_breakdown__of_a_metric_of_version_1__is_all_that_is_new() -> None:
    plain = version_1(7, "prod", "bought", "purchase", Aggregation.OCCURRENCE)
    metric = measured({country("DE"): MORE}, plain)
    assert set(metric) - set(measured({}, plain)) == {"breakdown"}
    assert metric["breakdown"]["country"][0]["verdict"] == {"b": "winning"}


def test_steps_of_a_funnel__come_in_order_with_their_event__m14() -> None:
    groups = {
        Group(Part.STEP, str(step)): rates((10_000, 9_000 // step), (10_000, 9_000 // step)) for step in (3, 1, 2)
    }
    steps = measured(groups)["steps"]
    assert [(each["step"], each["event"]) for each in steps] == [(1, "cart"), (2, "address"), (3, "buy")]
    assert [each["variants"]["control"]["value"] for each in steps] == pytest.approx([0.9, 0.45, 0.3])
    assert all(each["effect"]["b"]["value"] == 0 for each in steps)


def test_slices__add_up_beside_the_whole__m18() -> None:
    groups = {Group(Part.SLICE, "metadata.shop", value): SAME for value in ("web", None)}
    metric = measured(groups, SPENT)
    assert [each["value"] for each in metric["slices"]] == [None, "web"]
    assert "breakdown" not in metric
