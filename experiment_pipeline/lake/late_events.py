"""Late events: ingestion counts what arrives for results that are final already (rule R6).

Every final experiment has a mark, the newest batch that is counted for it. It is counted on from there wherever a month
of its window has newer rows, so a batch that is retried, or taken up after a kill, counts once.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC
from typing import Any, Protocol

from duckdb import DuckDBPyConnection

from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.domain.late_events import FinalResults, LateEvents
from experiment_pipeline.lake.delta import EVENTS, DataFile, Snapshot
from experiment_pipeline.lake.judging import sql
from experiment_pipeline.lake.lake import Lake, months

WATCHED = ("positions", "events", "features", "starts", "ends")
Months = Mapping[tuple[str, str], Sequence[DataFile]]  # files by environment and month


class LateEventStore(Protocol):
    """Which results are final, and how many late events each has: kept by the registry."""

    def final_results(self) -> Sequence[FinalResults]:
        """Return the final results for which batches may not have been counted yet."""

    def metric_events(self, results: Sequence[FinalResults]) -> Sequence[Collection[str]]:
        """Return the names of the events that the metrics of each phase measure, in the order of the results."""

    def add_late_events(self, counted: FinalResults, counted_to: int, late: LateEvents) -> bool:
        """Add late events, and move the mark; return whether it was still where it was when they were counted."""


def count_late_events(lake: Lake, store: LateEventStore) -> list[FinalResults]:
    """Count the events that came for final results and are not counted yet; return the results that have new ones.

    Costs one query of the registry where nothing is final, and nothing of the lake where no final window has new rows.
    """
    final = store.final_results()
    if not final or lake.is_empty:
        return []
    table = Snapshot.open(lake.root, EVENTS)
    files = _by_month(table.data_files())
    groups: dict[tuple[int, tuple[str, ...]], list[FinalResults]] = defaultdict(list)
    for results in final:
        if new := _new_files(results, files):
            groups[results.counted_to, tuple(table.readable(file) for file in new)].append(results)
    found = []
    for (counted_to, paths), members in groups.items():
        batches = {"counted_to": counted_to, "newest": table.batch}
        with lake.connect() as connection:
            late = _count(connection, {"files": list(paths), **batches, **_watched(members, store)})
        for position, results in enumerate(members):
            number = late.get(position, LateEvents())
            if store.add_late_events(results, table.batch, number) and number:
                found.append(results)
    return found


def _by_month(files: Sequence[DataFile]) -> Months:
    found: dict[tuple[str, str], list[DataFile]] = defaultdict(list)
    for file in files:
        found[file.partition["environment_key"], file.partition["month"]].append(file)
    return found


def _new_files(results: FinalResults, files: Months) -> list[DataFile]:
    """Return the files of the window's months that hold rows of batches after the mark."""
    of_window = (files.get((results.environment_key, month), ()) for month in months(results.window))
    return [file for month in of_window for file in month if file.newest_batch > results.counted_to]


def _watched(members: Sequence[FinalResults], store: LateEventStore) -> dict[str, list[object]]:
    """Return the events to look for as columns: the exposures of each results' experiment, and its metrics' events."""
    columns: dict[str, list[object]] = {name: [] for name in WATCHED}
    for position, (results, names) in enumerate(zip(members, store.metric_events(members), strict=True)):
        of_metrics = [(name, None) for name in sorted(names)]
        for event, feature in [(EXPOSURE_EVENT, results.feature), *of_metrics]:
            row = (position, event, feature, results.window.started_at, results.window.as_of)
            for name, value in zip(WATCHED, row, strict=True):
                columns[name].append(value)
    return columns


def _count(connection: DuckDBPyConnection, parameters: dict[str, Any]) -> dict[int, LateEvents]:
    """Return the late events by the position of the results, which have the same mark and the same files."""
    rows = connection.execute(sql("late_events"), parameters).fetchall()
    return {
        position: LateEvents(exposures, others, landed.astimezone(UTC)) for position, exposures, others, landed in rows
    }
