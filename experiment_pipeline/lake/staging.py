"""One batch on its way into the lake: its objects' lines judged, hashed and deduplicated in DuckDB, then written."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from arro3.core import Table
from duckdb import DuckDBPyConnection

from experiment_pipeline.domain import events
from experiment_pipeline.domain.batches import LandedObject, PlannedBatch
from experiment_pipeline.domain.envelopes import decode_record, open_envelope
from experiment_pipeline.domain.events import Event, Reason, Rejected
from experiment_pipeline.durable_files import sql_text
from experiment_pipeline.lake.delta import BatchSummary, DataFile, Snapshot
from experiment_pipeline.landing.json_lines import LineReader, Problem
from experiment_pipeline.landing.layout import is_parquet
from experiment_pipeline.landing.parquet_rows import RowReader

sql = partial(sql_text, "experiment_pipeline.lake")
CHUNK_BYTES = 32 << 20  # of text judged by one statement
FIELDS = [  # in the order in which judge_lines.sql names them; the first is the record itself
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
CONTRACT = {
    "fields": FIELDS,
    "exposure_event": events.EXPOSURE_EVENT,
    "reserved_prefix": events.RESERVED_PREFIX,
    "name_limit": events.NAME_LIMIT,
    "value_limit": events.VALUE_LIMIT,
    "nesting_limit": events.NESTING_LIMIT,
    "oldest_ms": events.OLDEST_MS,
    "future_tolerance_ms": events.FUTURE_TOLERANCE // events.MILLISECOND,
}
REFUSED = {"object": pl.UInt32, "line": pl.UInt32, "position": pl.UInt32, "reason": pl.String, "record": pl.String}
ACCEPTED = {
    "object": pl.UInt32,
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


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the reading of a batch is, in bytes as stored."""

    batch: int
    done: int
    total: int

    def __str__(self) -> str:
        return f"batch {self.batch}: {self.done:,} of {self.total:,} bytes read"


OnProgress = Callable[[Progress], None]


