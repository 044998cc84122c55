"""The engine's aggregates against the plain-Python reference: metrics of the whole grammar over random events."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from experiment_pipeline.domain.aggregates import Bounds, Group, MetricAggregates, Part, VariantAggregate
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.warehouse.frame_schemas import metric_aggregates, validated
from tests.metric_strategies import measured_scenarios
from tests.properties.translated import experiment_of, warehouse_of
from tests.reference import aggregates as reference
from tests.reference.aggregations import AGGREGATIONS
from tests.reference.events import Event
from tests.reference.exposures import Experiment, analysed, first_exposures, remaining
from tests.reference.metrics import Events, Mean, Measure, Metric, Quantile, Ratio, Statistic
from tests.reference.visible import visible_events
from tests.strategies import Scenario

RELATIVE = 1e-12  # rule X5
DOUBLE = 2.0**-52  # what a value of an identity is off when it becomes a double

METRICS = 20  # in one scenario


def test_aggregations__of_the_reference__are_those_that_are_declared__m6() -> None:
    assert set(AGGREGATIONS) == set(Aggregation)
    for each in Aggregation:
        how = AGGREGATIONS[each]
        assert (how.reads_numbers, how.may_lack) == (each.reads_numbers, each.may_lack_value), each


@given(scenario=measured_scenarios(METRICS))
@settings(max_examples=4)
def test_aggregates__of_80_metrics_over_random_events__equal_the_reference(scenario: Scenario) -> None:
    assert_aggregates_equal_the_reference(scenario)


@pytest.mark.slow
@given(scenario=measured_scenarios(METRICS))
@settings(max_examples=100)
def test_aggregates__of_2000_metrics_over_random_events__equal_the_reference(scenario: Scenario) -> None:
    assert_aggregates_equal_the_reference(scenario)


def assert_aggregates_equal_the_reference(scenario: Scenario) -> None:
    """Compute all metrics of a scenario both ways."""
    experiment, scope = experiment_of(scenario.experiment)
    with TemporaryDirectory() as folder:
        engine = warehouse_of(scenario.batches, Path(folder))
        engine.write_first_exposures(scope)
        metrics = tuple(attached.metric for attached in experiment.metrics)
        number = sum(len(batch) for batch in scenario.batches) % max(1, len(metrics))
        sensitive = metrics[number] if metrics else None
        rows = engine.variant_aggregates(scope, metrics, sensitive=sensitive).rows
        identities = engine.variant_identities(scope)
        identities_before_entry = engine.variant_identities(scope, before_entry=True)
    found = {one.metric_id: one for one in metric_aggregates(validated("variant_aggregates", rows))}
    visible = visible_events(scenario.batches, scenario.experiment.data_version)
    firsts = first_exposures(visible, scenario.experiment)
    people = analysed(visible, firsts, scenario.experiment).values()
    assert identities == Counter(who.first.variant for who in people)
    assert identities_before_entry == Counter(who.variant for who in remaining(firsts, scenario.experiment).values())
    seen = set(rows["variant"])  # under the other policy, too, of which the sensitive metric has a reading
    assert seen >= identities.keys() & set(scenario.experiment.compared_keys)
    variants = [key for key in scenario.experiment.compared_keys if key in seen]
    for metric in scenario.experiment.metrics:
        wanted = reference.aggregate(metric, visible, firsts, scenario.experiment)
        ours = found.get(metric.id, MetricAggregates(metric.id, {}))
        Comparison(metric, variants).whole(ours, wanted)
        is_sensitive = sensitive is not None and metric.id == sensitive.id
        assert ours.sensitivity.keys() == (
            _other_readings(metric, scenario.experiment) if found and is_sensitive else set()
        )
        for name, reading in ours.sensitivity.items():
            Comparison(metric, variants).part(
                reading, _read_otherwise(name, metric, visible, scenario.experiment), name
            )


def _other_readings(metric: Metric, experiment: Experiment) -> set[str]:
    other = {"exclude", "first"} - {experiment.multiple_exposures}
    return {*other, "uncapped"} if any(each.cap or each.floor for each in metric.measures) else other


def _read_otherwise(name: str, metric: Metric, events: set[Event], experiment: Experiment) -> reference.Aggregates:
    """The metric of an experiment that was declared in another way from the beginning."""
    if name == "uncapped":
        metric = replace(metric, statistic=_without_bounds(metric.statistic))
    else:
        experiment = replace(experiment, multiple_exposures="first" if name == "first" else "exclude")
    return reference.aggregate(metric, events, first_exposures(events, experiment), experiment)


def _without_bounds(statistic: Statistic) -> Statistic:
    match statistic:
        case Mean(measure):
            return replace(statistic, measure=replace(measure, cap=None, floor=None))
        case Ratio(numerator, denominator):
            return Ratio(replace(numerator, cap=None, floor=None), replace(denominator, cap=None, floor=None))
        case Quantile(of=Measure() as measure):
            return replace(statistic, of=replace(measure, cap=None, floor=None))
        case _:
            return statistic


class Comparison:
    """Both sides of one metric: counts exactly, moments to RELATIVE."""

    def __init__(self, metric: Metric, variants: Iterable[str]) -> None:
        self._metric = metric
        self._variants = list(variants)

    def whole(self, ours: MetricAggregates, wanted: reference.Aggregates) -> None:
        """The metric and its parts."""
        self.part(ours, wanted, "whole")
        groups = {_group(group): part for group, part in wanted.groups.items() if self._variants}
        assert ours.groups.keys() == groups.keys(), f"parts of {self._metric}"
        for group, part in groups.items():
            self.part(ours.groups[group], part, group)

    def part(self, ours: MetricAggregates, wanted: reference.Aggregates, where: object) -> None:
        """The metric or one part of it."""
        at = f"{where} of {self._metric}"
        self._counts(ours, wanted, at)
        if self._variants:
            self._bounds(ours.bounds, wanted.bounds, at)
            self._bounds(ours.joint_bounds, wanted.joint_bounds, at)
        self._quantiles(ours, wanted, at)
        for key in self._variants:
            if not _is_of_events(self._metric):
                _same_moments(ours.by_variant[key], wanted.by_variant[key], f"{key}: {at}")
            if key in wanted.joint and wanted.joint[key].y.n:
                self._joint(ours, wanted, key, f"{key}: {at}")

    def _counts(self, ours: MetricAggregates, wanted: reference.Aggregates, at: str) -> None:
        summary = ours.of_identities
        counts: list[tuple[str, Mapping[str, int], Mapping[str, int]]] = [
            ("identities", ours.identities, wanted.identities),
            ("not_mature", ours.not_mature, wanted.not_mature),
            ("with_event", ours.with_event, wanted.with_event),
            ("values", ours.values, wanted.values),
            ("invalid_values", ours.invalid_values, wanted.invalid_values),
            ("with_value", {key: one.with_value for key, one in summary.items()}, wanted.with_value),
        ]
        if not _is_of_events(self._metric):
            counts.append(("nonzero", {key: one.nonzero for key, one in summary.items()}, wanted.nonzero))
            counts.append(("nonzero_x", ours.nonzero_x, wanted.nonzero_x))
            for key in self._variants:
                _same(summary[key].largest, wanted.largest[key], f"largest of {key}: {at}")
        for name, mine, theirs in counts:
            for key in self._variants:
                assert mine.get(key, 0) == theirs.get(key, 0), f"{name} of {key}: {at}"

    def _bounds(self, ours: Bounds | None, wanted: reference.Bounds | None, at: str) -> None:
        ours = ours or Bounds(None, None, {}, {})
        wanted = wanted or reference.Bounds(None, None, {}, {})
        _same(ours.cap, wanted.cap, f"cap: {at}")
        _same(ours.floor, wanted.floor, f"floor: {at}")
        for key in self._variants:
            assert ours.capped.get(key, 0) == wanted.capped.get(key, 0), f"capped of {key}: {at}"
            assert ours.floored.get(key, 0) == wanted.floored.get(key, 0), f"floored of {key}: {at}"

    def _quantiles(self, ours: MetricAggregates, wanted: reference.Aggregates, at: str) -> None:
        for key in self._variants:
            mine, theirs = ours.quantiles.get(key), wanted.quantiles.get(key)
            assert (mine is None) == (theirs is None), f"quantile of {key}: {at}"
            if mine is not None and theirs is not None:
                assert mine.n == theirs.n, f"n of {key}'s quantile: {at}"
                _same(mine.value, theirs.value, f"quantile of {key}: {at}")
                _same(mine.low, theirs.low, f"low of {key}: {at}")
                _same(mine.high, theirs.high, f"high of {key}: {at}")

    def _joint(self, ours: MetricAggregates, wanted: reference.Aggregates, key: str, at: str) -> None:
        mine, theirs = ours.joint[key], wanted.joint[key]
        assert mine is not None, at
        _same_moments(VariantAggregate(mine.n, mine.mean_x, mine.m2_x), theirs.x, f"x, {at}")
        _same_moments(VariantAggregate(mine.n, mine.mean_y, mine.m2_y), theirs.y, f"y, {at}")
        spread_x, spread_y = _root(theirs.x.m2), _root(theirs.y.m2)
        size_x, size_y = _root(theirs.x.sum_squares), _root(theirs.y.sum_squares)
        off = RELATIVE * spread_x * spread_y + DOUBLE * (size_x * spread_y + size_y * spread_x) + DOUBLE**2
        assert abs(Fraction(mine.c_xy) - theirs.c_xy) <= off, f"{mine.c_xy} instead of {float(theirs.c_xy)}: c_xy, {at}"


def _is_of_events(metric: Metric) -> bool:
    return isinstance(metric.statistic, Quantile) and isinstance(metric.statistic.of, Events)


def _group(group: reference.Group) -> Group:
    return Group(Part(group.part), group.name, group.value, group.is_other)


def _same(mine: float | None, theirs: Fraction | None, at: str) -> None:
    """One value of an identity or an event, or a threshold."""
    if mine is None or theirs is None:
        assert mine is None, f"{mine} instead of {theirs}: {at}"
        assert theirs is None, f"nothing instead of {float(theirs)}: {at}"
    else:
        assert math.isclose(mine, theirs, rel_tol=RELATIVE), f"{mine} instead of {float(theirs)}: {at}"


def _same_moments(mine: VariantAggregate | None, theirs: reference.Moments, at: str) -> None:
    """Mean and spread, each as exact as the doubles that the identities' values become."""
    assert mine is not None, at
    assert mine.n == theirs.n, f"{mine.n} instead of {theirs.n}: n, {at}"
    size = _root(theirs.sum_squares)
    for name, one, other in (
        ("mean", mine.mean, float(theirs.mean)),
        ("root of m2", math.sqrt(mine.m2), _root(theirs.m2)),
    ):
        off = RELATIVE * abs(other) + DOUBLE * size
        assert abs(one - other) <= off, f"{one} instead of {other}: {name}, {at}"


def _root(number: Fraction) -> float:
    return math.sqrt(number)
