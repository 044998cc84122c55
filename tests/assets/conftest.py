"""A small installation: registry, landing zone, lake, and the real definitions run in this process."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.definitions import build
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation, ComputationState
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.dagster_instance import add_partitions, run_here
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.settings import Settings
from tests.conftest import make_registry

STARTED_AT = datetime(2026, 3, 1, tzinfo=UTC)
MANIFEST = """
environments: {prod: {}}
metrics:
  bought: {aggregation: occurrence, definition: {version: 1, event: purchase}}
  spent: {aggregation: sum, definition: {version: 1, event: purchase}}
experiments:
  checkout: &experiment
    hypothesis: It sells more.
    feature: checkout
    status: running
    started_at: 2026-03-01T00:00:00Z
    variants: [{key: b, percentage_allocation: 50}]
    metrics:
      - {metric: bought, expected_direction: increase}
      - {metric: spent, expected_direction: increase}
  banner: {<<: *experiment, feature: banner}
"""


@dataclass
class Installation:
    """Everything that one test's pipeline is made of."""

    settings: Settings
    registry: Registry
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def experiment(self, key: str = "checkout") -> Experiment:
        return self.registry.experiments.find("prod", key)

    def land(
        self, name: str, records: list[dict[str, Any]], landed_at: datetime | None = None, environment: str = "prod"
    ) -> None:
        at = landed_at or datetime.now(UTC)
        stamp = f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03}Z"  # in whole seconds it could lie before the end
        folder = self.settings.landing_dir / f"events/env_key={environment}/2026/03/01/00"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{stamp}-{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))

    def ingest(self) -> None:
        run_here(self.definitions, "ingest_events", self.instance)

    def refresh(self, key: str = "checkout") -> dg.ExecuteInProcessResult:
        return run_here(self.definitions, "refresh_experiment", self.instance, self.partition(key))

    def partition(self, key: str = "checkout") -> str:
        """The experiment's partition key, known to Dagster."""
        partition_key = self.experiment(key).partition_key
        add_partitions(self.instance, EXPERIMENTS, [partition_key])
        return partition_key

    def materialise(self, *assets: str, key: str = "checkout", run_id: str | None = None) -> dg.ExecuteInProcessResult:
        """As the UI materialises a selection of assets."""
        job = self.definitions.resolve_job_def("refresh_experiment")
        return job.execute_in_process(
            instance=self.instance,
            partition_key=self.partition(key),
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            raise_on_error=False,
            run_id=run_id,
        )

    def state(self, computation: Computation = Computation.RESULTS, key: str = "checkout") -> ComputationState:
        return self.registry.computations.get(self.experiment(key).id, computation)

    def results(self) -> dict[str, Any]:
        """The published results, without what tells one look from the next."""
        return {name: member for name, member in (self.state().payload or {}).items() if name != "look"}


def exposure(identifier: str, variant: str, hours: float = 1, feature: str = "checkout") -> dict[str, Any]:
    at = STARTED_AT + timedelta(hours=hours)
    return {
        "event": "$flag_exposure",
        "feature_name": feature,
        "identifier": identifier,
        "value": variant,
        "timestamp": at.isoformat(),
    }


def purchase(identifier: str, value: object, hours: float = 2) -> dict[str, Any]:
    at = STARTED_AT + timedelta(hours=hours)
    return {"event": "purchase", "identifier": identifier, "value": value, "timestamp": at.isoformat()}


def crowd(control: int, treatment: int, buying: float = 0.5, feature: str = "checkout") -> list[dict[str, Any]]:
    """Return `n` identities per arm, of whom a share buys for 10."""
    records = []
    for variant, size in (("control", control), ("b", treatment)):
        for number in range(size):
            records.append(exposure(f"{variant}-{number}", variant, feature=feature))
            if number < size * buying:
                records.append(purchase(f"{variant}-{number}", 10))
    return records


@contextmanager
def opened(folder: Path) -> Iterator[Installation]:
    """Open the installation in a folder, with a Dagster instance of its own that knows nothing of what was run."""
    settings = Settings(data_dir=folder, finality_grace=timedelta(0), landing_object_age=timedelta(0))
    registry = Registry.open(settings.database_url)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Installation(settings, registry, build(settings), instance)
    registry.close()


@contextmanager
def declared(folder: Path) -> Iterator[Installation]:
    """Make an installation of two running experiments in a folder."""
    make_registry(folder / "registry.sqlite")
    with opened(folder) as made:
        made.registry.manifests.apply(parse_manifest(MANIFEST), actor="test", now=datetime.now(UTC))
        yield made


@contextmanager
def copied(prepared: Path, folder: Path) -> Iterator[Installation]:
    """Open a copy of an installation that is closed, in a folder that is empty."""
    shutil.copytree(prepared, folder, dirs_exist_ok=True)
    with opened(folder) as copy:
        yield copy


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """Two running experiments, nothing landed yet."""
    with declared(tmp_path) as made:
        yield made
