"""Dropped rows: as of which data versions partitions can no longer be read, as Delta's log says it (rule E6).

Each commit that drops removed rows of a partition says, as transactions of applications of their own, the newest batch
that had removed one of them: of the partition, and of the whole table, which saves asking for each partition.
"""

from collections.abc import Iterable

from experiment_pipeline.errors import RowsDropped
from experiment_pipeline.lake.delta import Snapshot
from experiment_pipeline.lake.partitions import LINKS

DROPPING = "experiment-pipeline/dropping"
KEEPING = "experiment-pipeline/keeping"  # the first month that an environment keeps, as a number: 202603


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
        RowsDropped: says by which batch they had been removed, or from which month on events are kept (X8).
    """
    months = list(months)
    kept_from = table.transaction(f"{KEEPING}/{environment_key}")
    if data_version and any(kept_from_number(month) < kept_from for month in months if month != LINKS):
        raise RowsDropped(
            f"Events of {environment_key} before {kept_from // 100:04}-{kept_from % 100:02} are gone: the environment "
            "keeps them for a limited time (`keep`), and the window begins earlier."
        )
    if not 0 < data_version < table.transaction(DROPPING):
        return
    for month in months:
        if data_version < (newest := newest_dropped(table, environment_key, month)):
            raise RowsDropped(
                f"Data version {data_version} cannot be read any more: the lake has dropped rows of {environment_key} "
                f"{month} that batch {newest} or an earlier one had removed. Later data versions do not have them."
            )


def kept_from_number(month: str) -> int:
    """Return a month, as partitions are named, as a number that grows with it."""
    return int(month.replace("-", ""))


def keeping(table: Snapshot, environment_key: str, kept_from: str) -> dict[str, int]:
    """Return the transaction of a commit that drops an environment's months before one; empty if it says so already."""
    application, number = f"{KEEPING}/{environment_key}", kept_from_number(kept_from)
    return {application: number} if number > table.transaction(application) else {}


def _application(environment_key: str, month: str) -> str:
    return f"{DROPPING}/{environment_key}/{month}"
