"""Inspection: the lake's partitions, and the records that it rejected last."""

from dataclasses import dataclass
from datetime import datetime

from experiment_pipeline.lake.compaction import plan_merges
from experiment_pipeline.lake.delta import EVENTS, REJECTED, Snapshot
from experiment_pipeline.lake.judging import sql
from experiment_pipeline.lake.lake import Lake


@dataclass(frozen=True, slots=True)
class Partition:
    """One month of one environment. `unmerged` files are those that compaction would merge now."""

    environment_key: str
    month: str
    events: int
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


def latest_rejected(lake: Lake, limit: int) -> list[RejectedRecord]:
    """Return the records that were rejected last, newest first, at most `limit` of them."""
    if lake.is_empty:
        return []
    if not (files := Snapshot.open(lake.root, REJECTED).all_files()):
        return []
    with lake.connect() as connection:
        rows = connection.execute(sql("latest_rejected"), {"files": files, "limit": limit}).fetchall()
    return [RejectedRecord(*row) for row in rows]


def partitions(lake: Lake, now: datetime) -> list[Partition]:
    """Return every month of every environment, of one version of the lake."""
    files = [] if lake.is_empty else Snapshot.open(lake.root, EVENTS).data_files()
    unmerged = {(merge.environment_key, merge.month): len(merge.files) for merge in plan_merges(files, now)}
    found = []
    for key, month in sorted({(file.partition["environment_key"], file.partition["month"]) for file in files}):
        members = [file for file in files if file.partition == {"environment_key": key, "month": month}]
        found.append(
            Partition(
                environment_key=key,
                month=month,
                events=sum(file.rows for file in members),
                files=len(members),
                bytes=sum(file.bytes for file in members),
                unmerged=unmerged.get((key, month), 0),
            )
        )
    return found
