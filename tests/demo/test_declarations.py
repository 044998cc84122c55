"""experiments.yaml declares what the generators draw."""

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from experiment_pipeline.demo import thornton
from experiment_pipeline.demo.landing import DECLARATIONS, ENVIRONMENT
from experiment_pipeline.demo.simulation import (
    PAGE_VIEWED,
    PURCHASED,
    SIMULATIONS,
    SUPPORT_CONTACTED,
    Behaviour,
    Simulation,
)
from experiment_pipeline.schemas.manifests import parse_manifest

DECLARED: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(DECLARATIONS.read_text("utf-8"))
EXPERIMENTS = DECLARED["experiments"]


def metrics_of(environment: str) -> dict[str, dict[str, Any]]:
    return {name: metric for name, metric in DECLARED["metrics"].items() if metric["environment"] == environment}


def test_the_declarations_are_valid() -> None:
    manifest = parse_manifest(DECLARATIONS.read_text("utf-8"))
    assert len(manifest.experiments) == len(SIMULATIONS) + 1


@pytest.mark.parametrize("simulation", SIMULATIONS, ids=lambda simulation: simulation.key)
def test_a_simulation_is_declared_as_it_is_drawn(simulation: Simulation) -> None:
    experiment = EXPERIMENTS[simulation.key]
    assert experiment["environment"] == ENVIRONMENT
    assert experiment["feature"] == simulation.feature
    assert [variant["key"] for variant in experiment["variants"]] == [arm.variant for arm in simulation.arms]
    assert experiment["started_at"] == simulation.started_at
    assert experiment.get("ended_at") == (simulation.ends_at if simulation.is_over else None)
    assert experiment["status"] == ("completed" if simulation.is_over else "running")


@pytest.mark.parametrize("simulation", SIMULATIONS, ids=lambda simulation: simulation.key)
def test_only_the_broken_split_gets_other_traffic_than_declared(simulation: Simulation) -> None:
    declared = [variant["percentage_allocation"] for variant in EXPERIMENTS[simulation.key]["variants"]]
    drawn = [100 * arm.share for arm in simulation.arms]
    assert (declared == pytest.approx(drawn)) == (simulation.key != "search_suggestions")


def test_every_simulated_metric_is_declared_and_attached() -> None:
    metrics = metrics_of(ENVIRONMENT)
    assert set(metrics) == set(Behaviour().means())
    assert {metric["definition"]["event"] for metric in metrics.values()} == {PAGE_VIEWED, PURCHASED, SUPPORT_CONTACTED}
    assert {metric["aggregation"] for metric in metrics.values()} == {"occurrence", "count", "sum", "mean"}
    for simulation in SIMULATIONS:
        attached = [each["metric"] for each in EXPERIMENTS[simulation.key]["metrics"]]
        assert sorted(attached) == sorted(metrics)


def test_the_study_is_declared_as_it_is_drawn() -> None:
    experiment = EXPERIMENTS["hiv_result_incentive"]
    assert experiment["environment"] == thornton.ENVIRONMENT
    assert experiment["feature"] == thornton.FEATURE
    assert experiment["started_at"] == thornton.STARTED_AT == datetime(2026, 1, 5, tzinfo=UTC)
    assert {variant["key"] for variant in experiment["variants"]} == {person.variant for person in thornton.people()}
    (metric,) = metrics_of(thornton.ENVIRONMENT).values()
    assert metric["definition"]["event"] == thornton.RESULT_LEARNED
