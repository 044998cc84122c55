"""experiments.yaml declares what the generators draw."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import yaml

from experiment_pipeline.demo.landing import DECLARATIONS, ENVIRONMENT, PRODUCT_PAGE
from experiment_pipeline.demo.shop import PRE_PERIOD, RETURN, SEGMENTS
from experiment_pipeline.demo.simulation import (
    ADDRESS_ENTERED,
    CART_VIEWED,
    PAGE_VIEWED,
    PURCHASED,
    SIMULATIONS,
    Simulation,
    draw,
)
from experiment_pipeline.demo.truth import CAP_SHARE, METRICS, SLOW
from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.times import parse_duration

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


def events_of(definition: object) -> Iterator[str]:
    """The events that a definition names, wherever it does."""
    if isinstance(definition, dict):
        yield from ([definition["event"]] if "event" in definition else [])
        definition = list(definition.values())
    for part in definition if isinstance(definition, list) else []:
        yield from events_of(part)


def test_every_simulated_metric_is_declared_and_attached() -> None:
    metrics = metrics_of(ENVIRONMENT)
    assert set(metrics) == set(METRICS)
    assert {event for metric in metrics.values() for event in events_of(metric["definition"])} == set(
        draw(SIMULATIONS[0], 1).streams
    ) - {EXPOSURE_EVENT}
    attached = [[each["metric"] for each in EXPERIMENTS[simulation.key]["metrics"]] for simulation in SIMULATIONS]
    assert {metric for each in attached for metric in each} == set(METRICS)


def test_metrics_of_version_2_are_declared_as_their_truth_is_worked_out() -> None:
    kinds = {name: metric["definition"] for name, metric in metrics_of(ENVIRONMENT).items()}
    revenue, retention, slow, checkout = (
        kinds[name] for name in ("revenue", "day_7_retention", "load_time_p90", "checkout")
    )
    assert {kind.get("statistic", "version 1") for kind in kinds.values()} == {
        "version 1", "mean", "ratio", "quantile", "retention", "funnel"
    }  # fmt: skip
    assert revenue["measure"]["cap"] == {"percentile": 100 * CAP_SHARE, "of_nonzero": True}
    assert parse_duration(revenue["covariate"]["before"]) == PRE_PERIOD
    assert {key: parse_duration(value) for key, value in retention["window"].items()} == {
        "from": RETURN,
        "to": RETURN + timedelta(days=1),
    }
    assert slow["q"] == SLOW
    assert slow["measure"]["where"] == [{"field": "metadata.page", "is": PRODUCT_PAGE["page"]}]
    assert parse_duration(checkout["within"]) == timedelta(days=1)
    assert [step["event"] for step in checkout["steps"]] == [CART_VIEWED, ADDRESS_ENTERED, PURCHASED]
    assert kinds["load_time"]["measure"] == {"event": PAGE_VIEWED, "aggregation": "mean"}, "no `missing: zero`"


def test_dimensions_are_traits_that_segments_have() -> None:
    traits = [each["trait"] for each in EXPERIMENTS["one_page_checkout"]["dimensions"]]
    assert set(traits) == {trait for segment in SEGMENTS for trait in segment.traits}
