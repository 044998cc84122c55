"""Visible events: statements over what a data version sees of the lake, without the rows that were removed (rule E6).

Statements read the files of events as they are. Only where some rows of these months were ever removed is a statement
rewritten: elsewhere nothing is joined, and nothing costs more.
"""

from typing import Any, TypeAlias

from experiment_pipeline.domain.event_files import EventFiles
from experiment_pipeline.warehouse.duckdb.statements import statement

Parameters: TypeAlias = dict[str, Any]

STORED = "read_parquet($event_files, hive_partitioning = false)"  # how statements read events
REMOVALS = "removal_files"


def file_parameters(files: EventFiles) -> Parameters:
    """Return the parameters of statements that read these files."""
    return {"event_files": files.events} | ({REMOVALS: files.removals} if files.removals else {})


def over_visible(sql: str, parameters: Parameters) -> tuple[str, Parameters]:
    """Return a statement over the events that its data version sees, with its parameters.

    Args:
        sql: a statement that reads events `STORED`.
        parameters: all that it takes; with the files of removals where there are any.
    """
    if REMOVALS not in parameters:
        return sql, parameters
    return sql.replace(STORED, statement("visible_events")), parameters
