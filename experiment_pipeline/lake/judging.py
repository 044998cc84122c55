"""Judging lines: SQL accepts the records that plainly keep the contract, `events.parse` says the rest (docs/adr/0012).

What neither can judge, because the engine fails on it with an error that a line can cause, or this code does, is taken
apart until one line is left, and that line alone is rejected.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import structlog
from arro3.core import Table
from duckdb import DuckDBPyConnection

from experiment_pipeline.domain import events
from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.envelopes import decode_record, open_envelope
from experiment_pipeline.domain.events import Event, Reason, Rejected
from experiment_pipeline.domain.unknown_fields import NAME_KEPT, unknown_in
from experiment_pipeline.durable_files import sql_text
from experiment_pipeline.lake.partitions import LINKS
from experiment_pipeline.landing.source_objects import oldest_of, range_of

sql = partial(sql_text, "experiment_pipeline.lake")
log = structlog.get_logger(__name__)

FIELDS = [  # in the order in which judge_lines.sql asks for their types; the first is the record itself
    "$",
    "event",
    "feature_name",
    "identifier",
    "value",
    "traits",
    "metadata",
    "event_id",
    "environment_key",
    "timestamp",
]
DIGITS = 15  # a double keeps so many; a number with more, and a point among them, is written otherwise than it came
MANY_DIGITS = "|".join(f"[0-9]{{{whole}}}\\.[0-9]{{{DIGITS + 1 - whole},}}" for whole in range(1, DIGITS + 1))
CONTRACT = {
    "fields": FIELDS,
    "structure": json.dumps(dict.fromkeys(FIELDS[1:], "VARCHAR") | {"value": "JSON"}),  # a number's literal is kept
    "known_fields": list(events.FIELDS),
    "many_digits": f"{MANY_DIGITS}|[0-9]{{{DIGITS + 1},}}\\.[0-9]+",
    "exposure_event": events.EXPOSURE_EVENT,
    "link_event": events.LINK_EVENT,
    "reserved_prefix": events.RESERVED_PREFIX,
    "name_limit": events.NAME_LIMIT,
    "value_limit": events.VALUE_LIMIT,
    "nesting_limit": events.NESTING_LIMIT,
    "future_tolerance_ms": events.FUTURE_TOLERANCE // events.MILLISECOND,
}
# Polars looks for these in a quarter of the time that DuckDB takes. An envelope that begins otherwise is not plain.
IS_ENVELOPE = pl.col("text").str.contains(r'^\s*\{\s*"events"\s*:\s*\[')
MAY_HOLD_NAN = pl.col("text").str.contains("(?i)nan|inf")
# DuckDB's expressions are linear as they are, and know nothing possessive.
STAGED = {
    "numeric_value": events.NUMERIC_VALUE.pattern.replace("++", "+").replace("*+", "*"),
    "link_event": events.LINK_EVENT,
    "links": LINKS,
}
REJECTED = {"object": pl.UInt32, "line": pl.UInt32, "position": pl.UInt32, "reason": pl.String, "record": pl.String}
ACCEPTED = {
    "object": pl.UInt32,
    "line": pl.UInt32,
    "position": pl.UInt32,
    "environment_key": pl.String,
    "event": pl.String,
    "feature_name": pl.String,
    "identifier": pl.String,
    "value": pl.String,
    "timestamp_ms": pl.Int64,
    "traits": pl.String,
    "metadata": pl.String,
    "event_id": pl.String,
    "landed_us": pl.Int64,
}
# What a line can cause. Every other error (memory, the disk, an engine that is broken as a whole) ends the ingestion.
ERRORS_OF_A_LINE = (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException)
Undecided = tuple[int, int, int | None, str]  # object, line, position, text


class Judge:
    """Sorts the lines of a batch's objects into the tables `staged` and `rejected_rows` of a connection.

    objects:      what the numbers of the column `object` stand for
    environments: those that exist; records of others are rejected
    in_python:    leave every line to `events.parse`, because the engine has broken over one of them
    timezone:     of timestamps without one; without it they are rejected
    """

    def __init__(
        self,
        connection: DuckDBPyConnection,
        objects: Sequence[LandedObject],
        environments: Collection[str],
        *,
        in_python: bool = False,
        timezone: ZoneInfo | None = None,
    ) -> None:
        self._connection = connection
        self._objects = objects
        self._environments = environments
        self._in_python = in_python
        self._timezone = timezone
        load(connection, "objects", self._object_frame())

    def judge(self, lines: pl.DataFrame) -> None:
        """Judge a frame `object`, `line`, `text`; what the engine fails on is judged in halves, and line by line."""
        try:
            with _transaction(self._connection):
                self._decide_in_python(_whole(lines)) if self._in_python else self._decide(lines)
        except ERRORS_OF_A_LINE as error:
            if lines.height > 1:
                half = lines.height // 2
                self.judge(lines[:half])
                self.judge(lines[half:])
            else:
                self._judge_alone(lines, error)

    def judge_records(self, records: Sequence[Undecided]) -> None:
        """Judge records that were rejected before: one each, whatever line they came in."""
        try:
            with _transaction(self._connection):
                self._decide_in_python(records)
        except ERRORS_OF_A_LINE as error:
            if len(records) > 1:
                half = len(records) // 2
                self.judge_records(records[:half])
                self.judge_records(records[half:])
            else:
                self._warn(records[0][0], error)
                self.reject([(*records[0][:3], Reason.UNREADABLE_RECORD, records[0][3])])

    def reject(self, rows: Sequence[tuple[int, int, int | None, str, str]]) -> None:
        """Store rejected records: object, line, position, reason and text of each."""
        with _transaction(self._connection):
            self._store_rejected(pl.DataFrame(rows, schema=REJECTED, orient="row"))

    def _judge_alone(self, line: pl.DataFrame, error: duckdb.Error) -> None:
        """Judge the line that the engine has failed on."""
        try:
            with _transaction(self._connection):
                self._decide_in_python(_whole(line))
        except ERRORS_OF_A_LINE:
            self._warn(line.item(0, "object"), error)
            self.reject([(*row[:2], None, Reason.UNREADABLE_RECORD, row[3]) for row in _whole(line)])

    def _decide(self, lines: pl.DataFrame) -> None:
        run = self._connection.execute
        load(self._connection, "lines", lines.with_columns(is_envelope=IS_ENVELOPE, may_hold_nan=MAY_HOLD_NAN))
        run(sql("judge_lines"), CONTRACT)
        run(sql("reject"), {"record_limit": events.RECORD_LIMIT})
        run(sql("count_decided"))
        run(sql("count_unknown_fields"), {"name_kept": NAME_KEPT})
        run(sql("stage"), STAGED)
        if undecided := run(sql("undecided")).fetchall():
            self._decide_in_python(undecided)

    def _decide_in_python(self, undecided: Sequence[Undecided]) -> None:
        unknown: Counter[str] = Counter()
        accepted, rejected = self._verdicts(undecided, unknown)
        load(self._connection, "judged", accepted)
        self._connection.execute(sql("count_decided"))
        self._connection.execute(sql("stage"), STAGED)
        self._store_rejected(rejected)
        if unknown:
            self._connection.executemany("insert into unknown_fields values (?, ?)", list(unknown.items()))

    def _store_rejected(self, rejected: pl.DataFrame) -> None:
        load(self._connection, "decided", rejected)
        self._connection.execute("insert into record_counts select object, count(*) from decided group by object")
        self._connection.execute("insert into rejected_rows select * from decided")

    def _verdicts(self, undecided: Sequence[Undecided], unknown: Counter[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return frames of the accepted and of the rejected among records that SQL is not sure of; count `unknown`."""
        accepted, rejected = [], []
        for number, line, position, text in undecided:
            landed = self._objects[number]
            for place, verdict, record in self._verdicts_of_line(number, text, position, unknown):
                if isinstance(verdict, Rejected):
                    rejected.append((number, line, place, verdict.reason, record))
                else:
                    accepted.append((number, line, place, *_row(verdict, landed)))
        return (
            pl.DataFrame(accepted, schema=ACCEPTED, orient="row").with_columns(
                is_plain=True, reason=pl.lit(None, pl.String)
            ),
            pl.DataFrame(rejected, schema=REJECTED, orient="row"),
        )

    def _verdicts_of_line(
        self, number: int, text: str, position: int | None, unknown: Counter[str]
    ) -> list[tuple[int | None, Event | Rejected, str]]:
        landed = self._objects[number]
        try:
            is_known = landed.environment_key in self._environments
            judge = partial(verdict, landed, is_known=is_known, timezone=self._timezone)
            return list(_verdicts(text, position, judge, unknown))
        except Exception as error:
            if isinstance(error, OSError | MemoryError):
                raise
            self._warn(number, error)
            return [(position, Rejected(Reason.UNREADABLE_RECORD), text[: events.RECORD_LIMIT])]

    def _warn(self, number: int, error: Exception) -> None:
        name = self._objects[number].name
        log.warning("ingestion.record_set_aside", object=name, error=f"{type(error).__name__}: {error}")

    def _object_frame(self) -> pl.DataFrame:
        ranges = [range_of(landed.name) for landed in self._objects]
        return pl.DataFrame(
            {
                "object": range(len(self._objects)),
                "name": [landed.name for landed in self._objects],
                "environment_key": [landed.environment_key for landed in self._objects],
                "known": [landed.environment_key in self._environments for landed in self._objects],
                "landed_us": [_microseconds(landed.landed_at) for landed in self._objects],
                "source": [each and each.source for each in ranges],
                "source_version": [each and each.version for each in ranges],
                "oldest_ms": [events.epoch_milliseconds(oldest_of(landed.name)) for landed in self._objects],
            },
            schema={
                "object": pl.UInt32,
                "name": pl.String,
                "environment_key": pl.String,
                "known": pl.Boolean,
                "landed_us": pl.Int64,
                "source": pl.String,
                "source_version": pl.Int64,
                "oldest_ms": pl.Int64,
            },
        )


