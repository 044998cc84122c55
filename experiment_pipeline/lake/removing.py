"""Removing: the rows of the lake that a batch hides, while older data versions still see them (rules E6, D5, D7).

What leaves is said by rows of the table `events` itself, in a partition beside that of the month: a row there hides the
rows with its hash of earlier batches. So one commit adds and removes, and whatever holds for files of events holds for
these: they are missed, read again, merged and backed up like others. docs/adr/0047 says why.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from glob import escape
from typing import Any

from duckdb import DuckDBPyConnection

from experiment_pipeline.domain.batches import LandedObject, PlannedBatch
from experiment_pipeline.lake.delta import DataFile, Snapshot
from experiment_pipeline.lake.judging import sql
from experiment_pipeline.lake.partitions import is_of_removals, partition_of, removals_of
from experiment_pipeline.landing.source_objects import range_of

REMOVAL_EVENT = "$removal"  # the name of such a row: no sender's event begins with `$`


class Removing:
    """The rows that one batch removes, in temporary tables of its connection.

    There are none, and nothing is asked of the lake, for a batch that removes nothing and meets no removal.
    """

    def __init__(
        self,
        connection: DuckDBPyConnection,
        batch: PlannedBatch,
        lake: Snapshot,
        *,
        has_cursors: bool,
        without_missing: bool,
    ) -> None:
        """Remember what the batch is, and what it is compared with.

        Args:
            connection: that the batch's records are staged in.
            batch: it.
            lake: what the batch is compared with.
            has_cursors: whether rows of the batch supersede earlier ones.
            without_missing: leave out files of the lake that are not there.
        """
        self._connection = connection
        self._batch = batch
        self._lake = lake
        self._has_cursors = has_cursors
        self._without_missing = without_missing
        self._replaced = replaced_sources(batch.objects)
        self._is_prepared = False

    def find(self) -> None:
        """Find the rows that the batch removes, and drop its own that are outdated."""
        if not (self._replaced or self._has_cursors):
            return
        self._prepare()
        if self._has_cursors:
            self._keep_latest()
        for key in sorted({landed.environment_key for landed in self._batch.objects}):
            months = self._months(key)
            self._read_removals([path for month, paths in months.items() if is_of_removals(month) for path in paths])
            for month, paths in months.items():
                if not is_of_removals(month) and (files := self._of_sources(paths)):
                    self._find_in({"environment_key": key, "month": month, "files": files, "batch": self._number})
        if self._has_cursors:
            self._connection.execute(sql("outdated_rows"))
            self._connection.execute(sql("superseded_rows"))

    def drop_known(self, partitions: Sequence[tuple[str, str]]) -> None:
        """Drop accepted rows that the lake holds already and that were not removed since (rule E4)."""
        files: list[str] = []
        of_removals: list[str] = []
        for key, month in partitions:
            paths = self._lake.files(key, {month, removals_of(month)}, without_missing=self._without_missing)
            for path in paths:
                (of_removals if is_of_removals(partition_of(path)) else files).append(path)
        if of_removals and not self._is_prepared:
            self._prepare()
            self._read_removals(of_removals)
        if not files:
            return
        times = "select min(timestamp_ms), max(timestamp_ms) from staged"
        ((oldest, newest),) = self._connection.execute(times).fetchall()
        of_files = {"files": files, "oldest_ms": oldest, "newest_ms": newest}
        if self._is_prepared:
            self._connection.execute(sql("drop_known_since_removal"), {**of_files, "batch": self._number})
        else:
            self._connection.execute(sql("drop_known"), of_files)

    @property
    def count(self) -> int:
        """How many rows the batch removes."""
        return self._count("removed_rows") if self._is_prepared else 0

    def write(self, table: Snapshot, of: Collection[tuple[str, str]] | None = None) -> list[DataFile]:
        """Write one file for each partition that rows leave; where `of` names partitions of removals, for these."""
        if not self._is_prepared:
            return []
        partitions = self._connection.execute(sql("removed_partitions"), {"batch": self._number}).fetchall()
        return [
            table.write(
                self._connection.sql(
                    sql("removals_of_batch"),
                    params={
                        "environment_key": key,
                        "month": month,
                        "batch": self._number,
                        "removed_at": self._batch.planned_at,
                        "removal_event": REMOVAL_EVENT,
                    },
                ),
                count,
                partition={"environment_key": key, "month": removals_of(month)},
                name=f"batch-{self._number:08}",
            )
            for key, month, count in partitions
            if of is None or (key, removals_of(month)) in of
        ]

    @property
    def _number(self) -> int:
        return self._batch.number

    def _prepare(self) -> None:
        self._connection.execute(sql("removing"))
        self._is_prepared = True

    def _keep_latest(self) -> None:
        self._connection.execute(sql("rejected_corrections"))
        self._connection.execute(sql("keep_latest"))
        self._connection.execute(sql("latest_rows"))

    def _find_in(self, of_month: dict[str, Any]) -> None:
        key = of_month["environment_key"]
        replaced = sorted(source for of, source in self._replaced if of == key)
        for source in replaced:
            self._connection.execute(sql("replaced_rows"), {**of_month, "source": source})
        if self._has_cursors:
            self._connection.execute(sql("known_rows"), {**of_month, "replaced": replaced})

    def _months(self, key: str) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for path in self._lake.files(key, without_missing=self._without_missing):
            found[partition_of(path)].append(path)
        return found

    def _of_sources(self, files: Sequence[str]) -> list[str]:
        rows = self._connection.execute(sql("files_of_sources"), {"files": files}).fetchall()
        return [escape(name) for (name,) in rows]

    def _read_removals(self, files: Sequence[str]) -> None:
        if files:
            self._connection.execute(sql("known_removals"), {"files": files})

    def _count(self, table: str) -> int:
        ((count,),) = self._connection.execute(f"select count(*) from {table}").fetchall()  # noqa: S608 - our own names
        return int(count)


def replaced_sources(objects: Collection[LandedObject]) -> set[tuple[str, str]]:
    """Return the sources, with their environments, that a batch of these objects replaces (rule D5)."""
    ranges = (range_of(landed.name) for landed in objects if landed.reading == 1)
    return {(each.environment_key, each.source) for each in ranges if each is not None and each.replaces}
