"""Measurements of metrics are kept, the newest of each source and experiment, and only while the metric is the same."""

from dataclasses import replace
from datetime import timedelta

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.domain.definitions import definition_of
from experiment_pipeline.domain.drafts import MetricDraft
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.metric_measurement import MeasuredStatistic, MeasurementSource, MetricMeasurement
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, NOW

REVENUE = MetricDraft(
    name="revenue",
    definition={"version": 2, "statistic": "mean", "measure": {"event": "purchase", "aggregation": "sum"}},
)
STATISTIC = MeasuredStatistic(VariantAggregate(3, 0.1, 1 / 3), PairAggregate(3, 1.5, 0.1, 2.0, 1 / 3, -0.25))


def measured(metric: Metric, *, source: MeasurementSource = MeasurementSource.PREVIEW) -> MetricMeasurement:
    return MetricMeasurement(
        metric_id=metric.id,
        definition=definition_of(metric),
        source=source,
        measured_at=NOW,
        window=Window(NOW - timedelta(days=14), NOW),
        data_version=4,
        identities=2**40,
        statistic=STATISTIC,
    )


def test_measurements__stored__come_back_the_newest_first(registry: Registry, running: Experiment) -> None:
    metric = registry.metrics.create("production", REVENUE, actor=ACTOR, now=NOW)
    assert registry.measurements.list(metric) == []
    uncapped = MeasuredStatistic(VariantAggregate(3, 0.2, 2.0))
    everybody = replace(measured(metric), uncapped=uncapped, cap=99.5, floor=-1.0, share_in_metric=0.25)
    own = replace(measured(metric, source=MeasurementSource.REFRESH), experiment_id=running.id, measured_at=NOW + HOUR)
    registry.measurements.store(own, everybody)
    assert registry.measurements.list(metric) == [own, everybody]


def test_measurements__of_the_same_source_and_experiment__replace_the_earlier_one(
    registry: Registry, running: Experiment
) -> None:
    metric = registry.metrics.create("production", REVENUE, actor=ACTOR, now=NOW)
    other = registry.metrics.create("production", replace(REVENUE, name="other"), actor=ACTOR, now=NOW)
    everybody, of_other = measured(metric), measured(other)
    own = replace(measured(metric), experiment_id=running.id)
    registry.measurements.store(everybody, own, of_other)
    again = [replace(each, measured_at=NOW + HOUR, identities=7) for each in (everybody, own)]
    registry.measurements.store(*again)
    assert sorted(registry.measurements.list(metric), key=lambda each: each.experiment_id or 0) == again
    assert registry.measurements.list(other) == [of_other]


def test_measurements__of_another_definition__say_nothing_of_the_metric(registry: Registry) -> None:
    metric = registry.metrics.create("production", REVENUE, actor=ACTOR, now=NOW)
    registry.measurements.store(measured(metric))
    definition = {"version": 2, "statistic": "mean", "measure": {"event": "purchase", "aggregation": "count"}}
    changed = registry.metrics.change(
        "production", "revenue", lambda draft: replace(draft, definition=definition), actor=ACTOR, now=NOW
    )
    assert registry.measurements.list(changed) == []
    described = registry.metrics.change(
        "production", "revenue", lambda draft: replace(draft, definition=REVENUE.definition, unit="EUR"),
        actor=ACTOR, now=NOW,
    )  # fmt: skip
    assert registry.measurements.list(described) == [measured(metric)]
