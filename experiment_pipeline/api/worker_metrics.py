"""Metrics of several worker processes: each keeps its own in files of one folder, and any of them answers with the sum.

prometheus_client decides when it is imported where its values are kept: the server's process sets the folder for the
workers that it starts, and never counts anything itself.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from experiment_pipeline.domain.notifications import DeliveryState
from experiment_pipeline.errors import RegistryUnavailable
from experiment_pipeline.registry.refresh_costs import RefreshCost

FOLDER = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def shared_metrics() -> Iterator[None]:
    """Have the processes that are started meanwhile keep their metrics in one folder, which ends with them."""
    with TemporaryDirectory(prefix="experiment-pipeline-metrics-") as folder:
        before = os.environ.get(FOLDER)
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[FOLDER]
            else:
                os.environ[FOLDER] = before


class OldestUnlanded(Collector):
    """Gauge of the landing zone, whoever writes in it: read from the disk, so that every worker says the same."""

    def __init__(self, age: Callable[[], timedelta]) -> None:
        self._age = age

    def collect(self) -> Iterable[Metric]:
        """Return the age in seconds."""
        seconds = self._age().total_seconds()
        yield GaugeMetricFamily("events_oldest_unlanded_seconds", "Age of the oldest line not visible yet.", seconds)


class PublicationsWaiting(Collector):
    """Gauge of the outbox of the tables of looks, which is one for all workers; nothing while the registry is away."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._waiting = waiting

    def collect(self) -> Iterable[Metric]:
        """Return how many there are."""
        with suppress(RegistryUnavailable):
            text = "Publications that are not in the tables of all looks yet."
            yield GaugeMetricFamily("table_publications_waiting", text, self._waiting())


class NotificationDeliveries(Collector):
    """Gauge of the registry's deliveries of notifications, by target and state; without a value while it is away."""

    def __init__(self, count: Callable[[], Mapping[tuple[str, DeliveryState], int]]) -> None:
        self._count = count

    def collect(self) -> Iterable[Metric]:
        """Return the numbers."""
        help_text = "Deliveries of notifications that the registry keeps, by target and state."
        gauge = GaugeMetricFamily("notification_deliveries", help_text, labels=["target", "state"])
        with suppress(RegistryUnavailable):
            for (target, state), count in self._count().items():
                gauge.add_metric([target, state.value], count)
        yield gauge


class RefreshesComputed(Collector):
    """Counters of refreshes by asset: how they were computed, what they read and saved, and what is kept (rule I1)."""

    def __init__(self, costs: Callable[[], Sequence[RefreshCost]]) -> None:
        self._costs = costs

    def collect(self) -> Iterable[Metric]:
        """Return the numbers of all experiments; without values while the registry is away."""
        ways = CounterMetricFamily("refreshes", "Refreshes, by how they were computed.", labels=["asset", "refresh"])
        rows = CounterMetricFamily("refresh_rows_read", "Rows that refreshes have read.", labels=["asset"])
        saved = GaugeMetricFamily(
            "refresh_seconds_saved", "Seconds that incremental ones have saved.", labels=["asset"]
        )
        state = GaugeMetricFamily("refresh_state_bytes", "Size of the states that are kept.", labels=["asset"])
        with suppress(RegistryUnavailable):
            for cost in self._costs():
                ways.add_metric([cost.asset, "incremental"], cost.incremental)
                ways.add_metric([cost.asset, "full"], cost.full)
                rows.add_metric([cost.asset], cost.rows_read)
                saved.add_metric([cost.asset], cost.seconds_saved)
                state.add_metric([cost.asset], cost.state_bytes)
        yield from (ways, rows, saved, state)


def exposition(own: CollectorRegistry, *common: Collector) -> bytes:
    """Return the metrics as Prometheus reads them: of all workers where there are several, else of this process.

    Args:
        own: counters and histograms of this process.
        common: what is the same in every process, and no sum.
    """
    registry = CollectorRegistry()
    if folder := os.environ.get(FOLDER):
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    else:
        registry.register(own)
    for each in common:
        registry.register(each)
    return generate_latest(registry)
