"""What every engine must do for metrics of version 2 (rules M6-M14); inherit beside `WarehouseContract`."""

import json
from collections.abc import Sequence
from dataclasses import astuple, replace
from datetime import timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import Bounds, Group, MetricAggregates, PairAggregate, Part, QuantileEstimate
from experiment_pipeline.domain.field_types import FieldType, FieldTypes
from experiment_pipeline.domain.measures import (
    Aggregation,
    Bound,
    Condition,
    Events,
    Measure,
    MeasureWindow,
    Missing,
    Operator,
    Scalar,
)
from experiment_pipeline.domain.metrics import Funnel, Maturity, Mean, Metric, Quantile, Ratio, Retention, Statistic
from experiment_pipeline.warehouse.base import Warehouse
from experiment_pipeline.warehouse.frame_schemas import metric_aggregates, validated
from tests.warehouse.contract import ACCURACY, DAY, HOUR, LENGTH, MILLISECOND, PURCHASE, Build, Event, did, scope, seen

SUM = Measure(Events(PURCHASE), Aggregation.SUM)


def measured(engine: Warehouse, statistic: Statistic, maturity: Maturity = Maturity.ALL) -> MetricAggregates:
    """The aggregates of one metric."""
    engine.write_first_exposures(scope())
    metric = Metric(1, "prod", "metric", statistic, maturity=maturity)
    (found,) = metric_aggregates(validated("variant_aggregates", engine.variant_aggregates(scope(), (metric,)).rows))
    return found


def counted(engine: Warehouse, *where: Condition) -> float:
    """How many events of the one identity meet the conditions."""
    aggregate = measured(engine, Mean(Measure(Events(PURCHASE, where), Aggregation.COUNT))).by_variant["b"]
    assert aggregate is not None
    return aggregate.sum


def with_traits(traits: object, value: str | None = None, number: float | None = None) -> Event:
    return Event(1, PURCHASE, 2 * HOUR, value, number, traits=None if traits is None else json.dumps(traits))


def crowd(values: Sequence[float], variant: str = "b", first: int = 1) -> list[Event]:
    """Identities with a purchase each."""
    who = range(first, first + len(values))
    purchases = [did(each, value) for each, value in zip(who, values, strict=True)]
    return [*(seen(each, variant) for each in who), *purchases]


def assert_near(found: PairAggregate | None, pairs: list[tuple[float, float]]) -> None:
    assert found is not None
    assert astuple(found) == pytest.approx(astuple(PairAggregate.of(pairs)), rel=ACCURACY, abs=0)


TRAITS: list[Any] = [
    {"x": "DE"}, {"x": "de"}, {"x": "5"}, {"x": 5}, {"x": 5.0}, {"x": 7.5}, {"x": True}, {"x": "true"}, {"x": None},
    {"x": {"y": 5}}, {"x": ["DE"]}, {"x": ""}, {}, None,
]  # fmt: skip


