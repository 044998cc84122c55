"""Measurements of metrics, made of what previews and refreshes have aggregated."""

from datetime import datetime

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.definitions import definition_of
from experiment_pipeline.domain.metric_measurement import MeasuredStatistic, MeasurementSource, MetricMeasurement
from experiment_pipeline.domain.metric_preview import POOLED, MetricPreview
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.results.arms import arms_of
from experiment_pipeline.stats.not_computable import NotComputable


def measured_statistic(metric: Metric, found: MetricAggregates, variant: str) -> MeasuredStatistic | NotComputable:
    """Return what a metric's statistic comes to in one variant, or why it comes to nothing."""
    arm = arms_of(metric, found, [variant])[variant]
    if isinstance(arm.reduced, NotComputable):
        return arm.reduced
    if arm.reduced.n < 2:
        return NotComputable("fewer_than_two_identities")
    return MeasuredStatistic(arm.reduced, arm.pre_period)


def measurement_of_preview(
    metric: Metric, preview: MetricPreview, measured_at: datetime, experiment_id: int | None = None
) -> MetricMeasurement | NotComputable:
    """Return the measurement that a preview is, or why it is none.

    Args:
        metric: the metric.
        preview: of it.
        measured_at: the moment, UTC.
        experiment_id: whose identities these are; None for everybody in the environment.
    """
    statistic = measured_statistic(metric, preview.aggregates, POOLED)
    if isinstance(statistic, NotComputable):
        return statistic
    uncapped = None if preview.uncapped is None else measured_statistic(metric, preview.uncapped, POOLED)
    bounds = preview.aggregates.bounds
    return MetricMeasurement(
        metric_id=metric.id,
        definition=definition_of(metric),
        source=MeasurementSource.PREVIEW,
        measured_at=measured_at,
        window=preview.window,
        data_version=preview.data_version,
        identities=preview.identities,
        statistic=statistic,
        uncapped=None if isinstance(uncapped, NotComputable) else uncapped,
        cap=None if bounds is None else bounds.cap,
        floor=None if bounds is None else bounds.floor,
        experiment_id=experiment_id,
    )
