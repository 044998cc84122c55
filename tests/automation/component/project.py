"""A team's own Dagster project in a folder: a DuckDB file with its tables, and the experiments component over them."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import duckdb
import yaml
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

PROJECT = """
[project]
name = "{name}"
version = "0.1.0"
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "{name}"
"""
DEFINITIONS = """
from pathlib import Path
import dagster as dg

@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
RESOURCES = """
import dagster as dg
from dagster_duckdb import DuckDBResource

@dg.definitions
def resources():
    return dg.Definitions(resources={{"duckdb": DuckDBResource(database={file!r})}})
"""
TYPE = "experiment_pipeline.ExperimentsComponent"
EXPOSURES: dict[str, Any] = {
    "name": "flag_exposures",
    "asset": "analytics/fct_exposures",
    "table": "analytics.fct_exposures",
    "as": {
        "feature": {"column": "experiment"},
        "variant": "variation",
        "identifier": "user_id",
        "timestamp": "exposed_at",
    },
    "timezone": "UTC",
}
ORDERS: dict[str, Any] = {
    "name": "orders",
    "asset": "analytics/fct_orders",
    "table": "analytics.fct_orders",
    "as": {"event": "purchased", "identifier": "user_id", "timestamp": "ordered_at", "value": "amount"},
    "timezone": "UTC",
}
ATTRIBUTES: dict[str, Any] = {
    "warehouse": "duckdb",
    "exposures": [EXPOSURES],
    "events": [ORDERS],
    "declarations": "experiments.yaml",
}
METRICS = {"bought": {"aggregation": "occurrence", "definition": {"version": 1, "event": "purchased"}}}
EXPERIMENT: dict[str, Any] = {
    "hypothesis": "It sells more.",
    "status": "completed",
    "started_at": "2026-01-05T00:00:00Z",
    "ended_at": "2026-01-19T00:00:00Z",
    "variants": [{"key": "b", "percentage_allocation": 50}],
    "metrics": [{"metric": "bought", "expected_direction": "increase"}],
}
RUNNING = {**EXPERIMENT, "status": "running"}
del RUNNING["ended_at"]


