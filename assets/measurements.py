"""Measurements of metrics, stored when results are published: experiments are planned from them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.resources.refresh_session import ExperimentRun, best_effort
from experiment_pipeline.results.measurement import measurements_of_results


def store_measurements(run: ExperimentRun, aggregates: Iterable[MetricAggregates]) -> None:
    """Store what the metrics of a run come to in control; that results are published does not depend on it."""
    found = measurements_of_results(run.experiment, aggregates, run.run, datetime.now(UTC))
    best_effort(partial(run.registry.measurements.store, *found))
