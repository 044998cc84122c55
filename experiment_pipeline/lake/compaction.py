"""Compaction: many small files of a month become few large ones, sorted the way analysis reads them.

Every batch leaves one small sorted file in each month it touches. Files of about the same size, `FAN_IN` of them, are
merged into one of the next tier, so a row is rewritten once per tier and not once per batch; a month that is over is
merged whole, at last. Rows stay what they are: readers and data versions cannot tell the difference (rule E6).

Files of recent batches are merged among themselves alone, so that a refresh that reads what is new leaves out the files
of what is older by their names (rule I3).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from experiment_pipeline.errors import Conflict
from experiment_pipeline.lake.delta import EVENTS, DataFile, Snapshot
from experiment_pipeline.lake.judging import sql
from experiment_pipeline.lake.lake import Lake

FAN_IN = 4  # files of one tier that become one of the next
FIRST_TIER_ROWS = 100_000  # the smallest tier is up to here, each next one FAN_IN times larger
SEPARABLE_FOR = timedelta(days=1)  # recent batches: several refreshes, of experiments that are refreshed every hour
SETTLED_AFTER = timedelta(days=2)  # a month that has been over for so long is merged whole: few events are later


@dataclass(frozen=True, slots=True)
class Merge:
    """Files of one partition that are to become one."""

    environment_key: str
    month: str
    files: tuple[DataFile, ...]

    @property
    def rows(self) -> int:
        """The number of rows to sort."""
        return sum(file.rows for file in self.files)


def tier(file: DataFile) -> int:
    """Return a file's tier: 0 for a fresh one, one more each time that a file is FAN_IN times as large."""
    level, limit = 0, FIRST_TIER_ROWS
    while file.rows > limit:
        level, limit = level + 1, limit * FAN_IN
    return level


def plan_merges(
    files: Iterable[DataFile],
    now: datetime,
    *,
    whole: bool = False,
    settle: bool = True,
    recent_after: int | None = None,
) -> list[Merge]:
    """Return the merges to make now, at most one per partition, and one of its recent batches.

    A merge takes every file up to the highest tier that is full, the smaller ones included.

    Args:
        files: of one version of the lake.
        now: tells which months are over.
        whole: merge every partition into one file.
        settle: merge a month that is over into one file, whatever its tiers.
        recent_after: files with later batches are merged among themselves; None for no such distinction. `whole`
            merges all.
    """
    partitions: dict[tuple[str, str, bool], list[DataFile]] = defaultdict(list)
    for file in files:
        is_recent = recent_after is not None and not whole and file.newest_batch > recent_after
        partitions[file.partition["environment_key"], file.partition["month"], is_recent].append(file)
    merges = []
    for (key, month, _), members in sorted(partitions.items()):
        is_over = settle and month < (now - SETTLED_AFTER).strftime("%Y-%m")
        chosen = members if whole or is_over else _full_tiers(members)
        if len(chosen) > 1:
            merges.append(Merge(key, month, tuple(sorted(chosen, key=lambda file: file.path))))
    return merges


def planned(lake: Lake, now: datetime, *, whole: bool = False, recent_after: int | None = None) -> list[Merge]:
    """Return the merge that `compact` would make first in each partition."""
    if lake.is_empty:
        return []
    files = Snapshot.open(lake.root, EVENTS).data_files()
    return plan_merges(files, now, whole=whole, recent_after=recent_after)


def compact(
    lake: Lake,
    now: datetime,
    *,
    whole: bool = False,
    settle: bool = True,
    recent_after: int | None = None,
    on_merged: Callable[[Merge], None] | None = None,
) -> list[Merge]:
    """Merge until `plan_merges` finds nothing more; return what was merged.

    Each merge is one commit, beside readers and ingestion, planned and committed on one snapshot. When another
    compaction commits first, the merge is planned anew; the file written for it is removed by the next vacuum.
    """
    done: list[Merge] = []
    if lake.is_empty:
        return done
    while True:
        table = Snapshot.open(lake.root, EVENTS)
        merges = plan_merges(table.data_files(), now, whole=whole, settle=settle, recent_after=recent_after)
        if not merges:
            return done
        try:
            with lake.writing():
                _merge(lake, table, merges[0])
        except Conflict:
            continue
        done.append(merges[0])
        if on_merged is not None:
            on_merged(merges[0])


def _merge(lake: Lake, table: Snapshot, merge: Merge) -> None:
    partition = {"environment_key": merge.environment_key, "month": merge.month}
    with lake.connect() as connection:
        rows = connection.sql(sql("merge_files"), params={"files": [table.readable(file) for file in merge.files]})
        newest = max(file.newest_batch for file in merge.files)
        merged = table.write(rows, merge.rows, partition, name=f"merged-to-{newest}")
    table.commit_rewrite(merge.files, [merged])


def _full_tiers(files: list[DataFile]) -> list[DataFile]:
    tiers = defaultdict(list)
    for file in files:
        tiers[tier(file)].append(file)
    highest = max((level for level, members in tiers.items() if len(members) >= FAN_IN), default=-1)
    return [file for level, members in tiers.items() if level <= highest for file in members]
