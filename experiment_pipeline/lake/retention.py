"""Retention: months that are older than an environment keeps leave the lake, and rejected records with them (rule X8).

A commit takes all files of an environment's months that go, with their removals, and says in Delta's log from which
month on events are kept: an analysis whose window begins before is refused, and never reads too little. Links of
identities stay.
"""

from dataclasses import dataclass

from experiment_pipeline.domain.retention import Retention
from experiment_pipeline.errors import Conflict
from experiment_pipeline.lake.delta import EVENTS, REJECTED, DataFile, Snapshot
from experiment_pipeline.lake.dropped import keeping, kept_from_number
from experiment_pipeline.lake.judging import sql
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.partitions import LINKS, hidden_by, is_of_removals


@dataclass(frozen=True, slots=True)
class Expired:
    """Months of an environment that are over, and rejected records.

    Attributes:
        months: in their order.
        events: their rows.
        rejected: records.
    """

    environment_key: str
    months: tuple[str, ...]
    events: int
    rejected: int


def planned_expiry(lake: Lake, retention: Retention) -> Expired:
    """Return what `expire` would do."""
    key = retention.environment_key
    if lake.is_empty:
        return Expired(key, (), 0, 0)
    files = _over(Snapshot.open(lake.root, EVENTS), retention)
    months = sorted({hidden_by(file.partition["month"]) for file in files})
    events = sum(file.rows for file in files if not is_of_removals(file.partition["month"]))
    return Expired(key, tuple(months), events, sum(_rejected(lake, retention).values()))


def expire(lake: Lake, retention: Retention) -> Expired:
    """Take what is over out of the lake's present version; a vacuum deletes the files. Beside readers and writers."""
    planned = planned_expiry(lake, retention)
    while not lake.is_empty:
        table = Snapshot.open(lake.root, EVENTS)
        files = _over(table, retention)
        marks = keeping(table, retention.environment_key, retention.kept_from)
        if not (files or marks):
            break
        try:
            table.commit_rewrite(files, [], marks)
        except Conflict:
            continue
        break
    if planned.rejected:
        _expire_rejected(lake, retention)
    return planned


def _over(table: Snapshot, retention: Retention) -> list[DataFile]:
    return [
        file
        for file in table.data_files()
        if file.partition["environment_key"] == retention.environment_key
        and (month := hidden_by(file.partition["month"])) != LINKS
        and kept_from_number(month) < kept_from_number(retention.kept_from)
    ]


def _rejected(lake: Lake, retention: Retention) -> dict[str, int]:
    """Return how many rejected records of each file are over."""
    if not Snapshot.exists(lake.root, REJECTED):
        return {}
    table = Snapshot.open(lake.root, REJECTED)
    found = {}
    with lake.connect() as connection:
        for file in table.data_files():
            bound = {"files": [table.readable(file)], **_bound(retention)}
            kept = f"select count(*) from (\n{sql('rejected_in_keep')})"  # noqa: S608 - our own statement
            ((count,),) = connection.execute(kept, bound).fetchall()
            if count < file.rows:
                found[file.path] = file.rows - count
    return found


def _expire_rejected(lake: Lake, retention: Retention) -> None:
    """Rewrite the files that hold rejected records which are over."""
    while over := _rejected(lake, retention):
        table = Snapshot.open(lake.root, REJECTED)
        files = [file for file in table.data_files() if file.path in over]
        added = []
        try:
            with lake.writing(), lake.connect() as connection:
                for file in files:
                    bound = {"files": [table.readable(file)], **_bound(retention)}
                    if count := file.rows - over[file.path]:
                        rows = connection.sql(sql("rejected_in_keep"), params=bound)
                        name = f"merged-to-{file.newest_batch}" if file.batch is None else f"batch-{file.batch:08}"
                        added.append(table.write(rows, count, file.partition, name=name))
                table.commit_rewrite(files, added)
        except Conflict:
            continue


def _bound(retention: Retention) -> dict[str, object]:
    return {"environment_key": retention.environment_key, "before": retention.before}
