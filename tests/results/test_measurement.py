"""Measurements are what the metric's own statistic comes to, as results compute it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from experiment_pipeline.domain.aggregates import (
    Bounds,
    MetricAggregates,
    PairAggregate,
    QuantileEstimate,
    VariantAggregate,
)
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.measures import Aggregation, Bound, Events, Measure
from experiment_pipeline.domain.metric_measurement import MeasuredStatistic, MeasurementSource
from experiment_pipeline.domain.metric_preview import POOLED, MetricPreview
from experiment_pipeline.domain.metrics import Mean, Metric, Quantile, Ratio, Statistic
from experiment_pipeline.results.measurement import measured_statistic, measurement_of_preview
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.ratio import ratio_aggregate

NOW = datetime(2026, 3, 2, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(days=1), NOW)
SUM = Measure(Events("purchase"), Aggregation.SUM)
COUNT = Measure(Events("purchase"), Aggregation.COUNT)
PAIRS = PairAggregate.of([(1, 10), (2, 22), (3, 29)])
VALUES = VariantAggregate.of([10, 22, 29])
FOUND = MetricAggregates(1, {POOLED: VALUES}, joint={POOLED: PAIRS})


def metric(statistic: Statistic) -> Metric:
    return Metric(1, "prod", "m", statistic)


def test_statistic__of_each_kind__is_the_one_that_results_compare() -> None:
    assert measured_statistic(metric(Mean(SUM)), FOUND, POOLED) == MeasuredStatistic(VALUES)
    adjusted = metric(Mean(SUM, covariate_before=timedelta(days=7)))
    assert measured_statistic(adjusted, FOUND, POOLED) == MeasuredStatistic(VALUES, PAIRS)
    ratio = ratio_aggregate(PAIRS)
    assert not isinstance(ratio, NotComputable)
    assert measured_statistic(metric(Ratio(SUM, COUNT)), FOUND, POOLED) == MeasuredStatistic(ratio)
    quantiles: dict[str, QuantileEstimate | None] = {POOLED: QuantileEstimate(400, 20, 18, 22)}
    found = measured_statistic(metric(Quantile(0.5, SUM)), replace(FOUND, quantiles=quantiles), POOLED)
    assert isinstance(found, MeasuredStatistic)
    assert found.aggregate.mean == 20
    assert found.standard_deviation == pytest.approx(4 / (2 * 1.959964) * 400**0.5, rel=1e-3)


def test_statistic__that_comes_to_nothing__says_why() -> None:
    of_one = replace(FOUND, by_variant={POOLED: VariantAggregate.of([1])})
    assert measured_statistic(metric(Mean(SUM)), of_one, POOLED) == NotComputable("fewer_than_two_identities")
    too_large = replace(FOUND, by_variant={POOLED: None})
    assert measured_statistic(metric(Mean(SUM)), too_large, POOLED) == NotComputable("out_of_range")


def test_measurement__of_a_preview__has_both_readings_and_the_bounds() -> None:
    capped = metric(Mean(replace(SUM, cap=Bound(at=25.0))))
    bounded = MetricAggregates(
        1, {POOLED: VariantAggregate.of([10, 22, 25])}, bounds=Bounds(25, None, {POOLED: 1}, {POOLED: 0})
    )
    preview = MetricPreview(WINDOW, 7, 5, bounded, None, uncapped=FOUND)
    found = measurement_of_preview(capped, preview, NOW, experiment_id=3)
    assert not isinstance(found, NotComputable)
    assert (found.metric_id, found.source, found.measured_at) == (1, MeasurementSource.PREVIEW, NOW)
    assert (found.window, found.data_version, found.identities, found.experiment_id) == (WINDOW, 7, 5, 3)
    assert (found.cap, found.floor) == (25, None)
    assert found.statistic.aggregate == bounded.by_variant[POOLED]
    assert found.uncapped == MeasuredStatistic(VALUES)
    assert found.definition["measure"] == {"event": "purchase", "aggregation": "sum", "cap": {"at": 25}}


def test_measurement__of_a_preview_without_a_value__says_why() -> None:
    empty = MetricAggregates(1, {POOLED: VariantAggregate(0, 0, 0)})
    preview = MetricPreview(WINDOW, 7, 5, empty, None)
    assert measurement_of_preview(metric(Mean(SUM)), preview, NOW) == NotComputable("fewer_than_two_identities")
