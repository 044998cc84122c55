"""Measurements: what a pre-period explains, and the traffic."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.metric_measurement import MeasuredStatistic, MeasurementSource, MetricMeasurement

START = datetime(2026, 3, 1, tzinfo=UTC)
PAIRS = [(1.0, 2.0), (2.0, 3.0), (3.0, 7.0), (4.0, 6.0)]  # correlation 0.8739..., by hand 8 / sqrt(5 * 17)
WITH_PRE_PERIOD = MeasuredStatistic(VariantAggregate.of(y for _, y in PAIRS), PairAggregate.of(PAIRS))


def test_correlation__with_the_pre_period__takes_its_square_out_of_the_variance() -> None:
    assert WITH_PRE_PERIOD.correlation == pytest.approx(8 / (5 * 17) ** 0.5)
    assert WITH_PRE_PERIOD.variance_reduction == pytest.approx(64 / 85)
    assert WITH_PRE_PERIOD.variance(adjusted=True) == pytest.approx(17 / 3 * 21 / 85)
    assert WITH_PRE_PERIOD.variance(adjusted=False) == pytest.approx(17 / 3)
    turned = replace(WITH_PRE_PERIOD, pre_period=PairAggregate.of((-x, y) for x, y in PAIRS))
    assert turned.correlation == pytest.approx(-8 / (5 * 17) ** 0.5)


@pytest.mark.parametrize("pre_period", [None, PairAggregate.of((1, y) for _, y in PAIRS)])
def test_correlation__without_a_pre_period_that_varies__is_none_and_nothing_is_taken_out(
    pre_period: PairAggregate | None,
) -> None:
    found = replace(WITH_PRE_PERIOD, pre_period=pre_period)
    assert (found.correlation, found.variance_reduction) == (None, None)
    assert found.variance(adjusted=True) == pytest.approx(17 / 3)


def test_variance__of_one_identity__is_none() -> None:
    assert MeasuredStatistic(VariantAggregate.of([1])).variance(adjusted=True) is None


def test_identities_per_day__of_an_empty_window__are_not_known() -> None:
    window = Window(START, START + timedelta(days=4))
    found = MetricMeasurement(1, {}, MeasurementSource.PREVIEW, START, window, 1, 100, WITH_PRE_PERIOD)
    assert found.identities_per_day == 25
    assert replace(found, window=Window(START, START)).identities_per_day is None
