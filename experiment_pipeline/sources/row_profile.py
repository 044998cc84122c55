"""Profile of the rows of a pull: columns, empty and repeated values, times of events, what will be rejected (rule D4).

It watches a pull, reads nothing itself, and its memory is bounded: counts that need all values are of the first rows.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

import polars as pl

from experiment_pipeline.domain.sources import RowsKind, Source
from experiment_pipeline.sources.column_types import in_words
from experiment_pipeline.sources.row_records import RowRecords
from experiment_pipeline.sources.source_rows import SourceRows

EXAMINED_ROWS = 1_000_000  # in which repeated rows are counted: 8 bytes each
JUDGED_ROWS = 1_000  # each record of these is parsed, as ingestion will


@dataclass(slots=True)
class RowProfile:
    """The profile of all ranges of one pull.

    Attributes:
        source: as it is declared.
        columns: of the last range, with their types; empty where nothing was read.
        rows: that were read.
        nulls: how many rows have nothing in a column without which they are no event, for columns that have some.
        oldest, newest: timestamp of the events that have happened by now, UTC; None where there is none.
        judged: records of the first rows.
        rejected: how many of these ingestion will reject, by reason (rule E3).
    """

    source: Source
    columns: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    nulls: Counter[str] = field(default_factory=Counter)
    oldest: datetime | None = None
    newest: datetime | None = None
    judged: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    _hashes: list[pl.Series] = field(default_factory=list)

    @property
    def examined(self) -> int:
        """The number of rows in which repeated ones are counted."""
        return sum(map(len, self._hashes))

    @property
    def repeated(self) -> int:
        """The number of examined rows that are there already: of the same event id, or else equal."""
        return self.examined - pl.concat(self._hashes).n_unique() if self._hashes else 0

    @property
    def is_by_event_id(self) -> bool:
        """Whether repeated rows are those with one event id, whatever else they hold; else they are equal."""
        return _event_ids(self.source) is not None

    def watch_rows(self, rows: SourceRows, records: RowRecords) -> Iterator[pl.DataFrame]:
        """Yield the batches of a range, each examined."""
        self.columns = {name: in_words(dtype) for name, dtype in rows.schema.items()}
        for batch in rows.batches():
            yield batch
            self._examine(batch, records)  # once the pull has accepted it

    def watch_records(self, frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Yield records, with the times of their events noted."""
        now = datetime.now(UTC)
        for frame in frames:
            at = pl.col("timestamp").cast(pl.String).str.to_datetime("%+", time_zone="UTC", strict=False)
            past = frame.select(at).filter(pl.col("timestamp") <= now)["timestamp"]
            oldest, newest = cast("datetime | None", past.min()), cast("datetime | None", past.max())
            self.oldest = min(filter(None, (self.oldest, oldest)), default=None)
            self.newest = max(filter(None, (self.newest, newest)), default=None)
            yield frame

    def _examine(self, batch: pl.DataFrame, records: RowRecords) -> None:
        for column in sorted({column for column, _ in records.required()}):
            if nulls := batch[column].null_count():
                self.nulls[column] += nulls
        if self.rows < JUDGED_ROWS:
            judged = records.judge(batch.head(JUDGED_ROWS - self.rows))
            self.judged += judged.records
            self.rejected.update(judged.rejected)
        if (left := EXAMINED_ROWS - self.examined) > 0:
            self._hashes.append(_hashes(batch.head(left), self.source))
        self.rows += batch.height


def _hashes(rows: pl.DataFrame, source: Source) -> pl.Series:
    """Return a hash of what makes each row one of its own; rows without an event id have none."""
    ids = _event_ids(source)
    if ids is None:
        read = {column for mapping in source.mappings for _, column in mapping.columns()}
        read |= {source.cursor.column} & set(rows.columns) if source.cursor else set()
        return rows.select(name for name in sorted(read) if not rows.schema[name].is_nested()).hash_rows()
    return rows.select(ids).drop_nulls().hash_rows()


def _event_ids(source: Source) -> list[str] | None:
    """Return the columns of event ids that are each row's own; None where rows have none, or come again corrected."""
    ids = {None if each.event_id is None else each.event_id.column for each in source.mappings}
    return None if None in ids or source.rows is RowsKind.LATEST else sorted(filter(None, ids))
