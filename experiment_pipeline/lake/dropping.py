"""Dropping: removed rows leave the files of the lake, with the removals that hide them (rule E6).

A removal hides rows from its batch on, and data versions before it still see them. Once nobody reads these any more,
one commit replaces all files of a partition, and of its removals, by files without both: every data version from the
limit on sees the same before and after. docs/adr/0055 says why a partition is written as a whole, and what keeps who
reads an earlier data version from reading too little.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from experiment_pipeline.errors import Conflict
from experiment_pipeline.lake.delta import EVENTS, DataFile, Snapshot
from experiment_pipeline.lake.dropped import dropping
from experiment_pipeline.lake.judging import sql
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.partitions import hidden_by, is_of_removals, removals_of


@dataclass(frozen=True, slots=True)
class Drop:
    """The removed rows of one partition that are to go.

    Attributes:
        environment_key: of the events.
        month: of their times, as partitions are named.
        rows: how many go.
        newest: the newest batch that has removed one of them.
        removals: how many removals of later batches stay.
        files: of the partition.
        removal_files: of its removals.
    """

    environment_key: str
    month: str
    rows: int
    newest: int
    removals: int
    files: tuple[DataFile, ...]
    removal_files: tuple[DataFile, ...]

    @property
    def partitions(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """The partitions of which every file is replaced, as (environment, month)."""
        return (self.environment_key, self.month), (self.environment_key, removals_of(self.month))


def planned_drops(lake: Lake, limit: int) -> list[Drop]:
    """Return what `drop_removed` would do.

    Args:
        lake: the lake.
        limit: the newest batch whose removals are over.
    """
    if lake.is_empty:
        return []
    with lake.connect() as connection:
        return _plan(connection, Snapshot.open(lake.root, EVENTS), limit)


def drop_removed(lake: Lake, limit: int, on_dropped: Callable[[Drop], None] | None = None) -> list[Drop]:
    """Drop the rows that batches up to a limit have removed; return what was dropped.

    Each partition is one commit, beside readers and ingestion, planned and committed on one snapshot. When another
    process replaces files first, it is planned anew.
    """
    done: list[Drop] = []
    if lake.is_empty:
        return done
    with lake.connect() as connection:
        while True:
            table = Snapshot.open(lake.root, EVENTS)
            drops = _plan(connection, table, limit)
            if not drops:
                return done
            try:
                with lake.writing():
                    _drop(connection, table, drops[0], limit)
            except Conflict:
                continue
            done.append(drops[0])
            if on_dropped is not None:
                on_dropped(drops[0])


def rows_by_removing_batch(lake: Lake) -> dict[int, int]:
    """Return how many removed rows the lake stores, by the batch that removed them; files that are missing left out."""
    if lake.is_empty:
        return {}
    table = Snapshot.open(lake.root, EVENTS)
    missing = table.missing_files()
    files = [file for file in table.data_files() if is_of_removals(file.partition["month"]) and file not in missing]
    with lake.connect() as connection:
        return _by_batch(connection, table, files)


def _plan(connection: DuckDBPyConnection, table: Snapshot, limit: int) -> list[Drop]:
    partitions: defaultdict[tuple[str, str], list[DataFile]] = defaultdict(list)
    for file in table.data_files():
        partitions[file.partition["environment_key"], file.partition["month"]].append(file)
    drops = []
    for (key, partition), removals in sorted(partitions.items()):
        if not is_of_removals(partition):
            continue
        rows = _by_batch(connection, table, removals)
        if over := [batch for batch in rows if batch <= limit]:
            month, going = hidden_by(partition), sum(rows[batch] for batch in over)
            files = tuple(partitions.get((key, month), ()))
            later = sum(rows.values()) - going
            drops.append(Drop(key, month, going, max(over), later, files, tuple(removals)))
    return drops


def _by_batch(connection: DuckDBPyConnection, table: Snapshot, files: list[DataFile]) -> dict[int, int]:
    if not files:
        return {}
    readable = [table.readable(file) for file in files]
    return dict(connection.execute(sql("removed_by_batch"), {"files": readable}).fetchall())


def _drop(connection: DuckDBPyConnection, table: Snapshot, drop: Drop, limit: int) -> None:
    removals = {"removals": [table.readable(file) for file in drop.removal_files], "limit": limit}
    events = {**removals, "files": [table.readable(file) for file in drop.files]}
    kept = [
        _write(connection, table, drop.files, "kept_events", events) if drop.files else None,
        _write(connection, table, drop.removal_files, "kept_removals", removals),
    ]
    replaced = [*drop.files, *drop.removal_files]
    marks = dropping(table, drop.environment_key, drop.month, drop.newest)
    table.commit_rewrite(replaced, [file for file in kept if file is not None], marks)


def _write(
    connection: DuckDBPyConnection,
    table: Snapshot,
    replaced: tuple[DataFile, ...],
    statement: str,
    parameters: Mapping[str, object],
) -> DataFile | None:
    """Write what is kept of files of one partition to a new one; None where that is nothing."""
    of_kept = sql(statement)
    ((count,),) = connection.execute(f"select count(*) from (\n{of_kept})", parameters).fetchall()  # noqa: S608 - ours
    if not count:
        return None
    newest = max(file.newest_batch for file in replaced)
    rows = connection.sql(of_kept, params=dict(parameters))
    return table.write(rows, count, replaced[0].partition, name=f"merged-to-{newest}")
