"""The real engine, whose calls fail when a test says so."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg
import duckdb

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.resources.warehouse import WarehouseResource
from experiment_pipeline.warehouse.base import Capabilities, WantedAggregates, Warehouse
from tests.assets.conftest import Installation

VACUUMED = 'IO Error: Cannot open file "merged-1.parquet": No such file or directory'


@dataclass
class Faults:
    """Faults to raise, by the engine's method and the partition: each call takes the next fault; none left, it works.

    calls: method and partition, in order
    """

    warehouse: WarehouseResource
    next: dict[tuple[str, str], list[Callable[[], BaseException]]] = field(default_factory=lambda: defaultdict(list))
    calls: list[tuple[str, str]] = field(default_factory=list)

    def add(self, method: str, partition_key: str, *faults: Callable[[], BaseException]) -> None:
        self.next[method, partition_key].extend(faults)

    def engine(self, url: ConnectionUrl | None = None) -> Any:
        """As `WarehouseResource.engine`."""
        return _FailingEngine(self, self.warehouse.engine(url))


@dataclass
class _FailingEngine:
    faults: Faults
    real: Warehouse

    @property
    def capabilities(self) -> Capabilities:
        offered = self.real.capabilities
        return replace(offered, health_inputs=self, look_comparison=self, shared_scan=self)

    @contextmanager
    def sharing(self, analyses: Sequence[WantedAggregates]) -> Iterator["_FailingEngine"]:
        assert self.real.capabilities.shared_scan is not None
        with self.real.capabilities.shared_scan.sharing(analyses) as shared:
            yield _FailingEngine(self.faults, shared)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(scope: Any, *arguments: Any, **named: Any) -> Any:
            called = method, getattr(scope, "partition_key", scope)
            self.faults.calls.append(called)
            if self.faults.next[called]:
                fault = self.faults.next[called].pop(0)
                raise fault()
            return getattr(self.real, method)(scope, *arguments, **named)

        return call


def vacuumed() -> Exception:
    """A file that was there when the lake was listed."""
    return duckdb.IOException(VACUUMED)


def bug() -> Exception:
    return ZeroDivisionError("a bug")


def with_faults(installation: Installation) -> Faults:
    """The installation's definitions over a failing engine."""
    before = installation.definitions
    real = (before.resources or {})["warehouse"]
    assert isinstance(real, WarehouseResource)
    faults = Faults(real)
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