@dataclass
class Project:
    """The project in its folder."""

    root: Path
    name: str = field(default_factory=lambda: f"shop_{uuid4().hex[:8]}")

    @property
    def database(self) -> Path:
        return self.root / "shop.duckdb"

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements in the warehouse, and return the rows of the last one."""
        with duckdb.connect(str(self.database)) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    def write(
        self,
        attributes: Mapping[str, Any] | None = None,
        experiments: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] = METRICS,
        folder: str = "experiments",
        kind: str = TYPE,
    ) -> Path:
        """Write one component; without arguments one experiment over two tables."""
        place = self.root / self.name / "defs" / folder
        place.mkdir(parents=True, exist_ok=True)
        given = {**ATTRIBUTES, "state": str(self.root / "state" / folder), **(attributes or {})}
        declared = {name: value for name, value in given.items() if value is not None}
        (place / "defs.yaml").write_text(yaml.safe_dump({"type": kind, "attributes": declared}, sort_keys=False))
        entries = {"checkout": EXPERIMENT} if experiments is None else experiments
        content = {
            "metrics": dict(metrics),
            "experiments": {key: {"feature": key, **entry} for key, entry in entries.items()},
        }
        (place / "experiments.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return place

    def lay_out(self) -> None:
        """Write the project around its components."""
        package = self.root / self.name
        (package / "defs" / "resources").mkdir(parents=True)
        (self.root / "pyproject.toml").write_text(PROJECT.format(name=self.name))
        (package / "__init__.py").touch()
        (package / "defs" / "__init__.py").touch()
        (package / "definitions.py").write_text(DEFINITIONS)
        (package / "defs" / "resources" / "resources.py").write_text(RESOURCES.format(file=str(self.database)))

    def make_tables(self, experiments: Mapping[str, tuple[int, int]]) -> None:
        """Make tables in which half of `b` buy, and a third of control; sizes of control and `b` by experiment."""
        self.sql(
            "create schema if not exists analytics",
            "create or replace table analytics.fct_exposures "
            "(user_id varchar, experiment varchar, variation varchar, exposed_at timestamp)",
            "create or replace table analytics.fct_orders (user_id varchar, ordered_at timestamp, amount double)",
        )
        for key, (control, treatment) in experiments.items():
            for variant, size, every in (("control", control, 3), ("b", treatment, 2)):
                self.sql(
                    f"insert into analytics.fct_exposures select '{key}-{variant}-' || i, '{key}', '{variant}', "
                    f"timestamp '2026-01-06' + interval 1 minute * i from range({size}) t(i)",
                    f"insert into analytics.fct_orders select '{key}-{variant}-' || i, "
                    f"timestamp '2026-01-07' + interval 1 minute * i, 10 from range({size}) t(i) where i % {every} = 0",
                )

    def definitions(self) -> dg.Definitions:
        """Load the project as Dagster does."""
        invalidate_caches()
        for loaded in [each for each in sys.modules if each.split(".")[0] == self.name]:
            del sys.modules[loaded]
        built: dg.Definitions = import_module(f"{self.name}.definitions").defs()
        return built

    def refusal(self) -> str:
        """The message of a project that does not load."""
        try:
            self.definitions()
        except Exception as error:  # noqa: BLE001 - Dagster wraps it in what it was loading
            while error.__cause__ is not None:
                error = error.__cause__  # type: ignore[assignment] # an Exception, too
            return str(error)
        raise AssertionError("the project has loaded")

    def run(self, instance: dg.DagsterInstance, *partitions: str, key: str = "experiment_results") -> "Ran":
        """Materialise one partition, or the range from the first to the last."""
        job = self.definitions().resolve_implicit_global_asset_job_def()
        first, last = partitions[0], partitions[-1]
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        asset = dg.AssetKey.from_user_string(key)
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[asset],
            raise_on_error=False,
            **({"partition_key": first} if first == last else {"tags": tags}),
        )
        return Ran(instance, result, asset)


@dataclass(frozen=True)
class Ran:
    """A run that has ended."""

    instance: dg.DagsterInstance
    result: dg.ExecuteInProcessResult
    asset: dg.AssetKey

    @property
    def steps(self) -> list[str]:
        return [event.step_key or "" for event in self.result.all_events if event.is_step_start]

    @property
    def materialised(self) -> list[str]:
        return [event.partition or "" for event in self.result.all_events if event.is_step_materialization]

    @property
    def failure(self) -> str:
        (event,) = [event for event in self.result.all_events if event.is_step_failure]
        data = event.step_failure_data
        failure = data.user_failure_data
        if failure is not None:
            return failure.description or ""
        return "" if data.error is None else data.error.message

    def metadata(self, partition: str) -> dict[str, Any]:
        """The metadata of the materialisation of one partition."""
        (found,) = [
            event.step_materialization_data.materialization
            for event in self.result.all_events
            if event.is_step_materialization and event.partition == partition and event.asset_key == self.asset
        ]
        return {name: value.value for name, value in found.metadata.items()}

    def check(self, partition: str | None, name: str = "split_as_configured") -> tuple[bool, str]:
        """Return whether a check has passed at its newest outcome of a partition, and what it says; None for none."""
        wanted = None if partition is None else PartitionKeyFilter(key=partition)
        (record,) = self.instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(self.asset, name), limit=1, partition_filter=wanted
        )
        assert record.event is not None
        assert record.event.dagster_event is not None
        said = record.event.dagster_event.asset_check_evaluation_data.description or ""
        return record.status is AssetCheckExecutionRecordStatus.SUCCEEDED, said


@contextmanager
def project_in(folder: Path) -> Iterator[Project]:
    """Lay out a project, which is importable in the block."""
    project = Project(folder)
    project.lay_out()
    sys.path.insert(0, str(folder))
    try:
        yield project
    finally:
        sys.path.remove(str(folder))
        for loaded in [each for each in sys.modules if each.split(".")[0] == project.name]:
            del sys.modules[loaded]
