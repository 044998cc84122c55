"""Lakes without events: DuckDB refuses an empty list of files, so an empty one is read."""

import duckdb

from experiment_pipeline.domain.event_files import EventFiles
from experiment_pipeline.storage.files import readable, replacing
from experiment_pipeline.storage.object_path import StoragePath
from experiment_pipeline.warehouse.duckdb.statements import statement

NO_EVENTS = "no_events"  # the statement
EMPTY_LAKE = "empty_lake"  # its file


def no_event_files(connection: duckdb.DuckDBPyConnection, folder: StoragePath) -> EventFiles:
    """Return a file without rows, which is written at the first time."""
    path = folder / f"{EMPTY_LAKE}.parquet"
    if not path.exists():
        with replacing(path) as temporary:
            connection.execute(statement(NO_EVENTS), {"target": str(temporary)})
    return EventFiles([readable(path)])
