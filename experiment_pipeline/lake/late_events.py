"""Late events: ingestion counts what arrives for, or leaves, results that are final already (rules R6, E6).

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
from experiment_pipeline.lake.partitions import removals_of

WATCHED = ("positions", "events", "features", "starts", "ends")
Paths = tuple[str, ...]
Months = Mapping[tuple[str, str], Sequence[DataFile]]  # files by environment and month


class LateEventStore(Protocol):
    """Which results are final, and how many late events each has: kept by the registry."""

    def final_results(self) -> Sequence[FinalResults]:
        """Return the final results for which batches may not have been counted yet."""

    def metric_events(self, results: Sequence[FinalResults]) -> Sequence[Collection[str]]:
        """Return the names of the events that the metrics of each phase measure, in the order of the results."""

    def add_late_events(self, counted: FinalResults, counted_to: int, late: LateEvents) -> bool:
        """Add late events, and move the mark; return whether it was still where it was when they were counted."""


def count_late_events(lake: Lake, store: LateEventStore) -> dict[FinalResults, LateEvents]:
    """Count the events that came for final results, or left them, and are not counted yet; return the new ones.

    Costs one query of the registry where nothing is final, and nothing of the lake where no final window has new rows.
    """
    final = store.final_results()
    if not final or lake.is_empty:
        return {}
    table = Snapshot.open(lake.root, EVENTS)
    files = _by_month(table.data_files())
    groups: dict[tuple[int, Paths, Paths], list[FinalResults]] = defaultdict(list)
    for results in final:
        changed, removals = _changed_files(results, files)
        if changed:
            paths, removed = (tuple(table.readable(file) for file in each) for each in (changed, removals))
            groups[results.counted_to, paths, removed].append(results)
    found = {}
    for (counted_to, paths, removed), members in groups.items():
        parameters = {"files": list(paths), "counted_to": counted_to, "newest": table.batch}
        parameters |= {"removal_files": list(removed)} if removed else {}
        with lake.connect() as connection:
            late = _count(connection, parameters | _watched(members, store))
        for position, results in enumerate(members):
            number = late.get(position, LateEvents())
            if store.add_late_events(results, table.batch, number) and number:
                found[results] = number
    return found


def _by_month(files: Sequence[DataFile]) -> Months:
    found: dict[tuple[str, str], list[DataFile]] = defaultdict(list)
    for file in files:
        found[file.partition["environment_key"], file.partition["month"]].append(file)
    return found


def _changed_files(results: FinalResults, files: Months) -> tuple[Sequence[DataFile], Sequence[DataFile]]:
    """Return the files of the window's months that hold rows of batches after the mark, and none of removals.

    Where such batches removed events, too, all files of these months, and all of their removals.
    """
    window = months(results.window)
    of_months, of_removals = (
        [file for name in names for file in files.get((results.environment_key, name), ())]
        for names in (window, [removals_of(month) for month in window])
    )
    if any(file.newest_batch > results.counted_to for file in of_removals):
        return of_months, of_removals
    return [file for file in of_months if file.newest_batch > results.counted_to], ()


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
    statement = sql("late_changes" if "removal_files" in parameters else "late_events")
    rows = connection.execute(statement, parameters).fetchall()
    return {
        position: LateEvents(exposures, others, None if landed is None else landed.astimezone(UTC), *removed)
        for position, exposures, others, landed, *removed in rows
    }
