"""Rows of a DuckDB query as NumPy columns, or as a frame."""

import math
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeAlias, TypeVar

import duckdb
import numpy as np
import polars as pl
from arro3.core import RecordBatch, RecordBatchReader, Table
from numpy.typing import NDArray

T = TypeVar("T")
Columns: TypeAlias = tuple[NDArray[Any], ...]
Batches: TypeAlias = Iterator[RecordBatch]

AHEAD = 32  # batches, of 122,880 rows at most, that are read before they are asked for: some 100 MB
PIECE = 200_000  # rows that are worked on in one go: two batches, whose arrays fit the processor's cache
ERROR_KINDS = {"IO": duckdb.IOException, "HTTP": duckdb.HTTPException, "Out of Memory": duckdb.OutOfMemoryException}
NO_ROWS = np.empty(0, np.int64)


def batches(rows: duckdb.DuckDBPyRelation) -> Batches:
    """Yield a query's rows, batch by batch while it is computed.

    Raises:
        duckdb.Error: reading failed midway.
    """
    with raising_duckdb_errors():
        yield from RecordBatchReader.from_stream(rows)


def frame(rows: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """Return a query's rows as a frame.

    Through arro3, which deltalake brings: a frame that Polars takes from DuckDB's own stream keeps DuckDB's types
    alive, and the interpreter then ends with a page of leak warnings.

    Raises:
        duckdb.Error: reading failed midway.
    """
    with raising_duckdb_errors():
        return pl.DataFrame(Table.from_arrow(rows))


@contextmanager
def raising_duckdb_errors() -> Iterator[None]:
    """Raise an error that came through an Arrow stream as DuckDB's own.

    Arrow's C interface hands on a text alone, and arro3 raises it as a plain `Exception`. DuckDB's texts begin with the
    kind: `C Data interface error: IO Error: Cannot open file "a.parquet": No such file or directory`.
    """
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise _duckdb_error(str(error)) from error


def _duckdb_error(text: str) -> duckdb.Error:
    for kind, error in ERROR_KINDS.items():
        if f"{kind} Error: " in text:
            return error(text)
    return duckdb.Error(text)


def columns(read: Batches, number: int) -> Columns:
    """Return all rows at once, in so many columns; where there are none, these are empty."""
    return next(pieces(read, math.inf), (NO_ROWS,) * number)


def pieces(read: Batches, at_least: float = PIECE) -> Iterator[Columns]:
    """Yield the rows as columns, at least so many rows at a time but for the last; nothing where there are none."""
    while piece := _take(read, at_least):
        yield tuple(
            np.concatenate([batch.column(column).to_numpy() for batch in piece])
            for column in range(piece[0].num_columns)
        )


def _take(read: Batches, at_least: float) -> list[RecordBatch]:
    taken: list[RecordBatch] = []
    rows = 0
    while rows < at_least and (batch := next(read, None)) is not None:
        taken.append(batch)
        rows += batch.num_rows
    return taken


def ahead(read: Iterator[T]) -> Generator[T, None, None]:
    """Yield the same, read by a thread of its own before it is asked for, at most `AHEAD` of them."""
    reader = ThreadPoolExecutor(1)

    def ask() -> Future[list[T]]:
        return reader.submit(lambda: list(islice(read, 1)))

    asked = deque(ask() for _ in range(AHEAD))
    try:
        while found := asked.popleft().result():
            asked.append(ask())
            yield from found
    finally:
        reader.shutdown(cancel_futures=True)
