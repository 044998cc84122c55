"""Simulated experiments through the real pipeline: landing zone, ingestion, lake, engine, stages and registry.

Every stage of a refresh runs as an asset runs it, and publishes to the registry; what is read is the published payload.
Only Dagster's own processes are left out, which would take seconds for each of thousands of refreshes.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from experiment_pipeline.assets.stages import STAGES
from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.drafts import AttachmentDraft, ExperimentDraft, MetricDraft, VariantDraft
from experiment_pipeline.domain.experiments import Design, Experiment, ExperimentStatus
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import Direction, ExpectedDirection
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.refresh_session import ExperimentRun
from experiment_pipeline.settings import Settings
from experiment_pipeline.warehouse.artifacts import ArtifactStore, StampedFrame
from experiment_pipeline.warehouse.base import Warehouse
from experiment_pipeline.warehouse.duckdb.connection import KeptConnection
from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse
from tests.simulation.traffic import BASELINE, MDE, STARTED_AT, Simulated, as_of, land_days

ACTOR = "simulation"
LEASE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Published:
    """The results payload of one experiment at the end of one day."""

    simulated: Simulated
    day: int
    payload: dict[str, Any]


def published(simulated: Sequence[Simulated], folder: Path) -> Iterator[Published]:
    """Land and ingest one day after the other, refresh every experiment at its end, and yield what is published."""
    settings = Settings(data_dir=folder, landing_object_age=timedelta(0))
    lake = Lake(settings.lake_dir, memory_limit=settings.duckdb_memory_limit, threads=1, spill_dir=settings.spill_dir)
    registry = Registry.open(settings.database_url)
    with closing(registry), closing(KeptConnection(lake.connect)) as connection:
        declared = _declare(simulated, registry)
        engine = DuckDBWarehouse(connection, lake.event_files, ArtifactStore(settings.artifacts_dir))
        for day in land_days(simulated, settings.landing_dir):
            ingest(lake, registry.batches, settings.landing_dir, datetime.now(UTC))
            for each, experiment in zip(simulated, declared, strict=True):
                yield Published(each, day, _refresh(experiment, day, registry, settings, engine))


def _refresh(
    experiment: Experiment, day: int, registry: Registry, settings: Settings, engine: Warehouse
) -> dict[str, Any]:
    """Run every stage of a refresh as of the end of a day, and return the payload that was published."""
    opened = registry.runs.open(experiment.id, f"{experiment.key}-{day}", datetime.now(UTC), LEASE, as_of=as_of(day))
    scope = AnalysisScope.of(experiment, opened, None)
    run = ExperimentRun(experiment, opened, scope, registry, settings, time.monotonic(), engine)
    frames: dict[str, StampedFrame] = {}
    for stage in STAGES:
        for output in stage.compute(run, engine, frames):
            if output.frame is not None:
                frames[output.asset] = output.frame
    registry.runs.release_lease(opened)
    payload = registry.computations.get(experiment.id, Computation.RESULTS).payload
    assert payload is not None
    return dict(payload)


def _declare(simulated: Sequence[Simulated], registry: Registry) -> list[Experiment]:
    """Declare and start every experiment: a conversion to raise, and a guardrail of errors."""
    for environment in dict.fromkeys(each.environment for each in simulated):
        registry.environments.create(environment, environment, actor=ACTOR, now=STARTED_AT)
    return [_started(each, registry) for each in simulated]


def _started(simulated: Simulated, registry: Registry) -> Experiment:
    names = [f"{event}_{simulated.key}" for event in ("converted", "failed")]
    for name, direction in zip(names, (Direction.UP, Direction.DOWN), strict=True):
        metric = MetricDraft(name, {"version": 1, "event": name}, Aggregation.OCCURRENCE, direction)
        registry.metrics.create(simulated.environment, metric, actor=ACTOR, now=STARTED_AT)
    expected = (ExpectedDirection.INCREASE, ExpectedDirection.NOT_INCREASE)
    draft = ExperimentDraft(
        name=simulated.key,
        hypothesis="",
        feature=simulated.key,
        key=simulated.key,
        variants=(VariantDraft("b", 50.0),),
        metrics=tuple(AttachmentDraft(name, each) for name, each in zip(names, expected, strict=True)),
        design=Design(mde=MDE, baseline=BASELINE, n_looks=simulated.n_looks),
    )
    created = registry.experiments.create(simulated.environment, draft, actor=ACTOR, now=STARTED_AT)
    return registry.experiments.transition(
        created.id, ExperimentStatus.RUNNING, actor=ACTOR, now=datetime.now(UTC), at=STARTED_AT
    )