class MeasuresContract:
    """Inherit, and give `build`."""

    @pytest.mark.parametrize(
        ("operator", "operand", "met"),
        [
            (Operator.IS, "DE", [{"x": "DE"}]),
            (Operator.IS, "5", [{"x": "5"}]),
            (Operator.IS, 5, [{"x": 5}, {"x": 5.0}]),
            (Operator.IS, True, [{"x": True}]),
            (Operator.IS, "true", [{"x": "true"}]),
            (Operator.IS, "", [{"x": ""}]),
            (Operator.IN, ("DE", 5, True), [{"x": "DE"}, {"x": 5}, {"x": 5.0}, {"x": True}]),
            (Operator.NOT_IN, ("DE", 5), [{"x": "de"}, {"x": "5"}, {"x": 7.5}, {"x": True}, {"x": "true"}, {"x": ""}]),
            (Operator.AT_LEAST, 5.5, [{"x": 7.5}]),
            (Operator.AT_LEAST, "a", [{"x": "de"}, {"x": "true"}]),
            (Operator.AT_MOST, 5, [{"x": 5}, {"x": 5.0}]),
            (Operator.AT_MOST, "6", [{"x": "5"}, {"x": ""}]),
            (Operator.EXISTS, True, [each for each in TRAITS if each and each["x"] is not None]),
            (Operator.EXISTS, False, [{"x": None}, {}, None]),
        ],
    )
    def test_conditions__on_a_trait_of_any_kind__compare_like_with_like__m7(
        self, build: Build, operator: Operator, operand: Scalar | tuple[Scalar, ...], met: list[Any]
    ) -> None:
        condition = Condition("traits.x", operator, operand)
        engines = build([seen(1, "b"), *map(with_traits, TRAITS)])
        assert counted(engines, condition) == len(met)
        if met:
            assert counted(build([seen(1, "b"), *map(with_traits, met)]), condition) == len(met)

    @pytest.mark.parametrize(
        ("operator", "operand", "met"),
        [
            (Operator.IS, 5, 2),
            (Operator.IS, "5", 1),
            (Operator.IS, True, 1),
            (Operator.NOT_IN, ("5", "true"), 3),
            (Operator.NOT_IN, (5,), 1),
            (Operator.AT_LEAST, 5, 3),
            (Operator.EXISTS, True, 5),
            (Operator.EXISTS, False, 1),
        ],
    )
    def test_conditions__on_the_value__read_it_as_the_operand_is__m7(
        self, build: Build, operator: Operator, operand: Scalar | tuple[Scalar, ...], met: int
    ) -> None:
        values = [("5", 5.0), ("5.0", 5.0), ("7", 7.0), ("true", None), ("", None), (None, None)]
        engine = build([seen(1, "b"), *(with_traits(None, value, number) for value, number in values)])
        assert counted(engine, Condition("value", operator, operand)) == met

    def test_property__of_several_types__is_counted_where_conditions_or_slices_read_it__m7(self, build: Build) -> None:
        engine = build(
            [seen(1, "b"), *map(with_traits, TRAITS)], [replace(with_traits({"x": 0}), at=LENGTH), did(1, 5)]
        )
        counts = {FieldType.TEXT: 5, FieldType.NUMBER: 3, FieldType.BOOLEAN: 1, FieldType.NESTED: 2}
        mixed = (FieldTypes(PURCHASE, "traits.x", counts),)
        compared = (Condition("traits.x", Operator.IS, "DE"), Condition("value", Operator.IN, ("5", 5)))
        assert measured(engine, Mean(replace(SUM, events=Events(PURCHASE, compared)))).mixed_fields == mixed
        assert measured(engine, Mean(replace(SUM, slice_by="traits.x"))).mixed_fields == mixed
        assert measured(engine, Funnel((Events(PURCHASE), Events(PURCHASE, compared)))).mixed_fields == mixed
        exists = (Condition("traits.x", Operator.EXISTS, True), Condition("traits.y", Operator.IS, 5))
        assert measured(engine, Mean(replace(SUM, events=Events(PURCHASE, exists)))).mixed_fields == ()
        assert measured(engine, Mean(SUM)).mixed_fields == ()

    @pytest.mark.parametrize("name", ['q"x', "w/z", "t~u", "ü", " s p", "0", "back\\slash", "$", "*", "'"])
    def test_conditions__on_a_nested_name_of_any_letters__find_it__m7(self, build: Build, name: str) -> None:
        traits = {"cart": {name: "yes"}, "list": ["yes"]}
        engine = build([seen(1, "b"), with_traits(traits)])
        assert counted(engine, Condition(f"traits.cart.{name}", Operator.IS, "yes")) == 1
        assert counted(engine, Condition(f"traits.list.{name}", Operator.EXISTS, True)) == 0

    def test_conditions__of_which_one_fails__leave_the_event_out__m7(self, build: Build) -> None:
        event = replace(did(1, 5), traits='{"country": "DE"}', metadata='{"cart": {"size": 3}}')
        engine = build([seen(1, "b"), event])
        country = Condition("traits.country", Operator.IS, "DE")
        assert counted(engine, country, Condition("metadata.cart.size", Operator.AT_LEAST, 3)) == 1
        assert counted(engine, country, Condition("metadata.cart.size", Operator.AT_LEAST, 4)) == 0

    def test_window__from_and_to__is_half_open_after_the_first_exposure__m8(self, build: Build) -> None:
        at = (2 * HOUR - MILLISECOND, 2 * HOUR, 3 * HOUR - MILLISECOND, 3 * HOUR)
        engine = build([seen(1, "b"), *(did(1, 10**place, time) for place, time in enumerate(at))])
        events = Events(PURCHASE, window=MeasureWindow(HOUR, 2 * HOUR))
        found = measured(engine, Mean(Measure(events, Aggregation.SUM))).by_variant["b"]
        assert found is not None
        assert found.mean == 110

    def test_maturity__complete__leaves_out_whose_window_goes_on__m8(self, build: Build) -> None:
        last, late = LENGTH - DAY, LENGTH - DAY + MILLISECOND
        engine = build([seen(1, "b"), seen(2, "b", last), seen(3, "b", late), did(3, 1, late), did(2, 1, last)])
        measure = Measure(Events(PURCHASE, window=MeasureWindow(end=DAY)), Aggregation.OCCURRENCE)
        everybody, mature = measured(engine, Mean(measure)), measured(engine, Retention(measure), Maturity.COMPLETE)
        assert (everybody.identities, everybody.not_mature) == ({"b": 3}, {"b": 0})
        assert (mature.identities, mature.not_mature) == ({"b": 2}, {"b": 1})
        assert mature.by_variant["b"] is not None
        assert (mature.by_variant["b"].n, mature.by_variant["b"].mean) == (2, 0.5)

    @pytest.mark.parametrize(("missing", "n", "mean"), [(Missing.LEFT_OUT, 2, 3.0), (Missing.ZERO, 3, 2.0)])
    def test_mean__of_identities_without_a_value__leaves_them_out_or_takes_0__m6(
        self, build: Build, missing: Missing, n: int, mean: float
    ) -> None:
        engine = build([*crowd([4, 2]), seen(3, "b"), did(3, None)])
        found = measured(engine, Mean(Measure(Events(PURCHASE), Aggregation.MEAN, missing)))
        aggregate, values = found.by_variant["b"], found.of_identities["b"]
        assert aggregate is not None
        assert (aggregate.n, aggregate.mean) == (n, mean)
        assert (found.identities, values.with_value, found.invalid_values) == ({"b": 3}, 2, {"b": 1})

    def test_ratio__of_two_measures__has_their_joint_moments__m9(self, build: Build) -> None:
        engine = build([*crowd([10, 4]), did(1, 20), seen(3, "b"), did(3, None)])
        found = measured(engine, Ratio(SUM, Measure(Events(PURCHASE), Aggregation.COUNT)))
        assert_near(found.joint["b"], [(2, 30), (1, 4), (1, 0)])
        assert (found.of_identities["b"].nonzero, found.nonzero_x) == (2, {"b": 3})
        assert measured(engine, Mean(SUM)).nonzero_x == {}
        sizes = Measure(Events(PURCHASE), Aggregation.MAX)
        assert_near(measured(engine, Ratio(sizes, SUM)).joint["b"], [(30, 20), (4, 4)])

    @pytest.mark.parametrize(
        ("bounds", "values", "touched"),
        [
            ((Bound(at=5), None), [1, 5, 5, 5, 0], (5, 2)),
            ((Bound(percentile=60), None), [1, 5, 5, 5, 0], (5, 2)),
            ((Bound(percentile=75, of_nonzero=True), None), [1, 5, 9, 9, 0], (9, 1)),
            ((Bound(at=9), Bound(at=2)), [2, 5, 9, 9, 2], (9, 1)),
            ((None, Bound(percentile=40)), [1, 5, 9, 30, 1], (None, 0)),
        ],
    )
    def test_bounds__of_all_arms_together__change_what_lies_beyond__m10(
        self,
        build: Build,
        bounds: tuple[Bound | None, Bound | None],
        values: list[float],
        touched: tuple[float | None, int],
    ) -> None:
        engine = build([*crowd([1, 5, 9]), *crowd([30, 0], "control", first=4), *crowd([99], "unheard of", first=9)])
        compared = replace(scope(), variants=("b", "control"))
        engine.write_first_exposures(compared)
        metric = Metric(1, "prod", "m", Mean(replace(SUM, cap=bounds[0], floor=bounds[1])))
        (found,) = metric_aggregates(engine.variant_aggregates(compared, (metric,)).rows)
        sums = {key: aggregate and aggregate.sum for key, aggregate in found.by_variant.items()}
        assert sums == {"b": sum(values[:3]), "control": sum(values[3:])}
        assert isinstance(found.bounds, Bounds)
        assert (found.bounds.cap, sum(found.bounds.capped.values())) == touched

    def test_pre_period__of_the_same_measure__ends_at_the_first_exposure__m11(self, build: Build) -> None:
        before = (HOUR - 2 * DAY - MILLISECOND, HOUR - 2 * DAY, HOUR - MILLISECOND, HOUR)
        engine = build([seen(1, "b"), seen(2, "b"), *(did(1, 10**place, at) for place, at in enumerate(before))])
        found = measured(engine, Mean(SUM, covariate_before=2 * DAY))
        assert_near(found.joint["b"], [(110, 1000), (0, 0)])

    def test_pre_period__bounds__are_of_its_own_values_and_touch_its_own_identities__m11(self, build: Build) -> None:
        purchases = [did(who, 10.0 * who, at) for who in (1, 2, 3) for at in (0 * HOUR, 2 * HOUR)]
        engine = build([seen(1, "b"), seen(2, "b"), seen(3, "control")], purchases, [did(3, 1000)])
        capped = replace(SUM, cap=Bound(percentile=60), floor=Bound(at=15))
        found = measured(engine, Mean(capped, covariate_before=DAY))
        assert found.bounds == Bounds(20, 15, {"b": 0, "control": 1}, {"b": 1, "control": 0})
        assert found.joint_bounds == found.bounds
        assert measured(engine, Mean(capped)).joint_bounds is None
        of_nothing = measured(engine, Mean(capped, covariate_before=HOUR / 2))
        assert of_nothing.bounds == found.bounds
        assert of_nothing.joint_bounds == Bounds(0, 15, {"b": 0, "control": 0}, {"b": 2, "control": 1})

    def test_quantile__of_identities__is_an_order_statistic_with_its_interval__m12(self, build: Build) -> None:
        engine = build([*crowd(list(range(100, 0, -1))), *crowd([7], "control", first=200)])
        found = measured(engine, Quantile(0.5, SUM)).quantiles
        assert found == {"b": QuantileEstimate(100, 50, 40, 61), "control": QuantileEstimate(1, 7, None, None)}

    def test_quantile__of_events__is_over_all_that_have_a_number__m12(self, build: Build) -> None:
        engine = build([seen(1, "b"), seen(2, "b"), seen(3, "control")], [did(1, value) for value in (5, 1, 9, None)])
        found = measured(engine, Quantile(0.5, Events(PURCHASE)))
        assert found.quantiles == {"b": QuantileEstimate(1, 5, None, None), "control": None}
        assert (found.values, found.invalid_values) == ({"b": 4, "control": 0}, {"b": 1, "control": 0})

    def test_funnel__steps__are_parts_and_the_last_one_is_the_metric__m14(self, build: Build) -> None:
        viewed, paid = [did(1, None, event="viewed"), did(2, None, event="viewed")], did(1, 5, 3 * HOUR)
        engine = build([seen(1, "b"), seen(2, "b"), seen(3, "b"), *viewed, paid, did(3, 5, 3 * HOUR)])
        found = measured(engine, Funnel((Events("viewed"), Events(PURCHASE))))
        sums = {group.name: part.by_variant["b"] for group, part in found.groups.items() if group.part is Part.STEP}
        assert {name: aggregate and aggregate.sum for name, aggregate in sums.items()} == {"1": 2, "2": 1}
        assert found.by_variant["b"] == found.groups[Group(Part.STEP, "2")].by_variant["b"]
        soon = measured(engine, Funnel((Events("viewed"), Events(PURCHASE)), within=timedelta(minutes=59)))
        assert soon.by_variant["b"] is not None
        assert soon.by_variant["b"].sum == 0

    def test_slices__of_a_property_of_the_events__add_up_to_the_whole__m18(self, build: Build) -> None:
        def bought(identity: int, number: float, category: object) -> Event:
            return replace(did(identity, number), metadata=json.dumps({"category": category}))

        events = [bought(1, 1, "shoes"), bought(1, 2, "hats"), bought(2, 4, "shoes"), bought(2, 8, None), did(2, 16)]
        engine = build([seen(1, "b"), seen(2, "b"), seen(3, "b")], events)
        found = measured(engine, Mean(replace(SUM, slice_by="metadata.category")))
        sums = {group.value: part.by_variant["b"] for group, part in found.groups.items() if not group.is_other}
        assert {value: each and (each.n, each.sum) for value, each in sums.items()} == {
            "shoes": (3, 5), "hats": (3, 2), None: (3, 24)
        }  # fmt: skip
        assert found.by_variant["b"] is not None
        assert found.by_variant["b"].sum == 31

    def test_slices__of_many_values__are_the_twenty_of_most_events_and_others__m18(self, build: Build) -> None:
        names = [f"v{number:02}" for number in range(23) for _ in range(2 if number > 20 else 1)]
        events = [replace(did(1, 1), metadata=json.dumps({"category": name})) for name in names]
        early = [replace(did(1, 1, HOUR - MILLISECOND), metadata='{"category": "early"}')] * 9
        found = measured(build([seen(1, "b"), *events, *early]), Mean(replace(SUM, slice_by="metadata.category")))
        listed = {group.value for group in found.groups if not group.is_other}
        assert listed == {f"v{number:02}" for number in (21, 22, *range(18))}
        others = found.groups[Group(Part.SLICE, "metadata.category", is_other=True)].by_variant["b"]
        assert others is not None
        assert others.sum == 3

    def test_metrics__of_one_event__share_its_scan(self, build: Build) -> None:
        engine = build(crowd([1, 2]))
        engine.write_first_exposures(scope())
        wanted: list[Statistic] = [
            Mean(SUM),
            Mean(SUM, covariate_before=DAY),
            Quantile(0.5, Events(PURCHASE)),
            Retention(SUM),
        ]
        metrics = tuple(Metric(number, "prod", "m", statistic) for number, statistic in enumerate(wanted, start=1))
        assert engine.variant_aggregates(scope(), metrics).sql.count("where event = $event") == 1
