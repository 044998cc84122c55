"""Planning: which of the objects that have landed are the next batch (rules E7, D5).

A batch is staged as a whole, so its weight is the memory that its records take there, and not what its objects take as
they are stored: a gigabyte of records may be a few megabytes of Parquet.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.lake.reading_mark import ReadingMark
from experiment_pipeline.landing.layout import is_gzip, is_parquet
from experiment_pipeline.landing.parquet_rows import count_rows
from experiment_pipeline.landing.source_objects import range_of
from experiment_pipeline.storage.object_path import StoragePath

BATCH_WEIGHT = 256 << 20  # bytes, as `Weights` has them: an ingestion of such batches stays below 1 GiB
ROW_WEIGHT = 320  # bytes: of a short record's columns, its two hashes, and its share of what sorts and joins
TEXT_TIMES = 2  # lines of 150 to 250 bytes take about as much as such a row
PACKED_TIMES = 16  # events are packed to some 20 bytes, by gzip and in Parquet; repeated rows to less than two

Weigh = Callable[[LandedObject], int]


class Weights:
    """About how many bytes of memory the records of each object take.

    The rows of a Parquet file are asked of the file, under the mark that names what is being read: a damaged one may
    take the process with it. One that a process has died over, or that says nothing, is weighed by its size.
    """

    def __init__(self, landing: StoragePath, mark: ReadingMark) -> None:
        self._landing = landing.absolute()  # Polars takes a leading ~ of a relative path for a home directory
        self._mark = mark

    def __call__(self, landed: LandedObject) -> int:
        """Return the weight of an object."""
        if is_parquet(landed.name):
            return max(landed.bytes * PACKED_TIMES, self._rows(landed.name) * ROW_WEIGHT)
        return landed.bytes * (PACKED_TIMES if is_gzip(landed.name) else TEXT_TIMES)

    def _rows(self, name: str) -> int:
        if self._mark.is_suspect(name):
            return 0
        with self._mark.reading(name):
            return count_rows(self._landing / name) or 0


def oldest(unknown: Sequence[LandedObject], weigh: Weigh) -> list[LandedObject]:
    """Return the objects of the next batch: at least one, and of others as many as `BATCH_WEIGHT` allows.

    A range that replaces what its source has brought (rule D5) is a batch of its own, whatever its size, after all that
    landed before its last object: what the source brought by then leaves, and nothing that it brings later.

    Args:
        unknown: the objects that no batch holds.
        weigh: is asked of the objects of the batch, and of the one after them.
    """
    replacing: defaultdict[str, list[LandedObject]] = defaultdict(list)
    groups: list[tuple[bool, list[LandedObject]]] = []
    for landed in unknown:
        found = range_of(landed.name)
        if found is not None and found.replaces:
            replacing[f"{found.environment_key}/{found.source}/{found.name}"].append(landed)
        else:
            groups.append((False, [landed]))
    groups += [(True, group) for group in replacing.values()]
    groups.sort(key=lambda group: max((landed.landed_at, landed.name) for landed in group[1]))
    chosen: list[LandedObject] = []
    weight = 0
    for replaces, group in groups:
        if chosen and replaces:
            break
        weight += 0 if replaces else sum(map(weigh, group))
        if chosen and weight > BATCH_WEIGHT:
            break
        chosen += group
        if replaces:
            break
    return chosen
