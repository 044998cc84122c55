"""Bulk load: landing objects that are Parquet files with the record's fields as columns (rule E1).

Rows become the JSON lines that the same record would have landed as, and go through the same judgement: one contract,
whatever the format. `traits` and `metadata` may be structs or JSON text, `timestamp` a time (UTC where it has no zone),
epoch milliseconds or RFC 3339; text may be kept as bytes or by a dictionary. Row n of the file is line n.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from experiment_pipeline.landing.object_errors import is_operating_system_error
from experiment_pipeline.landing.problems import Problem
from experiment_pipeline.landing.record_text import FIELDS, record_texts

SLICE_ROWS = 100_000


class RowReader:
    """Reads one Parquet object; once its rows are read, `problem` says what was wrong with it, if anything."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem: Problem | None = None

    def lines(self) -> Iterator[pl.DataFrame]:
        """Yield frames `line` (UInt32, from 1) and `text`, of up to `SLICE_ROWS`."""
        try:
            scan = pl.scan_parquet(self._path, hive_partitioning=False, glob=False)
            schema = scan.collect_schema()
            rows = scan.select(pl.len()).collect().item()
            if not rows:
                self.problem = Problem.EMPTY
            columns = {name: schema[name] for name in FIELDS if name in schema}
            for start in range(0, rows, SLICE_ROWS):
                frame = record_texts(scan.slice(start, SLICE_ROWS), columns)
                yield frame.with_row_index("line", offset=start + 1)
        except FileNotFoundError:
            self.problem = Problem.MISSING
        except PolarsError as error:
            if is_operating_system_error(error):
                raise
            self.problem = Problem.NOT_PARQUET


if __name__ == "__main__":  # read one to its end, so that somebody else sees whether a process survives it
    for _ in RowReader(Path(sys.argv[1])).lines():
        pass
