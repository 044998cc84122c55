"""Previews warn of what results would suffer from."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import Bounds, MetricAggregates, PairAggregate, VariantAggregate
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.field_types import FieldType, FieldTypes
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metric_preview import POOLED, Distribution, MetricPreview
from experiment_pipeline.domain.metrics import Mean, Metric, Ratio

START = datetime(2026, 3, 1, tzinfo=UTC)
SUM = Mean(Measure(Events("purchase"), Aggregation.SUM))
METRIC = Metric(1, "prod", "revenue", SUM)
VALUES = Distribution(n=4, zeros=1, smallest=0, largest=3, quantiles=(0.0,) * 6, top=())
AGGREGATES = MetricAggregates(1, {POOLED: VariantAggregate(4, 1.5, 5.0)}, values={POOLED: 100})
PREVIEW = MetricPreview(Window(START, START + timedelta(days=1)), 1, 4, AGGREGATES, VALUES)
BOUNDS = Bounds(cap=0, floor=None, capped={POOLED: 3}, floored={POOLED: 0})


def warned(metric: Metric = METRIC, values: Distribution | None = VALUES, **aggregates: Any) -> list[str]:
    found = replace(PREVIEW, values=values, aggregates=replace(AGGREGATES, **aggregates))
    return [warning.split(":")[0] for warning in found.warnings(metric)]


def test_warnings__of_a_sound_metric__are_none() -> None:
    assert warned() == []
    assert warned(invalid_values={POOLED: 1}) == []


def test_warnings__name_what_results_would_suffer_from() -> None:
    assert warned(invalid_values={POOLED: 2}) == ["2 of 100 values are not numbers"]
    assert warned(bounds=BOUNDS) == ["The cap is 0"]
    ratio = replace(METRIC, statistic=Ratio(SUM.measure, SUM.measure))
    assert warned(ratio, joint_bounds=BOUNDS) == ["The cap is 0"]
    assert warned(joint_bounds=BOUNDS) == []  # of a pre-period: it only does not adjust
    assert warned(values=replace(VALUES, zeros=4)) == ["No event counted"]
    assert warned(values=None, by_variant={POOLED: VariantAggregate(0, 0, 0)}) == ["No event counted"]
    mixed = FieldTypes("purchase", "traits.plan", {FieldType.NUMBER: 3, FieldType.TEXT: 5})
    assert warned(mixed_fields=(mixed,)) == ["traits.plan of 'purchase' came as number (3 events) and text (5 events)"]
    assert warned(not_mature={POOLED: 4}) == [
        "No identity's window has ended, so the metric is over nobody yet. Look at more days."
    ]


@pytest.mark.parametrize(("x", "warnings"), [(1, ["All identities are alike in the pre-period"]), (2, [])])
def test_warnings__pre_period_in_which_all_are_alike__says_that_nothing_is_adjusted(
    x: int, warnings: list[str]
) -> None:
    metric = replace(METRIC, statistic=replace(SUM, covariate_before=timedelta(days=7)))
    assert warned(metric, joint={POOLED: PairAggregate.of([(1, 1), (x, 2)])}) == warnings
