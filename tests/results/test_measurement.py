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
from experiment_pipeline.domain.experiments import Variant, VariantRole
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.measures import Aggregation, Bound, Events, Measure
from experiment_pipeline.domain.metric_measurement import MeasuredStatistic, MeasurementSource
from experiment_pipeline.domain.metric_preview import POOLED, Distribution, MetricPreview
from experiment_pipeline.domain.metrics import Mean, Metric, Quantile, Ratio, Statistic
from experiment_pipeline.domain.refresh import RefreshRun
from experiment_pipeline.results.measurement import (
    measured_statistic,
    measurement_of_preview,
    measurements_of_results,
)
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.ratio import ratio_aggregate
from tests.results.subjects import EVEN, experiment

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
    values = Distribution(n=3, zeros=0, smallest=10, largest=70, quantiles=(), top=(), bins=(), too_large=0)
    preview = MetricPreview(WINDOW, 7, 5, bounded, values, uncapped=FOUND)
    found = measurement_of_preview(capped, preview, NOW, experiment_id=3)
    assert not isinstance(found, NotComputable)
    assert (found.metric_id, found.source, found.measured_at) == (1, MeasurementSource.PREVIEW, NOW)
    assert (found.window, found.data_version, found.identities, found.experiment_id) == (WINDOW, 7, 5, 3)
    assert (found.cap, found.floor, found.share_in_metric) == (25, None, 3 / 5)
    assert found.statistic.aggregate == bounded.by_variant[POOLED]
    assert found.uncapped == MeasuredStatistic(VALUES)
    assert found.definition["measure"] == {"event": "purchase", "aggregation": "sum", "cap": {"at": 25}}


def test_measurements__of_results__are_those_of_control_with_the_traffic_of_all_variants() -> None:
    spent = replace(metric(Mean(replace(SUM, aggregation=Aggregation.MEAN))), id=7)
    holdout = Variant("holdout", VariantRole.HOLDOUT, 20)
    subject = experiment((*EVEN, holdout), spent, started_at=NOW - timedelta(days=2))
    found = MetricAggregates(
        7,
        {"control": VALUES, "b": VariantAggregate.of([1, 2, 3, 4]), "holdout": VALUES},
        identities={"control": 12, "b": 9, "holdout": 50},
        not_mature={"control": 2, "b": 3, "holdout": 60},
        bounds=Bounds(99, -1, {}, {}),
    )
    run = RefreshRun("run", subject.id, NOW, 5)
    (measured,) = measurements_of_results(subject, [found], run, NOW + timedelta(minutes=1))
    assert (measured.metric_id, measured.source, measured.experiment_id) == (7, MeasurementSource.REFRESH, subject.id)
    assert measured.window == Window(NOW - timedelta(days=2), NOW)
    assert (measured.measured_at, measured.data_version) == (NOW + timedelta(minutes=1), 5)
    assert measured.statistic == MeasuredStatistic(VALUES)
    assert (measured.identities, measured.share_in_metric) == (12 + 9 + 2 + 3, 3 / 12)
    assert (measured.cap, measured.floor, measured.uncapped) == (99, -1, None)


def test_measurements__of_metrics_that_come_to_nothing_in_control__are_left_out() -> None:
    subject = experiment(started_at=NOW - timedelta(days=2))
    found = MetricAggregates(subject.metrics[0].metric.id, {"b": VALUES})
    assert measurements_of_results(subject, [found], RefreshRun("run", 1, NOW, 5), NOW) == []


def test_measurement__of_a_preview_without_a_value__says_why() -> None:
    empty = MetricAggregates(1, {POOLED: VariantAggregate(0, 0, 0)})
    preview = MetricPreview(WINDOW, 7, 5, empty, None)
    assert measurement_of_preview(metric(Mean(SUM)), preview, NOW) == NotComputable("no_event_counted")
