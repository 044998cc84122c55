"""The engine that analyses, and the lake, as Dagster resources."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster_duckdb import DuckDBResource
from duckdb import DuckDBPyConnection
from pydantic import PrivateAttr

from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.soundness import Ledger, require_sound
from experiment_pipeline.settings import Settings
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.base import Warehouse
from experiment_pipeline.warehouse.duckdb.connection import KeptConnection
from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse
from experiment_pipeline.warehouse.refreshes import RefreshPolicy

ENGINE_KIND = "duckdb"  # shown on the assets that the engine computes


class LakeResource(dg.ConfigurableResource[Lake]):
    """The landing zone and the events lake."""

    landing_dir: str
    lake_dir: str
    spill_dir: str
    memory_limit: str
    threads: int

    @property
    def landing(self) -> Path:
        """The root of the landing zone."""
        return Path(self.landing_dir)

    def open_sound(self, ledger: Ledger) -> Lake:
        """Return the events lake, where it fits its registry.

        Raises:
            UnsoundLake: it does not.
        """
        require_sound(Path(self.lake_dir), ledger)
        return self.open()

    def open(self) -> Lake:
        """Return the events lake."""
        return Lake(
            Path(self.lake_dir),
            memory_limit=self.memory_limit,
            threads=self.threads,
            spill_dir=Path(self.spill_dir),
        )


class WarehouseResource(dg.ConfigurableResource[Warehouse]):
    """The embedded engine over the lake, with one connection for a whole run."""

    duckdb: dg.ResourceDependency[DuckDBResource]
    lake: dg.ResourceDependency[LakeResource]
    artifacts_dir: str
    incremental_from: int
    incremental_audit_every: int

    _kept: KeptConnection | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Keep one connection for the run."""
        self._kept = KeptConnection(self._connect)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Close the run's connection."""
        if self._kept is not None:
            self._kept.close()

    @contextmanager
    def kept(self) -> Iterator[Warehouse]:
        """Give the engine with one connection for the block, to a run that has not made this a resource of its own."""
        self._kept = KeptConnection(self._connect)
        try:
            yield self.engine()
        finally:
            self._kept.close()

    def engine(self) -> Warehouse:
        """Return the engine; outside of a run every call opens a connection of its own."""
        return DuckDBWarehouse(
            connect=self._kept or self._connect,
            event_files=self.lake.open().event_files,
            artifacts=ArtifactStore(Path(self.artifacts_dir)),
            refreshes=RefreshPolicy(self.incremental_from, self.incremental_audit_every),
        )

    @contextmanager
    def _connect(self) -> Iterator[DuckDBPyConnection]:
        # DuckDBResource closes only after a block that ended well.
        with self.duckdb.get_connection() as connection, connection:
            yield connection


def lake_resource(settings: Settings) -> LakeResource:
    """Return the landing zone and the lake of an installation."""
    return LakeResource(
        landing_dir=str(settings.landing_dir),
        lake_dir=str(settings.lake_dir),
        spill_dir=str(settings.spill_dir),
        memory_limit=settings.duckdb_memory_limit,
        threads=settings.duckdb_threads,
    )


def _embedded(settings: Settings, lake: LakeResource) -> WarehouseResource:
    duckdb = DuckDBResource(
        database=":memory:",
        connection_config={
            "memory_limit": settings.duckdb_memory_limit,
            "threads": settings.duckdb_threads,
            "temp_directory": str(settings.spill_dir.absolute()),
        },
    )
    # Absolute: DuckDB and Polars expand a leading ~.
    return WarehouseResource(
        duckdb=duckdb,
        lake=lake,
        artifacts_dir=str(settings.artifacts_dir.absolute()),
        incremental_from=settings.incremental_from,
        incremental_audit_every=settings.incremental_audit_every,
    )


ENGINES: dict[str, Callable[[Settings, LakeResource], WarehouseResource]] = {"duckdb": _embedded}


def warehouse_resource(settings: Settings, lake: LakeResource) -> WarehouseResource:
    """Return the resource of the engine that the settings name."""
    return ENGINES[settings.warehouse](settings, lake)
