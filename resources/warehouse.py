"""The engine and the lake, as Dagster resources."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
from dagster_duckdb import DuckDBResource
from duckdb import DuckDBPyConnection

from experiment_pipeline.artifacts import ArtifactStore
from experiment_pipeline.lake.tables import Lake
from experiment_pipeline.warehouse.base import Warehouse
from experiment_pipeline.warehouse.duckdb import Connect, DuckDBWarehouse


class LakeResource(dg.ConfigurableResource[Lake]):
    """Where events land and where the lake lies."""

    landing_dir: str
    lake_dir: str
    spill_dir: str
    memory_limit: str
    threads: int

    @property
    def landing(self) -> Path:
        """Root of the landing zone."""
        return Path(self.landing_dir)

    def open(self) -> Lake:
        """The events lake."""
        return Lake(
            Path(self.lake_dir),
            memory_limit=self.memory_limit,
            threads=self.threads,
            spill_dir=Path(self.spill_dir),
        )


class WarehouseResource(dg.ConfigurableResource[Warehouse]):
    """The embedded engine over the lake."""

    duckdb: dg.ResourceDependency[DuckDBResource]
    lake: dg.ResourceDependency[LakeResource]
    artifacts_dir: str

    def engine(self) -> Warehouse:
        """An engine; connections are opened per call."""
        return self._engine(self._connect)

    @contextmanager
    def engine_for_many(self) -> Iterator[Warehouse]:
        """An engine that keeps its connection, for many small calls: opening one takes longer than what they ask.

        A call that fails takes the connection with it, so that the next one does not suffer for it (rule R7).
        """
        with ExitStack() as kept:
            opened: list[DuckDBPyConnection] = []

            @contextmanager
            def connect() -> Iterator[DuckDBPyConnection]:
                if not opened:
                    opened.append(kept.enter_context(self._connect()))
                try:
                    yield opened[0]
                except BaseException:
                    opened.clear()
                    kept.close()
                    raise

            yield self._engine(connect)

    def _engine(self, connect: Connect) -> Warehouse:
        return DuckDBWarehouse(
            connect=connect,
            event_files=self.lake.open().event_files,
            artifacts=ArtifactStore(Path(self.artifacts_dir)),
        )

    @contextmanager
    def _connect(self) -> Iterator[DuckDBPyConnection]:
        # DuckDBResource closes only after a block that ended well.
        with self.duckdb.get_connection() as connection, connection:
            yield connection