class Staging:
    """The records of one batch, in temporary tables of a connection of its own."""

    def __init__(self, connection: DuckDBPyConnection, batch: PlannedBatch) -> None:
        self._connection = connection
        self._batch = batch
        self._objects = sorted(batch.objects, key=lambda landed: (landed.landed_at, landed.name))
        self._problems: dict[str, str] = {}
        self._environments: set[str] = set()
        connection.execute(sql("staging"))

    def read(self, landing: Path, environments: set[str], on_progress: OnProgress | None) -> None:
        """Judge every line of the batch's objects; those of other environments than the given are refused."""
        self._environments = environments
        self._load("objects", self._object_frame(environments))
        with ThreadPoolExecutor(max_workers=1) as reader:  # reads the next chunk while DuckDB judges this one
            chunks = self._chunks(landing, on_progress)
            upcoming = reader.submit(next, chunks, None)
            while (chunk := upcoming.result()) is not None:
                upcoming = reader.submit(next, chunks, None)
                self._judge(chunk)
        for (name,) in self._connection.execute(sql("objects_without_json")).fetchall():
            self._problems.setdefault(name, Problem.NOT_JSON)

    def deduplicate(self, lake: Snapshot) -> None:
        """Keep the first delivery of every event, unless the lake holds it already (rule E4)."""
        partitions = self._connection.execute("select distinct environment_key, month from staged").fetchall()
        files = [file for key, month in partitions for file in lake.files(key, {month})]
        self._connection.execute(sql("keep_first"))
        if files:
            self._connection.execute(sql("drop_known"), {"files": files})

    def summary(self) -> BatchSummary:
        """What the batch came to."""
        staged, kept = self._count("staged"), self._count("kept")
        reasons = self._connection.execute(
            "select reason, count(*) from refused group by reason order by reason"
        ).fetchall()
        return BatchSummary(
            accepted=kept,
            duplicates=staged - kept,
            rejected=dict(reasons),
            problems=dict(sorted(self._problems.items())),
        )

    def write_events(self, table: Snapshot) -> list[DataFile]:
        """One sorted file per partition."""
        partitions = self._connection.execute(sql("partitions")).fetchall()
        return [
            table.write(
                self._connection.sql(
                    sql("sorted_events"),
                    params={"environment_key": key, "month": month, "batch": self._batch.number},
                ),
                count,
                partition={"environment_key": key, "month": month},
                name=f"batch-{self._batch.number:08}",
            )
            for key, month, count in partitions
        ]

    def write_rejected(self, table: Snapshot) -> list[DataFile]:
        """One file, or none."""
        if not (count := self._count("refused")):
            return []
        rows = self._connection.sql(sql("rejected_records"), params={"batch": self._batch.number})
        return [table.write(rows, count, partition={}, name=f"batch-{self._batch.number:08}")]

    def _object_frame(self, environments: set[str]) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "object": range(len(self._objects)),
                "name": [landed.name for landed in self._objects],
                "environment_key": [landed.environment_key for landed in self._objects],
                "known": [landed.environment_key in environments for landed in self._objects],
                "landed_us": [_microseconds(landed.landed_at) for landed in self._objects],
            },
            schema_overrides={"object": pl.UInt32},
        )

    def _chunks(self, landing: Path, on_progress: OnProgress | None) -> Iterator[pl.DataFrame]:
        """Lines of as many objects as make up `CHUNK_BYTES` of text."""
        frames: list[pl.DataFrame] = []
        size = done = 0
        total = sum(landed.bytes for landed in self._objects)
        for number, landed in enumerate(self._objects):
            path = landing / landed.name
            reader = RowReader(path) if is_parquet(path.name) else LineReader(path)
            for frame in reader.lines():
                frames.append(frame.with_columns(object=pl.lit(number, pl.UInt32)))
                size += int(frame.estimated_size())
                if size >= CHUNK_BYTES:
                    yield pl.concat(frames, rechunk=False)
                    frames, size = [], 0
            if reader.problem is not None:
                self._problems[landed.name] = reader.problem
            done += landed.bytes
            if on_progress is not None:
                on_progress(Progress(self._batch.number, done, total))
        if frames:
            yield pl.concat(frames, rechunk=False)

    def _judge(self, lines: pl.DataFrame) -> None:
        """Sort one chunk of lines into `staged` and `refused`: the plain in SQL, the unclear by `events.parse`."""
        run = self._connection.execute
        self._load("lines", lines)
        run(sql("judge_lines"), CONTRACT)
        run(sql("refuse"), {"record_limit": events.RECORD_LIMIT})
        run(sql("count_decided"))
        run(sql("stage"))
        if unclear := run(sql("unclear")).fetchall():
            accepted, refused = self._settle(unclear)
            self._load("judged", accepted)
            run(sql("count_decided"))
            run(sql("stage"))
            self._load("settled", refused)
            run("insert into tallies select object, count(*) from settled group by object")
            run("insert into refused select * from settled")

    def _settle(self, unclear: list[tuple[int, int, int | None, str]]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Frames of the accepted and of the refused among records that SQL is not sure of."""
        accepted, refused = [], []
        for number, line, position, text in unclear:
            landed = self._objects[number]
            known = landed.environment_key in self._environments
            for place, verdict, record in _verdicts(text, position, landed, known=known):
                if isinstance(verdict, Rejected):
                    refused.append((number, line, place, verdict.reason, record))
                else:
                    accepted.append((number, *_row(verdict, landed)))
        return (
            pl.DataFrame(accepted, schema=ACCEPTED, orient="row").with_columns(
                is_plain=True, reason=pl.lit(None, pl.String)
            ),
            pl.DataFrame(refused, schema=REFUSED, orient="row"),
        )

    def _count(self, table: str) -> int:
        ((count,),) = self._connection.execute(f"select count(*) from {table}").fetchall()  # noqa: S608 - our own names
        return int(count)

    def _load(self, table: str, frame: pl.DataFrame) -> None:
        self._connection.register("loading", Table.from_arrow(frame))
        self._connection.execute(f"create or replace temp table {table} as select * from loading")  # noqa: S608 - our own names
        self._connection.unregister("loading")


def _verdicts(
    text: str, position: int | None, landed: LandedObject, *, known: bool
) -> Iterator[tuple[int | None, Event | Rejected, str]]:
    """Position, verdict and text of every record of a line; of the one record that SQL took from an envelope."""
    envelope = open_envelope(text) if position is None else None
    if envelope is None:
        yield position, _verdict(decode_record(text), landed, known=known), text[: events.RECORD_LIMIT]
        return
    for place, record in enumerate(envelope, start=1):
        verdict = _verdict(record, landed, known=known)
        yield place, verdict, events.record_text(record) if isinstance(verdict, Rejected) else ""


def _verdict(record: object, landed: LandedObject, *, known: bool) -> Event | Rejected:
    if not known:
        return Rejected(Reason.UNKNOWN_ENVIRONMENT)
    return events.parse(record, landed.environment_key, landed.landed_at)


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
