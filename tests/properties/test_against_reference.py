"""The pipeline against the plain-Python reference: landing objects in, payloads out, over random events."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings

from experiment_pipeline.domain.exposures import summarise_exposures
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import exposures_payload, results_payload
from experiment_pipeline.warehouse.base import Warehouse
from experiment_pipeline.warehouse.frame_schemas import listed_exposures, metric_aggregates, validated
from tests.properties.translated import experiment_of, warehouse_of
from tests.reference.exposures import Experiment
from tests.reference.inference import MINIMUM_CONVERSIONS, MINIMUM_IDENTITIES, MINIMUM_NONZERO
from tests.reference.payloads import payloads
from tests.strategies import Scenario, scenarios

RELATIVE = 1e-12  # rule X5: moments


def ours(scenario: Scenario, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both payloads by way of the real landing zone, lake and engine."""
    as_refreshes_ask = sum(map(len, scenario.batches)) % 2 == 1  # what they ask for changes nothing else
    return ours_of(scenario.experiment, warehouse_of(scenario.batches, folder), as_refreshes_ask=as_refreshes_ask)


def ours_of(
    described: Experiment, engine: Warehouse, *, as_refreshes_ask: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both payloads of an experiment of the reference by way of an engine over its events."""
    experiment, scope = experiment_of(described)
    engine.write_first_exposures(scope)
    buckets = validated("exposure_buckets", engine.exposure_buckets(scope).rows)
    listed, unlisted = listed_exposures(buckets, experiment.variant_keys)
    summary = summarise_exposures(listed, scope.window.granularity, unlisted)
    metrics = tuple(attached.metric for attached in experiment.metrics)
    sensitive = next(iter(metrics), None) if as_refreshes_ask else None
    rows = engine.variant_aggregates(scope, metrics, sensitive=sensitive, self_check=as_refreshes_ask).rows
    aggregates = validated("variant_aggregates", rows)
    floors = Floors(MINIMUM_IDENTITIES, MINIMUM_CONVERSIONS, MINIMUM_NONZERO)
    results = compute_results(experiment, engine.variant_identities(scope), metric_aggregates(aggregates), floors)
    return {**exposures_payload(summary, experiment.phase)}, {**results_payload(results)}


def assert_equal(actual: object, wanted: object, where: str = "payload") -> None:
    """Every member of `wanted`, numbers to RELATIVE, everything else exactly; members beyond it are ours alone."""
    if isinstance(wanted, dict):
        assert isinstance(actual, dict), where
        for key, value in wanted.items():
            assert key in actual, f"{where}.{key}"
            assert_equal(actual[key], value, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert isinstance(actual, list), where
        assert len(actual) == len(wanted), where
        for position, (one, other) in enumerate(zip(actual, wanted, strict=True)):
            assert_equal(one, other, f"{where}[{position}]")
    elif isinstance(wanted, float):
        assert isinstance(actual, int | float), f"{where}: {actual} instead of {wanted}"
        relative = TOLERANCES.get(where.rpartition(".")[2], RELATIVE)
        assert math.isclose(actual, wanted, rel_tol=relative, abs_tol=1e-12), f"{where}: {actual} instead of {wanted}"
    else:
        assert actual == wanted, f"{where}: {actual} instead of {wanted}"


LOOSE = ("srm_p_value", "chi_square", "standard_error", "chance_to_win", "lift", "ci_low", "ci_high")
TOLERANCES = dict.fromkeys(LOOSE, 1e-9)


@given(scenario=scenarios())
@settings(max_examples=5, deadline=None)
def test_payloads__over_random_events__equal_the_reference(scenario: Scenario) -> None:
    assert_payloads_equal_the_reference(scenario)


@pytest.mark.slow
@given(scenario=scenarios())
@settings(max_examples=200, deadline=None)
def test_payloads__over_many_random_events__equal_the_reference(scenario: Scenario) -> None:
    assert_payloads_equal_the_reference(scenario)


def assert_payloads_equal_the_reference(scenario: Scenario) -> None:
    """Compute one scenario both ways."""
    with TemporaryDirectory() as folder:
        exposures, results = ours(scenario, Path(folder))
    wanted_exposures, wanted_results = payloads(scenario.batches, scenario.experiment)
    assert exposures == wanted_exposures
    assert_equal(results, wanted_results)
