"""Scans of events: DuckDB reads them in a thread of its own, and they are tallied meanwhile."""

from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import duckdb
from arro3.core import RecordBatch

from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.durable_files import sql_text
from experiment_pipeline.warehouse.duckdb.arrow_columns import Batches, ahead, batches, columns, pieces
from experiment_pipeline.warehouse.duckdb.tally import OF_VALUES, Moments, Population, Tally

statement = partial(sql_text, "experiment_pipeline.warehouse.duckdb")
ANALYSED_IDENTITIES, MEASURED_EVENTS = "analysed_identities", "measured_events"


@dataclass(frozen=True, slots=True)
class Measure:
    """Metrics of one event and conversion window: the events are read once for all of them."""

    event: str
    window_us: int | None
    metrics: tuple[Metric, ...]

    @property
    def with_values(self) -> bool:
        """Whether any of them needs the events' values."""
        return any(metric.aggregation in OF_VALUES for metric in self.metrics)


def measures(metrics: Iterable[Metric]) -> list[Measure]:
    """Return the metrics grouped by event and window: metrics of one group read the same events."""
    sharing: defaultdict[tuple[str, timedelta | None], list[Metric]] = defaultdict(list)
    for metric in metrics:
        sharing[metric.event_names[0], metric.window].append(metric)
    return [
        Measure(event, None if window is None else window // timedelta(microseconds=1), tuple(members))
        for (event, window), members in sharing.items()
    ]


@dataclass(frozen=True, slots=True)
class EventScan:
    """One scan of the events of identities whose hashes lie in a range.

    Attributes:
        exposures: parameters of the statement that reads the identities.
        events: parameters of the statement that reads their events, but for the event's name.
        variants: their keys; the position of a key is the number of its arm.
    """

    connection: duckdb.DuckDBPyConnection
    exposures: dict[str, Any]
    events: dict[str, Any]
    variants: list[str]

    def moments(self, measures: Sequence[Measure]) -> dict[tuple[int, str], Moments]:
        """Return the moments of every metric in every variant, by metric id and variant."""
        found: dict[tuple[int, str], Moments] = {}
        with closing(self._answers(measures)) as answers, closing(ahead(answers)) as read:
            identity_hash, first_exposed_at, arm = columns(_until_end(read))
            population = Population(identity_hash, first_exposed_at, arm, len(self.variants))
            for measure in measures:
                tally = Tally.of(population, measure.window_us)
                for piece in pieces(_until_end(read)):
                    tally.add(*piece)
                for metric in measure.metrics:
                    moments = tally.moments(metric.measures[0].aggregation)
                    found |= {(metric.id, variant): of for variant, of in zip(self.variants, moments, strict=True)}
        return found

    def _answers(self, measures: Sequence[Measure]) -> Generator[RecordBatch | None, None, None]:
        """Yield the identities, and then the events of each measure; None ends each of them."""
        with self.connection.cursor() as cursor:
            exposures = {**self.exposures, "variants": self.variants}
            yield from batches(cursor.sql(statement(ANALYSED_IDENTITIES), params=exposures))
            yield None
            for measure in measures:
                events = cursor.sql(statement(MEASURED_EVENTS), params={**self.events, "event": measure.event})
                yield from batches(events.select(*(events.columns if measure.with_values else events.columns[:2])))
                yield None


def _until_end(read: Iterator[RecordBatch | None]) -> Batches:
    return iter(partial(next, read), None)
