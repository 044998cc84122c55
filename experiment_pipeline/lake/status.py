"""What the lake holds, partition by partition."""

from dataclasses import dataclass
from datetime import datetime

from experiment_pipeline.lake.compaction import plan_merges
from experiment_pipeline.lake.tables import EVENTS, Lake, Snapshot


@dataclass(frozen=True, slots=True)
class Partition:
    """One month of one environment. `unmerged` files are those that compaction would merge now."""

    environment_key: str
    month: str
    events: int
    files: int
    bytes: int
    unmerged: int


def partitions(lake: Lake, now: datetime) -> list[Partition]:
    """Every month of every environment, of one version of the lake."""
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
