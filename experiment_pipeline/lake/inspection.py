"""Inspection: the lake's partitions, and the records that it rejected last."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from duckdb import DuckDBPyConnection

from experiment_pipeline.domain.batches import RejectedRows
from experiment_pipeline.lake.compaction import plan_merges
from experiment_pipeline.lake.delta import EVENTS, REJECTED, DataFile, Snapshot
from experiment_pipeline.lake.judging import load, sql
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.partitions import is_of_removals, removals_of

Retried = Sequence[tuple[str, RejectedRows]]


@dataclass(frozen=True, slots=True)
class Partition:
    """One month of one environment, with its removals.

    `unmerged` files are those that compaction would merge now; `removed` events are among `events`, and hidden from the
    batch that removed them on (rule E6).
    """

    environment_key: str
    month: str
    events: int
    removed: int
    files: int
    bytes: int
    unmerged: int


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record that broke the events contract. `position` is its place in the line's envelope; None without one."""

    landed_at: datetime
    environment_key: str
    object: str
    line: int
    position: int | None
    reason: str
    record: str


def latest_rejected(lake: Lake, retried: Retried, limit: int, reason: str | None = None) -> list[RejectedRecord]:
    """Return the records that were rejected last and not taken in again, newest first, at most `limit` of them.

    Args:
        lake: the lake.
        retried: which rejected records were taken in again, by the names of their objects.
        limit: at most so many.
        reason: those of this reason alone; `bad_type` is every `bad_type:<name>`.
    """
    with standing_rejected(lake, retried) as connection:
        if connection is None:
            return []
        rows = connection.execute(sql("latest_rejected"), {"limit": limit, "reason": reason}).fetchall()
    return [RejectedRecord(*row) for row in rows]


@contextmanager
def standing_rejected(lake: Lake, retried: Retried) -> Iterator[DuckDBPyConnection | None]:
    """Open a connection with the view `standing`: rejected records that were not taken in again; None without any."""
    files = [] if lake.is_empty else Snapshot.open(lake.root, REJECTED).all_files()
    if not files:
        yield None
        return
    rows = [(name, each.batch, each.reason) for name, each in retried]
    schema = {"object": pl.String, "batch": pl.Int64, "reason": pl.String}
    with lake.connect() as connection:
        load(connection, "retried", pl.DataFrame(rows, schema=schema, orient="row"))
        listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
        connection.execute(sql("standing_rejected").replace("$files", f"[{listed}]"))  # a view takes no parameters
        yield connection


def partitions(lake: Lake, now: datetime) -> list[Partition]:
    """Return every month of every environment, of one version of the lake."""
    files = [] if lake.is_empty else Snapshot.open(lake.root, EVENTS).data_files()
    unmerged = {(merge.environment_key, merge.month): len(merge.files) for merge in plan_merges(files, now)}
    found = []
    members_of: defaultdict[tuple[str, str], list[DataFile]] = defaultdict(list)
    for file in files:
        members_of[file.partition["environment_key"], file.partition["month"]].append(file)
    for key, month in sorted(members_of):
        if is_of_removals(month):
            continue
        members, removals = members_of[key, month], members_of.get((key, removals_of(month)), [])
        found.append(
            Partition(
                environment_key=key,
                month=month,
                events=sum(file.rows for file in members),
                removed=sum(file.rows for file in removals),
                files=len(members) + len(removals),
                bytes=sum(file.bytes for file in [*members, *removals]),
                unmerged=unmerged.get((key, month), 0) + unmerged.get((key, removals_of(month)), 0),
            )
        )
    return found
