"""Records of the rows of a source: each row gives one for every mapping (rules D0, D3)."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import polars as pl

from experiment_pipeline.domain.events import OLDEST, Rejected, decode, parse
from experiment_pipeline.domain.row_mapping import RowMapping
from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.landing.record_text import record_texts
from experiment_pipeline.sources.mapped_rows import NAME_THE_ZONE, Schema, check_schema, records, time_without_zone
from experiment_pipeline.sources.not_numbers import NotNumbers, not_numbers
from experiment_pipeline.sources.row_cursors import check_cursor, row_cursors

OnRows = Callable[[int], None]  # told after each batch how many rows it had
OnValues = Callable[[NotNumbers], None]  # told what of the values of some records is no number


@dataclass(frozen=True, slots=True)
class Judged:
    """The first records of a source, as JSON, how many of them are rejected, by reason (rule E3), and their values."""

    records: int
    first: tuple[str, ...]
    rejected: dict[str, int]
    not_numbers: NotNumbers


@dataclass(frozen=True, slots=True)
class RowRecords:
    """The records that rows become.

    Where a row has several mappings, one whose timestamp is null gives no record: that event has not happened.

    Attributes:
        mappings: of each row, by the field that they stand in, for messages.
        timezone: of times without one, in the IANA database; None where there are none.
        environment_key: of the events.
        empty_from: so many rows of which every one has null where an event must have something are refused.
        cursor: the column by which rows supersede earlier ones of their event id (rule D7); None where none does.
        oldest: the first day, in UTC, of which events are accepted; None for that of every sender.
    """

    mappings: dict[str, RowMapping]
    timezone: str | None
    environment_key: str
    empty_from: int = 1
    cursor: str | None = None
    oldest: date | None = None

    def check(self, schema: Schema) -> None:
        """Refuse columns that are missing, or of a type that their field cannot be made of.

        Raises:
            ConfigurationError: names every such field and what is allowed.
        """
        errors: dict[str, list[str]] = {}
        for path, mapping in self.mappings.items():
            try:
                check_schema(mapping, schema, self.timezone, path)
            except ConfigurationError as refused:
                errors |= refused.errors
        if errors:
            raise ConfigurationError(errors)
        if self.cursor is not None:
            check_cursor(self.cursor, schema)

    def of(
        self, batches: Iterable[pl.DataFrame], on_rows: OnRows, on_values: OnValues = lambda _: None
    ) -> Iterator[pl.DataFrame]:
        """Yield the records of rows, those of one batch and one mapping together.

        Args:
            batches: of the rows.
            on_rows: is told after each batch how many rows it had.
            on_values: is told which values of each frame are no numbers.

        Raises:
            ConfigurationError: a time has no zone, or every row of a column is null.
        """
        found: set[str] = set()
        read = 0
        for rows in batches:
            for frame, mapping in zip(self._of_batch(rows, self.cursor), self.mappings.values(), strict=True):
                on_values(not_numbers(frame, mapping))
                yield frame
            found |= {column for column, _ in self.required() if rows[column].null_count() < rows.height}
            read += rows.height
            on_rows(rows.height)
        if read >= self.empty_from:
            self._refuse_empty(found)

    def judge(self, rows: pl.DataFrame) -> Judged:
        """Return what ingestion will make of rows."""
        return self.judge_records(list(self._of_batch(rows)))

    def judge_records(self, frames: Sequence[pl.DataFrame]) -> Judged:
        """Return what ingestion will make of records: one frame for each mapping."""
        texts = [text for frame in frames for text in _texts(frame)]
        now = datetime.now(UTC)
        oldest = OLDEST if self.oldest is None else datetime.combine(self.oldest, time(), UTC)
        found = [parse(decode(text), self.environment_key, now, oldest=oldest) for text in texts]
        rejected = Counter(each.reason for each in found if isinstance(each, Rejected))
        unreadable = sum(map(not_numbers, frames, self.mappings.values()), NotNumbers())
        return Judged(len(texts), tuple(texts), dict(rejected), unreadable)

    def _of_batch(self, rows: pl.DataFrame, cursor: str | None = None) -> Iterator[pl.DataFrame]:
        for path, mapping in self.mappings.items():
            time = None if self.timezone else time_without_zone(rows, mapping)
            if time is not None:
                raise ConfigurationError.of(f"{path}.timestamp", f"{quoted(time)} has no time zone: {NAME_THE_ZONE}")
            at = mapping.timestamp.column
            happened = rows if len(self.mappings) == 1 or at is None else rows.filter(pl.col(at).is_not_null())
            made = records(happened, mapping, self.timezone)
            yield made if cursor is None else made.with_columns(row_cursors(happened, cursor, self.timezone))

    def required(self) -> Sequence[tuple[str, str]]:
        """Return the columns without which no row is an event, with their fields."""
        return [
            (column, f"{path}.{name}")
            for path, mapping in self.mappings.items()
            for name, column in mapping.required()
            if name != "timestamp" or len(self.mappings) == 1
        ]

    def _refuse_empty(self, found: set[str]) -> None:
        empty = {
            path: [f"Every row of column {quoted(column)} is empty."]
            for column, path in self.required()
            if column not in found
        }
        if empty:
            raise ConfigurationError(empty)


def _texts(frame: pl.DataFrame) -> list[str]:
    texts: list[str] = record_texts(frame.lazy(), dict(frame.schema))["text"].to_list()
    return texts
