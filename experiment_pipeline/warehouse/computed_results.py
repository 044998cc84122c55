"""Results of one scope from an engine's aggregates: a refresh and a replay compute them by the same function."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.looks import Look, Movement
from experiment_pipeline.domain.planned_looks import PlannedLookOf
from experiment_pipeline.domain.reconciliation import require_reconciled
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.model import ExperimentResults
from experiment_pipeline.warehouse.base import Warehouse
from experiment_pipeline.warehouse.frame_schemas import metric_aggregates


@dataclass(frozen=True, slots=True)
class ComputedResults:
    """Results, and what they were computed from.

    Attributes:
        identities: analysed identities per variant seen, holdout and undeclared ones included.
        aggregates: one per metric that has any identity.
    """

    results: ExperimentResults
    identities: dict[str, int]
    aggregates: tuple[MetricAggregates, ...]


def computed_results(
    experiment: Experiment,
    scope: AnalysisScope,
    warehouse: Warehouse,
    rows: pl.DataFrame,
    *,
    floors: Floors,
    planned_looks: Sequence[PlannedLookOf],
) -> ComputedResults:
    """Return the results of an experiment over a scope; its first exposures must be stored.

    Args:
        experiment: in the phase of the scope.
        scope: of the analysis.
        warehouse: the engine.
        rows: `variant_aggregates` of the scope.
        floors: the least data that inference needs.
        planned_looks: those of earlier payloads.

    Raises:
        ContractBroken: the rows are not of the identities that were first exposed.
    """
    aggregates = tuple(metric_aggregates(rows))
    identities = warehouse.variant_identities(scope)
    require_reconciled(identities, aggregates, {each.metric.id: each.metric.name for each in experiment.metrics})
    enters = experiment.audience.entry is not None
    before_entry = warehouse.variant_identities(scope, before_entry=True) if enters else None
    results = compute_results(
        experiment,
        identities,
        aggregates,
        floors,
        before_entry,
        as_of=scope.window.as_of,
        planned_looks=planned_looks,
    )
    return ComputedResults(results, identities, aggregates)


def movement_since(
    previous: Look | None,
    results: ExperimentResults,
    experiment: Experiment,
    scope: AnalysisScope,
    warehouse: Warehouse,
    *,
    code_version: str,
    erased: int = 0,
) -> Movement:
    """Return the number of the look after another one, and what moved since (rule R9); without one, the first look's.

    Args:
        previous: the newest look before.
        results: of the scope.
        experiment: whose metrics these are.
        scope: of the analysis; its first exposures must be stored.
        warehouse: the engine.
        code_version: of the code that computes the look.
        erased: identities of the look before that have been erased since.
    """
    identities = sum(results.split.identities.values())
    if previous is None:
        return Movement.first(identities)
    metrics, late = tuple(each.metric for each in experiment.metrics), warehouse.capabilities.look_comparison
    found = None if late is None else late.late_analysis(scope, metrics, previous)
    return Movement.since(previous, identities, found, code_version, erased=erased)
