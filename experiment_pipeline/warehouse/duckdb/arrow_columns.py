"""Answers of DuckDB as NumPy columns."""

import math
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeAlias, TypeVar

import duckdb
import numpy as np
from arro3.core import RecordBatch, RecordBatchReader
from numpy.typing import NDArray

T = TypeVar("T")
Columns: TypeAlias = tuple[NDArray[Any], ...]
Batches: TypeAlias = Iterator[RecordBatch]

AHEAD = 32  # batches, of 122,880 rows at most, that are read before they are asked for: some 100 MB
PIECE = 1_000_000  # rows that are worked on in one go
NO_ROWS = np.empty(0, np.int64)


def batches(rows: duckdb.DuckDBPyRelation) -> Batches:
    """An answer, batch by batch while it is computed."""
    return iter(RecordBatchReader.from_stream(rows))


def columns(read: Batches) -> Columns:
    """All rows at once; where there are none, three empty columns."""
    return next(pieces(read, math.inf), (NO_ROWS,) * 3)


def pieces(read: Batches, at_least: float = PIECE) -> Iterator[Columns]:
    """The rows, so many at a time; nothing where there are none."""
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
    """The same, read by a thread of its own before it is asked for, a few at most."""
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
