"""Costs of refreshes are added up by asset; the state of a deleted experiment is none that is kept (rule I1)."""

from dataclasses import replace

from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.registry.refresh_costs import RefreshCost
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import HOUR, NOW

FULL = RefreshCost("variant_aggregates", incremental=0, full=1, rows_read=1000, seconds_saved=0.0, state_bytes=70)
INCREMENTAL = replace(FULL, incremental=1, full=0, rows_read=3_000_000_000, seconds_saved=1.5, state_bytes=80)


def test_costs__of_refreshes__are_added_up_by_asset_and_the_newest_state_counts(
    registry: Registry, running: Experiment
) -> None:
    for cost in (FULL, INCREMENTAL, replace(FULL, asset="first_exposures"), INCREMENTAL):
        registry.refresh_costs.add(running.id, cost)
    assert registry.refresh_costs.by_asset() == [
        replace(FULL, asset="first_exposures"),
        RefreshCost("variant_aggregates", 2, 1, 6_000_001_000, 3.0, 80),
    ]


def test_costs__of_a_deleted_experiment__stay_counted_but_for_its_state(
    registry: Registry, running: Experiment
) -> None:
    registry.refresh_costs.add(running.id, FULL)
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor="test", now=NOW + HOUR)
    registry.experiments.delete(running.id, actor="test", now=NOW + HOUR)
    assert registry.refresh_costs.by_asset() == [replace(FULL, state_bytes=0)]
