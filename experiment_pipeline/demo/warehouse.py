"""A warehouse of the demo's own, below its data directory: the lake's events in a table that is analysed in place."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from pydantic import SecretStr

from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.durable_files import replacing, sql_text
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.settings import Settings
from experiment_pipeline.warehouse.ibis.statements import statement

OLDEST = datetime(2025, 12, 1, tzinfo=UTC)  # before the first event


class Engine(StrEnum):
    """An engine of warehouses that runs in the demo's process."""

    CLICKHOUSE = "clickhouse"
    SPARK = "spark"


NEEDED = {  # modules, and what brings them
    Engine.CLICKHOUSE: (("ibis", "clickhouse_connect", "chdb"), "pip install 'experiment-pipeline[warehouse]' chdb"),
    Engine.SPARK: (("ibis", "pyspark"), "pip install 'experiment-pipeline[spark]'"),
}


@dataclass(frozen=True, slots=True)
class DemoWarehouse:
    """The table of events of one engine.

    Attributes:
        folder: of its data, below the data directory; absolute.
    """

    engine: Engine
    folder: Path

    @classmethod
    def of(cls, engine: Engine, settings: Settings) -> "DemoWarehouse":
        """Return the warehouse of a data directory.

        Raises:
            ConfigurationError: a package is not installed, or Java for Spark.
        """
        modules, remedy = NEEDED[engine]
        lacking = [module for module in modules if find_spec(module) is None]
        if lacking:
            raise ConfigurationError.of("--warehouse", f"{engine} needs {' and '.join(lacking)}: {remedy}")
        if engine is Engine.SPARK and which("java") is None:
            raise ConfigurationError.of("--warehouse", "spark needs Java 17 or newer.")
        return cls(engine, settings.data_dir.absolute() / "warehouse")

    @property
    def name(self) -> str:
        """The name of the engine for people."""
        return {Engine.CLICKHOUSE: "ClickHouse", Engine.SPARK: "Spark"}[self.engine]

    @property
    def url(self) -> str:
        """The URL that the analysis is given."""
        if self.engine is Engine.SPARK:
            return f"spark+local://{self._loaded}?memory=1g&partitions=4"
        return f"chdb://{self.folder / 'chdb'}"

    def settings(self, settings: Settings) -> Settings:
        """Return settings by which environments are analysed there; nothing loads beside the demo, so rows settle."""
        return settings.model_copy(update={"warehouse": SecretStr(self.url), "warehouse_settle": timedelta(0)})

    def load(self, lake: Lake, environments: Iterable[str]) -> None:
        """Load the events that the lake has and the table has not, all with this moment as their time of loading."""
        now, batch = datetime.now(UTC), lake.newest_batch
        self._loaded.mkdir(parents=True, exist_ok=True)
        for key in environments:
            loaded = max((_batch(file) for file in self._loaded.glob(f"{key}-*.parquet")), default=0)
            files = lake.event_files(key, Window(OLDEST, now)).events
            if batch == loaded or not files:
                continue
            with replacing(self._loaded / f"{key}-{batch}.parquet") as written:
                bound = {"environment_key": key, "files": files, "loaded": loaded, "loaded_at": now}
                with lake.connect() as connection:
                    select = sql_text("experiment_pipeline.demo", "warehouse_events")
                    connection.execute(select, bound | {"target": str(written)})
                if self.engine is Engine.CLICKHOUSE:
                    self._insert(written)

    @property
    def _loaded(self) -> Path:
        """The folder of the rows that were loaded, a file for each environment and load; the table itself of Spark."""
        return self.folder / "events"

    def _insert(self, file: Path) -> None:
        from clickhouse_connect import get_client

        with closing(get_client(dsn=self.url)) as client:
            client.command(statement(self.engine, "table"))
            client.command(
                "insert into events select * from file({file:String}, Parquet)", parameters={"file": str(file)}
            )


def _batch(file: Path) -> int:
    """Return the newest batch whose events are in a file of the folder."""
    return int(file.stem.rpartition("-")[2])
