"""Bulk load: landing objects that are Parquet files with the record's fields as columns (rule E1).

Rows become the JSON lines that the same record would have landed as, and go through the same judgement: one contract,
whatever the format. `traits` and `metadata` may be structs or JSON text, `timestamp` a time,
epoch milliseconds or RFC 3339; text may be kept as bytes or by a dictionary. Row n of the file is line n.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
from polars.exceptions import PolarsError

from experiment_pipeline.domain.events import FIELDS
from experiment_pipeline.domain.texts import printable, shortened
from experiment_pipeline.domain.unknown_fields import likely_field
from experiment_pipeline.errors import StorageUnavailable
from experiment_pipeline.landing.object_errors import is_of_one_object, is_operating_system_error
from experiment_pipeline.landing.problems import Problem
from experiment_pipeline.landing.record_text import record_texts
from experiment_pipeline.landing.source_objects import CURSOR_COLUMN
from experiment_pipeline.storage.files import local_copy
from experiment_pipeline.storage.object_path import StoragePath

SLICE_ROWS = 100_000
REQUIRED = ("event", "identifier", "timestamp")
COLUMNS_NAMED = 20
NAME_SHOWN = 80  # characters of a column's name


class RowReader:
    """Reads one Parquet object.

    Once its rows are read, `problem` says what was wrong with it, if anything, with `detail`; `unknown_fields` has the
    rows of columns that rule E1 does not know.
    """

    def __init__(self, path: Path, timezone: ZoneInfo | None = None) -> None:
        self._path = path
        self._timezone = timezone
        self.problem: Problem | None = None
        self.detail = ""
        self.unknown_fields: dict[str, int] = {}

    def lines(self) -> Iterator[pl.DataFrame]:
        """Yield frames `line` (UInt32, from 1) and `text`, of up to `SLICE_ROWS`."""
        try:
            scan = pl.scan_parquet(self._path, hive_partitioning=False, glob=False)
            schema = scan.collect_schema()
            rows = scan.select(pl.len()).collect().item()
            if not rows:
                self.problem = Problem.EMPTY
            self._name_columns(list(schema), rows)
            columns = {name: schema[name] for name in FIELDS if name in schema}
            for start in range(0, rows, SLICE_ROWS):
                if columns:
                    frame = record_texts(scan.slice(start, SLICE_ROWS), columns, self._timezone)
                else:  # every row is rejected by itself all the same
                    frame = pl.DataFrame({"text": ["{}"] * min(SLICE_ROWS, rows - start)})
                yield frame.with_row_index("line", offset=start + 1)
        except FileNotFoundError:
            self.problem = Problem.MISSING
        except PolarsError as error:
            if is_operating_system_error(error):
                raise
            self.problem = Problem.NOT_PARQUET

    def _name_columns(self, names: list[str], rows: int) -> None:
        """Note the columns that are missing, and those that nobody reads."""
        self.unknown_fields = {name: rows for name in names if name not in (*FIELDS, CURSOR_COLUMN)}
        missing = [field for field in REQUIRED if field not in names]
        if rows and missing:
            self.problem = Problem.MISSING_COLUMNS
            self.detail = _columns(names, missing)


def read_cursors(source: StoragePath) -> Iterator[pl.DataFrame]:
    """Yield frames `line` (UInt32, from 1) and `source_cursor` (Int64, without nulls) of a source's object.

    Nothing of one that is gone, is no Parquet file, or whose rows do not supersede others (rule D7).
    """
    try:
        with local_copy(source) as path:
            scan = pl.scan_parquet(path, hive_partitioning=False, glob=False)
            if CURSOR_COLUMN not in scan.collect_schema():
                return
            rows = scan.select(pl.len()).collect().item()
            for start in range(0, rows, SLICE_ROWS):
                cursors = scan.select(pl.col(CURSOR_COLUMN).cast(pl.Int64)).slice(start, SLICE_ROWS).collect()
                yield cursors.with_row_index("line", offset=start + 1).drop_nulls()
    except FileNotFoundError:
        return
    except PolarsError as error:
        if is_operating_system_error(error):
            raise


def count_rows(source: StoragePath) -> int | None:
    """Return how many rows a Parquet file says that it has; None for one that is gone or cannot be asked.

    Reads the end of the file alone. Whoever reads the rows will meet the same error, and deals with it.
    """
    try:
        with local_copy(source) as path:
            return int(pl.scan_parquet(path, hive_partitioning=False, glob=False).select(pl.len()).collect().item())
    except StorageUnavailable:
        raise
    except BaseException as error:
        if is_of_one_object(error) or is_operating_system_error(error):
            return None
        raise


def _columns(names: list[str], missing: list[str]) -> str:
    """Return which columns are missing, which of the others are probably meant, and which there are."""
    meant = {likely_field(name, missing): name for name in reversed(names) if name not in FIELDS}
    lacks = [f"{field} (rename {_shown(meant[field])})" if field in meant else field for field in missing]
    has = [_shown(name) for name in names[:COLUMNS_NAMED]]
    more = [f"{len(names) - COLUMNS_NAMED:,} more"] if len(names) > COLUMNS_NAMED else []
    return f"it lacks {', '.join(lacks)}; it has {', '.join(has + more) or 'no columns'}"


def _shown(name: str) -> str:
    return printable(shortened(name, NAME_SHOWN))


if __name__ == "__main__":  # read one to its end, so that somebody else sees whether a process survives it
    for _ in RowReader(Path(sys.argv[1])).lines():
        pass
