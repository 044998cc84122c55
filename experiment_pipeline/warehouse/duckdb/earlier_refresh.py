"""Earlier refreshes: whether the lake still lets what they saw be brought up to date (rules E6, D6)."""

from collections.abc import Callable
from typing import TypeAlias

import duckdb

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.event_files import EventFiles
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.errors import RowsDropped
from experiment_pipeline.warehouse.duckdb.arrow_columns import NO_ROWS, frame
from experiment_pipeline.warehouse.duckdb.entering_events import Known
from experiment_pipeline.warehouse.duckdb.population import Integers
from experiment_pipeline.warehouse.duckdb.statements import statement

FindEventFiles: TypeAlias = Callable[[str, Window, int], EventFiles]


def files_found_once(find: FindEventFiles) -> FindEventFiles:
    """Return the same, asking the lake once for all windows of the same months: several experiments ask for a batch."""
    found: dict[tuple[object, ...], EventFiles] = {}

    def find_once(environment_key: str, window: Window, data_version: int) -> EventFiles:
        months = [(at.year, at.month) for at in (window.started_at, window.as_of)]
        key = (environment_key, *months, data_version)
        if key not in found:
            found[key] = find(environment_key, window, data_version)
        return found[key]

    return find_once


def obstacle(event_files: FindEventFiles, scope: AnalysisScope, known: Known) -> str | None:
    """Return why what an earlier refresh saw cannot be brought up to a scope; None where it can.

    Args:
        event_files: finds the lake's files.
        scope: of the present analysis; its window begins where the earliest events are read.
        known: what the earlier refresh had seen.
    """
    try:
        event_files(scope.environment_key, scope.window, known.data_version)
    except RowsDropped:
        return "rows that the state counts were dropped from the lake"
    if event_files(scope.environment_key, scope.window, scope.data_version).links:
        return "identities of the environment are linked"
    return None


def identities_of_removed(
    connection: duckdb.DuckDBPyConnection, event_files: FindEventFiles, scope: AnalysisScope, known: Known
) -> Integers:
    """Return the hashes, sorted, of the identities that have lost rows since an earlier refresh.

    Rows that a source has corrected or superseded are among the removed ones (rule E6). The arguments are those of
    `obstacle`.
    """
    files = event_files(scope.environment_key, scope.window, scope.data_version)
    if not files.removals:
        return NO_ROWS
    bound = {"files": files.removals, "known": known.data_version, "data_version": scope.data_version}
    return frame(connection.sql(statement("removed_since"), params=bound))["identity_hash"].to_numpy()
