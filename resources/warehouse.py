"""The engine that analyses, and the lake, as Dagster resources."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import dagster as dg
from dagster_duckdb import DuckDBResource
from duckdb import DuckDBPyConnection
from pydantic import PrivateAttr

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.soundness import Ledger, require_sound
from experiment_pipeline.settings import Settings
from experiment_pipeline.storage.files import know_bucket
from experiment_pipeline.storage.object_path import StoragePath
from experiment_pipeline.storage.places import place_at, places_of
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.base import Warehouse
from experiment_pipeline.warehouse.duckdb.connection import KeptConnection
from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse
from experiment_pipeline.warehouse.extra import require_ibis
from experiment_pipeline.warehouse.limits import WarehouseLimits
from experiment_pipeline.warehouse.refreshes import RefreshPolicy

if TYPE_CHECKING:
    from experiment_pipeline.warehouse.ibis.warehouse import IbisWarehouse

ENGINE_KIND = "duckdb"  # shown on the assets that the engine computes


class LakeResource(dg.ConfigurableResource[Lake]):
    """The landing zone and the events lake."""

    landing_dir: str
    lake_dir: str
    spill_dir: str
    memory_limit: str
    threads: int

    @property
    def landing(self) -> StoragePath:
        """The root of the landing zone."""
        return place_at(self.landing_dir, self.spill_dir)

    @property
    def root(self) -> StoragePath:
        """The root of the lake."""
        return place_at(self.lake_dir, self.spill_dir)

    def open_sound(self, ledger: Ledger) -> Lake:
        """Return the events lake, where it fits its registry.

        Raises:
            UnsoundLake: it does not.
        """
        require_sound(self.root, ledger)
        return self.open()

    def open(self) -> Lake:
        """Return the events lake."""
        return Lake(
            self.root,
            memory_limit=self.memory_limit,
            threads=self.threads,
            spill_dir=Path(self.spill_dir),
        )


class WarehouseResource(dg.ConfigurableResource[Warehouse]):
    """The embedded engine over the lake, and engines where events lie, with one connection for a whole run each.

    URLs of warehouses are no fields: Dagster's pages would show their passwords.
    """

    duckdb: dg.ResourceDependency[DuckDBResource]
    lake: dg.ResourceDependency[LakeResource]
    artifacts_dir: str
    incremental_from: int
    incremental_audit_every: int
    statement_timeout_seconds: float
    settle_seconds: float
    statement_byte_limit: int | None
    writes: bool
    unique_rows: bool

    _kept: KeptConnection | None = PrivateAttr(default=None)
    _in_place: dict[str, "IbisWarehouse"] = PrivateAttr(default_factory=dict)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Keep one connection for the run."""
        self._kept = KeptConnection(self._connect)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Close the run's connections."""
        self._close()

    @contextmanager
    def kept(self) -> Iterator[Self]:
        """Keep one connection for the block, for a run that has not made this a resource of its own."""
        self._kept = KeptConnection(self._connect)
        try:
            yield self
        finally:
            self._close()

    def engine(self, url: ConnectionUrl | None = None) -> Warehouse:
        """Return the engine at the URL of a warehouse; the embedded one without.

        Outside of a run every call of the embedded engine opens a connection of its own.

        Raises:
            ConfigurationError: no engine has the URL's scheme, or the server refuses the account.
            SourceUnreachable: the server does not answer.
        """
        if url is not None:
            return self._engine_in_place(url)
        return DuckDBWarehouse(
            connect=self._kept or self._connect,
            event_files=self.lake.open().event_files,
            artifacts=self.artifacts(),
            refreshes=RefreshPolicy(self.incremental_from, self.incremental_audit_every),
            spill_dir=Path(self.lake.spill_dir),
        )

    def _engine_in_place(self, url: ConnectionUrl) -> Warehouse:
        known = self._in_place.get(url.text)
        if known is not None and not known.is_open:  # the server has closed it: a retry connects again
            self._in_place.pop(url.text).close()
        if url.text not in self._in_place:
            require_ibis()
            from experiment_pipeline.warehouse.ibis.warehouse import IbisWarehouse

            limits = WarehouseLimits(
                timedelta(seconds=self.statement_timeout_seconds),
                timedelta(seconds=self.settle_seconds),
                self.statement_byte_limit,
                self.writes,
                self.unique_rows,
            )
            self._in_place[url.text] = IbisWarehouse.open(url, self.artifacts(), limits)
        return self._in_place[url.text]

    def _close(self) -> None:
        if self._kept is not None:
            self._kept.close()
        while self._in_place:
            self._in_place.popitem()[1].close()

    def artifacts(self) -> ArtifactStore:
        """Return the store of artifacts."""
        return ArtifactStore(place_at(self.artifacts_dir, self.lake.spill_dir))

    @contextmanager
    def _connect(self) -> Iterator[DuckDBPyConnection]:
        # DuckDBResource closes only after a block that ended well.
        with self.duckdb.get_connection() as connection, connection:
            know_bucket(connection, self.lake.root)
            yield connection


def lake_resource(settings: Settings) -> LakeResource:
    """Return the landing zone and the lake of an installation."""
    places = places_of(settings)
    return LakeResource(
        landing_dir=str(places.landing),
        lake_dir=str(places.lake),
        spill_dir=str(settings.spill_dir),
        memory_limit=settings.duckdb_memory_limit,
        threads=settings.duckdb_threads,
    )


def warehouse_resource(settings: Settings, lake: LakeResource) -> WarehouseResource:
    """Return the resource of the engines of an installation."""
    duckdb = DuckDBResource(
        database=":memory:",
        connection_config={
            "memory_limit": settings.duckdb_memory_limit,
            "threads": settings.duckdb_threads,
            "temp_directory": str(settings.spill_dir.absolute()),
        },
    )
    return WarehouseResource(
        duckdb=duckdb,
        lake=lake,
        artifacts_dir=str(places_of(settings).artifacts),
        incremental_from=settings.incremental_from,
        incremental_audit_every=settings.incremental_audit_every,
        statement_timeout_seconds=settings.warehouse_timeout.total_seconds(),
        settle_seconds=settings.warehouse_settle.total_seconds(),
        statement_byte_limit=settings.warehouse_byte_limit,
        writes=settings.warehouse_write,
        unique_rows=settings.warehouse_unique_rows,
    )
