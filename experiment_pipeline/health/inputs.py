"""Inputs of the health checks, loaded once for all of them."""

from dataclasses import dataclass

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.results.model import ExperimentResults


@dataclass(frozen=True, slots=True)
class HealthInputs:
    """One refresh of one experiment, as every check sees it.

    Attributes:
        experiment: as it is configured.
        aggregates: one per attached metric that has any identity, in any order.
        results: the split, and every treatment against control on every metric.
    """

    experiment: Experiment
    aggregates: tuple[MetricAggregates, ...]
    results: ExperimentResults