def load(connection: DuckDBPyConnection, table: str, frame: pl.DataFrame) -> None:
    """Put a frame into a temporary table of that name, in the place of one that there is."""
    connection.register("loading", Table.from_arrow(frame))
    connection.execute(f"create or replace temp table {table} as select * from loading")  # noqa: S608 - our own names
    connection.unregister("loading")


@contextmanager
def _transaction(connection: DuckDBPyConnection) -> Iterator[None]:
    """Keep nothing of a block that fails: what it has stored already would count twice."""
    connection.begin()
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):
            connection.rollback()
        raise
    connection.commit()


def _whole(lines: pl.DataFrame) -> list[Undecided]:
    return [(number, line, None, text) for number, line, text in lines.select("object", "line", "text").iter_rows()]


def verdict(landed: LandedObject, record: object, *, is_known: bool, timezone: ZoneInfo | None) -> Event | Rejected:
    """Return what a decoded record of an object is, or why it is rejected.

    Args:
        landed: the object.
        record: see `events.parse`.
        is_known: whether the object's environment exists.
        timezone: of timestamps without one.
    """
    if not is_known:
        return Rejected(Reason.UNKNOWN_ENVIRONMENT)
    oldest = oldest_of(landed.name)
    return events.parse(record, landed.environment_key, landed.landed_at, timezone, oldest=oldest)


def _verdicts(
    text: str, position: int | None, judge: Callable[[object], Event | Rejected], unknown: Counter[str]
) -> Iterator[tuple[int | None, Event | Rejected, str]]:
    """Position, verdict and text of every record of a line; of the one record that SQL took from an envelope."""
    envelope = open_envelope(text) if position is None else None
    if envelope is None:
        record = decode_record(text)
        unknown.update(unknown_in(record))
        yield position, judge(record), text[: events.RECORD_LIMIT]
        return
    for place, record in enumerate(envelope, start=1):
        unknown.update(unknown_in(record))
        found = judge(record)
        yield place, found, events.record_text(record) if isinstance(found, Rejected) else ""


def _row(event: Event, landed: LandedObject) -> tuple[Any, ...]:
    return (
        event.environment_key,
        event.event,
        event.feature_name,
        event.identifier,
        event.value,
        (event.timestamp - events.EPOCH) // events.MILLISECOND,
        event.traits,
        event.metadata,
        event.event_id,
        _microseconds(landed.landed_at),
    )


def _microseconds(moment: datetime) -> int:
    return (moment - events.EPOCH) // timedelta(microseconds=1)
