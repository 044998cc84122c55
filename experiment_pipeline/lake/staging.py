"""One batch on its way into the lake: its objects' lines judged, hashed and deduplicated in DuckDB, then written."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import polars as pl
from duckdb import DuckDBPyConnection

from experiment_pipeline.domain import events
from experiment_pipeline.domain.batches import PlannedBatch
from experiment_pipeline.domain.delivered_records import EnvironmentCounts
from experiment_pipeline.domain.erasures import ErasedIdentities
from experiment_pipeline.domain.events import Reason
from experiment_pipeline.domain.unknown_fields import NAME_KEPT, NAMES_KEPT, UnknownFields
from experiment_pipeline.lake.batch_commits import BatchSummary
from experiment_pipeline.lake.delta import DataFile, Snapshot
from experiment_pipeline.lake.erased import drop_erased
from experiment_pipeline.lake.judging import REJECTED, Judge, load, sql
from experiment_pipeline.lake.reading_mark import ReadingMark
from experiment_pipeline.lake.removing import Removing
from experiment_pipeline.landing.layout import is_parquet
from experiment_pipeline.landing.object_reader import ObjectReader
from experiment_pipeline.landing.parquet_rows import read_cursors
from experiment_pipeline.landing.problems import Problem
from experiment_pipeline.landing.source_objects import range_of
from experiment_pipeline.storage.object_path import StoragePath

CHUNK_BYTES = 64 << 20  # of text judged by one statement
CHUNK_LINES = 2 * 122_880  # judged by one statement: DuckDB's threads take that many each, and there are two at least
CHUNK_ROWS = 20_000  # rejected records judged at once
SOURCES = {"object": pl.UInt32, "name": pl.String, "batch": pl.Int64, "reason": pl.String}
UNKNOWN_ERROR = "It could not be read when its batch was begun."


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

    def __init__(self, connection: DuckDBPyConnection, batch: PlannedBatch, mark: ReadingMark) -> None:
        self._connection = connection
        self._batch = batch
        self._mark = mark
        self._objects = sorted(batch.objects, key=lambda landed: (landed.landed_at, landed.name))
        self._problems: dict[str, str] = {}
        self._set_aside: dict[str, str] = {}
        self._unknown_columns: Counter[str] = Counter()
        self._delivered: Counter[str] = Counter()  # staged records by environment, outdated ones included
        self._taken: list[tuple[str, str, int]] = []
        self._removing: Removing | None = None
        self._erased = 0
        self._timezone = ZoneInfo(batch.timezone) if batch.timezone else None
        connection.execute(sql("staging"))

    def read(
        self,
        landing: StoragePath,
        environments: Collection[str],
        on_progress: OnProgress | None,
        *,
        rejected: Sequence[str] = (),
        set_aside: Collection[str] = (),
        in_python: bool = False,
    ) -> None:
        """Judge every line of the batch's objects, or once more what was rejected of them, where that is the batch.

        Args:
            landing: root of the landing zone.
            environments: those that exist; records of others are rejected.
            on_progress: is told after each object.
            rejected: the files of the table of rejected records.
            set_aside: objects that could not be read when the batch was begun before, and are stored as such already.
            in_python: judge no line in SQL, because the engine has broken over one of them.
        """
        if any(landed.retried for landed in self._objects):
            self._take_in(rejected)
            return
        judge = Judge(self._connection, self._objects, environments, in_python=in_python, timezone=self._timezone)
        with ThreadPoolExecutor(max_workers=1) as reader:  # reads the next chunk while DuckDB judges this one
            chunks = self._chunks(landing, on_progress)
            upcoming = reader.submit(next, chunks, None)
            while (chunk := upcoming.result()) is not None:
                upcoming = reader.submit(next, chunks, None)
                judge.judge(chunk)
        for (name,) in self._connection.execute(sql("objects_without_json")).fetchall():
            self._problems.setdefault(name, Problem.NOT_JSON)
        self._reject_objects(dict.fromkeys(set_aside, UNKNOWN_ERROR) | self._set_aside)
        self._read_cursors(landing)

    @property
    def set_aside(self) -> Set[str]:
        """The names of the objects that this reading has set aside."""
        return self._set_aside.keys()

    def leave_out(self, erased: ErasedIdentities) -> None:
        """Drop the records of erased identities that are dated, or arrived, before the erasure (rule E6)."""
        self._erased += drop_erased(self._connection, erased)

    def deduplicate(self, lake: Snapshot, *, without_missing: bool = False) -> None:
        """Keep the first delivery of every event, unless the lake holds it already (rule E4).

        Args:
            lake: what the batch is compared with.
            without_missing: leave out files of the lake that are not there, so that their events come in again.
        """
        of_sources = any(range_of(landed.name) for landed in self._objects)
        self._connection.execute(sql("staged_rows_of_sources" if of_sources else "staged_rows"))
        self._removing = Removing(
            self._connection,
            self._batch,
            lake,
            has_cursors=of_sources and self._count("cursors") > 0,
            without_missing=without_missing,
        )
        of_environments = "select environment_key, count(*) from staged group by environment_key"
        self._delivered.update(dict(self._connection.execute(of_environments).fetchall()))
        self._removing.find()
        partitions = self._connection.execute("select distinct environment_key, month from staged").fetchall()
        self._connection.execute(sql("keep_first"))
        self._removing.drop_known(partitions)

    def summary(self) -> BatchSummary:
        """Return the counts of the batch."""
        accepted = self._count("accepted_rows")
        reasons = self._connection.execute(
            "select reason, count(*) from rejected_rows group by reason order by reason"
        ).fetchall()
        unknown = self._unknown_fields()
        return BatchSummary(
            accepted=accepted,
            duplicates=self._delivered.total() - accepted,
            rejected=dict(reasons),
            problems=dict(sorted(self._problems.items())),
            unknown_fields=dict(unknown.records),
            unknown_names=unknown.count,
            removed=self._removing.count if self._removing else 0,
            by_environment=self._by_environment(),
            erased=self._erased,
        )

    def _by_environment(self) -> dict[str, EnvironmentCounts]:
        """Return the counts of each environment that the batch has objects or records of, in order of their keys."""
        counts = {
            key: EnvironmentCounts(accepted=0, duplicates=self._delivered[key], rejected={}, retried={})
            for key in sorted({landed.environment_key for landed in self._objects} | self._delivered.keys())
        }
        for key, _, accepted in self._connection.execute(sql("partitions")).fetchall():
            counts[key]["accepted"] += accepted
            counts[key]["duplicates"] -= accepted
        of_objects = "select object, reason, count(*) from rejected_rows group by all order by all"
        for number, reason, records in self._connection.execute(of_objects).fetchall():
            rejected = counts[self._objects[number].environment_key]["rejected"]
            rejected[reason] = rejected.get(reason, 0) + records
        for key, reason, records in self._taken:
            counts[key]["retried"][reason] = records
        return counts

    def write_events(self, table: Snapshot, of: Collection[tuple[str, str]] | None = None) -> list[DataFile]:
        """Write one sorted file per partition, and one for each that rows leave.

        Args:
            table: to whose folder.
            of: the partitions, as (environment, month), that are written at all; None for every one.
        """
        partitions = self._connection.execute(sql("partitions")).fetchall()
        removals = self._removing.write(table, of) if self._removing else []
        return removals + [
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
            if of is None or (key, month) in of
        ]

    def write_rejected(self, table: Snapshot) -> list[DataFile]:
        """Write the rejected records to one file; no file if there are none."""
        if not (count := self._count("rejected_rows")):
            return []
        rows = self._connection.sql(sql("rejected_records"), params={"batch": self._batch.number})
        return [table.write(rows, count, partition={}, name=f"batch-{self._batch.number:08}")]

    def _take_in(self, rejected: Sequence[str]) -> None:
        """Judge records once more; their environments existed when the batch was planned."""
        environments = {landed.environment_key for landed in self._objects}
        judge = Judge(self._connection, self._objects, environments, timezone=self._timezone)
        sources = [
            (number, landed.name, landed.retried.batch, landed.retried.reason)
            for number, landed in enumerate(self._objects)
            if landed.retried is not None
        ]
        load(self._connection, "sources", pl.DataFrame(sources, schema=SOURCES, orient="row"))
        self._connection.execute(sql("taken_rows"), {"files": list(rejected)})
        self._taken = self._connection.execute(sql("taken_by_environment")).fetchall()
        for start in range(0, self._count("taken_rows"), CHUNK_ROWS):
            some = "select * from taken_rows where rowid >= $start and rowid < $start + $rows order by rowid"
            rows = self._connection.execute(some, {"start": start, "rows": CHUNK_ROWS}).fetchall()
            # What was stored as a part cannot be judged: it stays rejected for what it was.
            cut = [(*row[:3], row[4], row[3]) for row in rows if len(row[3]) >= events.RECORD_LIMIT]
            judge.reject(cut)
            judge.judge_records([row[:4] for row in rows if len(row[3]) < events.RECORD_LIMIT])

    def _chunks(self, landing: StoragePath, on_progress: OnProgress | None) -> Iterator[pl.DataFrame]:
        """Yield the lines of consecutive objects, in chunks of up to `CHUNK_LINES` and about `CHUNK_BYTES` of text."""
        frames: list[pl.DataFrame] = []
        lines = size = done = 0
        total = sum(landed.bytes for landed in self._objects)
        for number, landed in enumerate(self._objects):
            reader = ObjectReader(landing, landed.name, self._timezone)
            for frame in self._lines(reader):
                if frames and (lines + frame.height > CHUNK_LINES or size >= CHUNK_BYTES):
                    yield pl.concat(frames, rechunk=False)
                    frames, lines, size = [], 0, 0
                frames.append(frame.with_columns(object=pl.lit(number, pl.UInt32)))
                lines += frame.height
                size += int(frame.estimated_size())
            if reader.problem is not None:
                self._problems[landed.name] = reader.problem
            self._unknown_columns.update(reader.unknown_fields)
            if reader.error is not None:
                self._set_aside[landed.name] = reader.error
            done += landed.bytes
            if on_progress is not None:
                on_progress(Progress(self._batch.number, done, total))
        if frames:
            yield pl.concat(frames, rechunk=False)

    def _lines(self, reader: ObjectReader) -> Iterator[pl.DataFrame]:
        """Yield an object's lines; a Parquet file's are read under a mark, for it may take the process with it."""
        if not is_parquet(reader.name):
            yield from reader.lines()
        elif crash := self._mark.crash(reader.name, reader.path):
            reader.set_aside(crash)
        else:
            frames = reader.lines()
            while (frame := self._read_marked(reader.name, frames)) is not None:
                yield frame

    def _read_marked(self, name: str, frames: Iterator[pl.DataFrame]) -> pl.DataFrame | None:
        """Return the next frame; the mark stands only while it is read, and not while others work on it."""
        with self._mark.reading(name):
            return next(frames, None)

    def _read_cursors(self, landing: StoragePath) -> None:
        """Load the cursors of the rows that supersede earlier ones (rule D7)."""
        for number, landed in enumerate(self._objects):
            if not is_parquet(landed.name) or range_of(landed.name) is None or landed.name in self._set_aside:
                continue
            for frame in read_cursors(landing.absolute() / landed.name):
                of_object = frame.select(pl.lit(number, pl.UInt32).alias("object"), "line", "source_cursor")
                load(self._connection, "more_cursors", of_object)
                self._connection.execute("insert into cursors select * from more_cursors")

    def _reject_objects(self, errors: dict[str, str]) -> None:
        """Store one row, of line 0, for every object that could not be read to its end (rule E3)."""
        rows = [
            (number, 0, None, Reason.UNREADABLE_OBJECT, errors[landed.name][: events.RECORD_LIMIT])
            for number, landed in enumerate(self._objects)
            if landed.name in errors
        ]
        load(self._connection, "decided", pl.DataFrame(rows, schema=REJECTED, orient="row"))
        self._connection.execute("insert into rejected_rows select * from decided")
        self._problems |= dict.fromkeys(errors, Problem.UNREADABLE)

    def _unknown_fields(self) -> UnknownFields:
        """Return what records hold beside the fields of rule E1, of lines and of columns."""
        columns = [(name[:NAME_KEPT], rows) for name, rows in self._unknown_columns.items()]
        if columns:
            self._connection.executemany("insert into unknown_fields values (?, ?)", columns)
        found = self._connection.execute(sql("most_unknown_fields"), {"names_kept": NAMES_KEPT}).fetchall()
        return UnknownFields(found[0][2] if found else 0, {name: records for name, records, _ in found})

    def _count(self, table: str) -> int:
        ((count,),) = self._connection.execute(f"select count(*) from {table}").fetchall()  # noqa: S608 - our own names
        return int(count)
