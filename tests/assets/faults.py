"""The real engine, whose calls fail when a test says so."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from experiment_pipeline.artifacts import ArtifactStore
from experiment_pipeline.lake.tables import Lake
from experiment_pipeline.settings import Settings
from experiment_pipeline.warehouse.base import Warehouse
from experiment_pipeline.warehouse.duckdb import DuckDBWarehouse
from tests.assets.conftest import Installation

VACUUMED = 'IO Error: Cannot open file "merged-1.parquet": No such file or directory'


@dataclass
class Faults:
    """What goes wrong, by the engine's method and the partition: each call takes the next fault; none left, it works.

    calls: method and partition, in order
    """

    settings: Settings
    next: dict[tuple[str, str], list[Callable[[], Exception]]] = field(default_factory=lambda: defaultdict(list))
    calls: list[tuple[str, str]] = field(default_factory=list)

    def add(self, method: str, partition_key: str, *faults: Callable[[], Exception]) -> None:
        self.next[method, partition_key].extend(faults)

    def engine(self) -> Any:
        """As `WarehouseResource.engine`."""
        real = DuckDBWarehouse(
            connect=duckdb.connect,
            event_files=Lake(self.settings.lake_dir).event_files,
            artifacts=ArtifactStore(Path(self.settings.artifacts_dir)),
        )
        return _FailingEngine(self, real)


@dataclass
class _FailingEngine:
    faults: Faults
    real: Warehouse

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(scope: Any, *arguments: Any) -> Any:
            called = method, getattr(scope, "partition_key", scope)
            self.faults.calls.append(called)
            if self.faults.next[called]:
                fault = self.faults.next[called].pop(0)
                raise fault()
            return getattr(self.real, method)(scope, *arguments)

        return call


def vacuumed() -> Exception:
    """A file that was there when the lake was listed."""
    return duckdb.IOException(VACUUMED)


def bug() -> Exception:
    return ZeroDivisionError("a bug")


def with_faults(installation: Installation) -> Faults:
    """The installation's definitions over a failing engine."""
    faults, before = Faults(installation.settings), installation.definitions
    installation.definitions = dg.Definitions(
        assets=before.assets,
        jobs=before.jobs,
        executor=before.executor,
        resources={
            **(before.resources or {}),
            "warehouse": dg.ResourceDefinition.hardcoded_resource(faults),
        },
    )
    return faults
