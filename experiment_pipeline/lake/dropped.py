"""Dropped rows: as of which data versions partitions can no longer be read, as Delta's log says it (rule E6).

Each commit that drops removed rows of a partition says, as transactions of applications of their own, the newest batch
that had removed one of them: of the partition, and of the whole table, which saves asking for each partition.
"""

from collections.abc import Iterable

from experiment_pipeline.errors import RowsDropped
from experiment_pipeline.lake.delta import Snapshot

DROPPING = "experiment-pipeline/dropping"


def newest_dropped(table: Snapshot, environment_key: str, month: str) -> int:
    """Return the newest batch of which removed rows of a partition were dropped; 0 for none."""
    return table.transaction(_application(environment_key, month))


def dropping(table: Snapshot, environment_key: str, month: str, newest: int) -> dict[str, int]:
    """Return the transactions of a commit that drops rows of a partition, removed by batches up to the newest."""
    return {
        application: max(newest, table.transaction(application))
        for application in (DROPPING, _application(environment_key, month))
    }


def require_whole(table: Snapshot, data_version: int, environment_key: str, months: Iterable[str]) -> None:
    """Refuse a data version of which rows of these partitions may have been dropped; 0, which sees none, is whole.

    Raises:
        RowsDropped: says by which batch they had been removed.
    """
    if not 0 < data_version < table.transaction(DROPPING):
        return
    for month in months:
        if data_version < (newest := newest_dropped(table, environment_key, month)):
            raise RowsDropped(
                f"Data version {data_version} cannot be read any more: the lake has dropped rows of {environment_key} "
                f"{month} that batch {newest} or an earlier one had removed. Later data versions do not have them."
            )


def _application(environment_key: str, month: str) -> str:
    return f"{DROPPING}/{environment_key}/{month}"
