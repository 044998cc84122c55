"""Measurements of metrics, made of what previews and refreshes have aggregated."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.definitions import definition_of
from experiment_pipeline.domain.experiments import CONTROL, Experiment
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.metric_measurement import MeasuredStatistic, MeasurementSource, MetricMeasurement
from experiment_pipeline.domain.metric_preview import POOLED, MetricPreview
from experiment_pipeline.domain.metrics import AttachedMetric, Metric
from experiment_pipeline.domain.refresh import RefreshRun
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
    if preview.counts_nothing:
        return NotComputable("no_event_counted")
    statistic = measured_statistic(metric, preview.aggregates, POOLED)
    if isinstance(statistic, NotComputable):
        return statistic
    if statistic.aggregate.mean == 0:
        return NotComputable("level_is_zero")
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
        share_in_metric=preview.n / preview.mature if preview.n else 1.0,
    )


def measurements_of_results(
    experiment: Experiment, aggregates: Iterable[MetricAggregates], run: RefreshRun, measured_at: datetime
) -> list[MetricMeasurement]:
    """Return the measurements that a refresh makes: of its metrics in control, and of the traffic of all variants.

    Metrics that come to nothing in control are left out.

    Args:
        experiment: with its metrics; it has started.
        aggregates: of the metrics, by variant.
        run: as of when, and at which data version, these are.
        measured_at: the moment, UTC.
    """
    by_id = {found.metric_id: found for found in aggregates}
    made = (
        _measurement_in_control(attached, by_id[attached.metric.id], experiment, run, measured_at)
        for attached in experiment.metrics
        if attached.metric.id in by_id
    )
    return [each for each in made if each is not None]


def _measurement_in_control(
    attached: AttachedMetric, found: MetricAggregates, experiment: Experiment, run: RefreshRun, measured_at: datetime
) -> MetricMeasurement | None:
    statistic = measured_statistic(attached.metric, found, CONTROL)
    if isinstance(statistic, NotComputable) or experiment.started_at is None:
        return None
    if experiment.overlaps_earlier_phase(attached):
        statistic = replace(statistic, pre_period=None)
    metric = attached.metric
    arms = arms_of(metric, found, experiment.compared_keys)
    control = arms[CONTROL]
    return MetricMeasurement(
        metric_id=metric.id,
        definition=definition_of(metric),
        source=MeasurementSource.REFRESH,
        measured_at=measured_at,
        window=Window(experiment.started_at, run.as_of),
        data_version=run.data_version,
        identities=sum(arm.identities for arm in arms.values()) + sum(found.not_mature.get(key, 0) for key in arms),
        statistic=statistic,
        cap=None if found.bounds is None else found.bounds.cap,
        floor=None if found.bounds is None else found.bounds.floor,
        experiment_id=experiment.id,
        phase=experiment.phase,
        share_in_metric=control.n / control.identities if control.n else 1.0,
    )
