"""The pipeline against the plain-Python reference: landing objects in, payloads out, over random events."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus, MultipleExposures, Variant, VariantRole
from experiment_pipeline.domain.exposures import Window, summarise_exposures
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import AttachedMetric, Direction, ExpectedDirection
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import exposures_payload, results_payload
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse
from experiment_pipeline.warehouse.frame_schemas import listed_exposures, metric_aggregates, validated
from tests.lake.ledger import NOW, MemoryLedger
from tests.metrics import version_1
from tests.reference import exposures as expected
from tests.reference.inference import MINIMUM_CONVERSIONS, MINIMUM_IDENTITIES, MINIMUM_NONZERO
from tests.reference.payloads import payloads
from tests.strategies import ENVIRONMENTS, Scenario, scenarios

RELATIVE = 1e-12  # rule X5: moments
PARTITION = "checkout-1"


@contextmanager
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as opened:
        yield opened


def ours(scenario: Scenario, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both payloads by way of the real landing zone, lake and engine."""
    lake, ledger = Lake(folder / "lake"), MemoryLedger(known_environments=set(ENVIRONMENTS))
    for batch in scenario.batches:
        for landed in batch:
            path = folder / "landing" / landed.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(landed.content)
        ingest(lake, ledger, folder / "landing", NOW)
    experiment, scope = of_ours(scenario.experiment)
    engine = DuckDBWarehouse(connection, lake.event_files, ArtifactStore(folder / "artifacts"))
    engine.write_first_exposures(scope)
    buckets = validated("exposure_buckets", engine.exposure_buckets(scope).rows)
    listed, unlisted = listed_exposures(buckets, experiment.variant_keys)
    summary = summarise_exposures(listed, scope.window.granularity, unlisted)
    metrics = tuple(attached.metric for attached in experiment.metrics)
    aggregates = validated("variant_aggregates", engine.variant_aggregates(scope, metrics).rows)
    floors = Floors(MINIMUM_IDENTITIES, MINIMUM_CONVERSIONS, MINIMUM_NONZERO)
    results = compute_results(experiment, engine.variant_identities(scope), metric_aggregates(aggregates), floors)
    return {**exposures_payload(summary)}, {**results_payload(results)}


def of_ours(described: expected.Experiment) -> tuple[Experiment, AnalysisScope]:
    """The reference's experiment in our own nouns."""
    experiment = Experiment(
        id=1,
        environment_key=described.environment_key,
        key="checkout",
        partition_key=PARTITION,
        name="Checkout",
        feature=described.feature,
        status=ExperimentStatus.RUNNING,
        variants=tuple(Variant(v.key, VariantRole(v.role), v.percentage_allocation) for v in described.variants),
        metrics=tuple(
            AttachedMetric(
                version_1(
                    id=metric.id,
                    environment_key=described.environment_key,
                    name=str(metric.id),
                    event=metric.event,
                    aggregation=Aggregation(metric.aggregation),
                    direction=Direction(metric.direction),
                    window=metric.window,
                ),
                ExpectedDirection(metric.expected),
            )
            for metric in described.metrics
        ),
        ignored_variants=tuple(described.ignored_variants),
        started_at=described.started_at,
    )
    scope = AnalysisScope(
        partition_key=PARTITION,
        environment_key=described.environment_key,
        feature=described.feature,
        window=Window(described.started_at, described.as_of),
        data_version=described.data_version,
        multiple_exposures=MultipleExposures(described.multiple_exposures),
        variants=experiment.compared_keys,
    )
    return experiment, scope


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
@settings(max_examples=15, deadline=None)
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
