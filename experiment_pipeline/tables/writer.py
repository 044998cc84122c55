"""Writer of the Delta tables of all looks: everything that was published, once, whatever is killed and repeated when.

plan    the registry gives what waits in the outbox the next batch number; one that is open is finished instead
write   rows of the batch go to Parquet files, which no reader sees
commit  to each table that does not hold the batch, with its number as Delta's own application transaction
close   the registry takes the batch out of the outbox

docs/adr/0057 says what is left behind at each point, and who finishes it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.looks import Look
from experiment_pipeline.domain.refresh import Computation, ComputationState
from experiment_pipeline.domain.table_batches import WRITE_INTERVAL, DueLook, TableBatch
from experiment_pipeline.errors import Conflict
from experiment_pipeline.registry.table_outbox import PublishedPayload, TableOutbox
from experiment_pipeline.results.published_tables import (
    EXPOSURES_TIMESERIES,
    HEALTH,
    LOOKS,
    PUBLISHED_TABLES,
    RESULTS,
    Row,
    exposures_rows,
    finding_rows,
    looks_row,
)
from experiment_pipeline.results.results_table import result_rows
from experiment_pipeline.storage.locks import exclusive
from experiment_pipeline.storage.object_path import ObjectPath, StoragePath
from experiment_pipeline.storage.retention import require_retention
from experiment_pipeline.tables.delta_table import LookTable, WrittenFile, no_folder

LOCK = ".writing.lock"
LOOKS_AT_ONCE = 50  # in memory; a payload has about 10 kB
FILE_ROWS = 100_000  # of a rebuild; a row of results has about 200 bytes in memory

OnLooks = Callable[[int, int], None]  # told how many looks are written, and of how many


@dataclass(frozen=True, slots=True)
class TableWrite:
    """A write of one batch, or of nothing.

    Attributes:
        batch: that was written; None where nothing was due.
        looks: how many it wrote, or parts of them.
        rows: by table, of what this process committed.
        waiting: publications that are left for the next one.
    """

    batch: TableBatch | None
    looks: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class LookTables:
    """The Delta tables below one folder.

    Attributes:
        folder: that has a folder for each table.
        outbox: of the registry.
    """

    folder: StoragePath
    outbox: TableOutbox

    def write(
        self, now: datetime, *, interval: timedelta = WRITE_INTERVAL, on_looks: OnLooks = lambda _done, _of: None
    ) -> TableWrite:
        """Write what waits, where that is due: at most one commit to each table within an interval.

        Tables that do not hold what the registry has written before, because they are new, were lost or are of another
        moment, are written anew as a whole.

        Raises:
            LakeError: a table cannot be read.
        """
        with self._writing():
            state, held = self.outbox.state(), self.held_batches()
            if state.has_published and not state.is_interrupted and not state.fits(held):
                batch = self.outbox.plan(now, rebuild=True, above=max(held.values()))
            elif state.is_due(now, interval):
                batch = self.outbox.plan(now)
            else:
                return TableWrite(None, waiting=state.waiting)
            return TableWrite(None) if batch is None else self._finish(batch, now, on_looks)

    def rebuild(self, now: datetime, on_looks: OnLooks = lambda _done, _of: None) -> TableWrite:
        """Write every look that was ever published anew, with one commit to each table; readers see the rows before it.

        Raises:
            LakeError: a table cannot be read.
        """
        with self._writing():
            batch = self.outbox.plan(now, rebuild=True, above=max(self.held_batches().values()))
            assert batch is not None  # noqa: S101 - a rebuild is planned whatever waits
            return self._finish(batch, now, on_looks)

    def held_batches(self) -> dict[str, int]:
        """Return the newest batch that each table holds, by its name; 0 for none."""
        tables = {each.name: LookTable.open(self.folder, each) for each in PUBLISHED_TABLES}
        return {name: 0 if table is None else table.batch for name, table in tables.items()}

    def row_counts(self) -> dict[str, int]:
        """Return the number of rows of each table, by its name."""
        tables = {each.name: LookTable.open(self.folder, each) for each in PUBLISHED_TABLES}
        return {name: 0 if table is None else table.rows for name, table in tables.items()}

    def compact(self) -> int:
        """Merge small files; return how many were merged. No row changes."""
        if isinstance(self.folder, Path) and not self.folder.exists():
            return 0
        with self._writing():
            return sum(table.compact() for table in self._tables())

    def vacuum(self, retention: timedelta, *, dry_run: bool = False) -> list[str]:
        """Delete files that were replaced, or left by a killed process; return their paths.

        Args:
            retention: how long ago at least; longer than any reader runs.
            dry_run: return the paths only.
        """
        if isinstance(self.folder, ObjectPath):
            require_retention(self.folder, retention)
        elif not self.folder.exists():
            return []
        with self._writing():
            return [path for table in self._tables() for path in table.vacuum(retention, dry_run=dry_run)]

    def _tables(self) -> list[LookTable]:
        found = (LookTable.open(self.folder, each) for each in PUBLISHED_TABLES)
        return [table for table in found if table is not None]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Acquire the lock of the tables, which is released when a process dies.

        It saves work, and exactly once does not depend on it: where it does not work, the second commit fails.
        """
        if isinstance(self.folder, Path) and self.folder.exists() and not self.folder.is_dir():
            raise no_folder(self.folder)
        with exclusive(self.folder, LOCK):
            yield

    def _finish(self, batch: TableBatch, now: datetime, on_looks: OnLooks) -> TableWrite:
        """Bring a planned batch into every table that does not hold it, and close it."""
        opened = [LookTable.open_or_create(self.folder, each) for each in PUBLISHED_TABLES]
        tables = {table.definition.name: table for table in opened if table.batch < batch.number}
        files: dict[str, list[WrittenFile]] = {name: [] for name in tables}
        try:
            looks = self._write_batch(batch, tables, files, on_looks)
            for name, table in tables.items():
                _commit(table, batch, files[name], now)
        except BaseException:
            for name, table in tables.items():
                table.remove_unnamed(files[name])
            raise
        self.outbox.close(batch, now)
        counts = {name: sum(file.rows for file in written) for name, written in files.items()}
        return TableWrite(batch, looks, counts, self.outbox.state().waiting)

    def _write_batch(
        self,
        batch: TableBatch,
        tables: dict[str, LookTable],
        files: dict[str, list[WrittenFile]],
        on_looks: OnLooks,
    ) -> int:
        """Write the rows of a batch to files, which are added to those of each table; return how many looks it has."""
        looks = self.outbox.due_looks(batch)
        rows: dict[str, list[Row]] = {name: [] for name in tables}
        for done in range(0, len(looks), LOOKS_AT_ONCE):
            some = looks[done : done + LOOKS_AT_ONCE]
            for name, added in self._rows(some).items():
                if name in tables:
                    rows[name] += added
            _write_files(tables, rows, files, at_least=FILE_ROWS)
            on_looks(done + len(some), len(looks))
        _write_files(tables, rows, files, at_least=1)
        return len(looks)

    def _rows(self, looks: Sequence[DueLook]) -> dict[str, list[Row]]:
        """Return the rows that a batch has of some looks, by table."""
        experiment_in = cache(self.outbox.experiment)
        ids = {each for look in looks for each in (look.payload_id, look.exposures_id) if each is not None}
        published = self.outbox.published(ids)
        rows: dict[str, list[Row]] = defaultdict(list)
        for due in looks:
            experiment, found = experiment_in(due.experiment_id, due.phase), published[due.payload_id]
            look = Look(
                due.number,
                found.as_of,
                found.data_version,
                found.computed_at,
                found.code_version,
                found.payload,
                due.phase,
            )
            if due.is_new:
                rows[RESULTS.name] += _result_rows(experiment, due, found)
                rows[LOOKS.name].append(looks_row(experiment, look, is_final=due.is_final))
                rows[HEALTH.name] += finding_rows(experiment, look, found.findings)
            if due.exposures_id is not None:
                exposures: object = published[due.exposures_id].payload
                rows[EXPOSURES_TIMESERIES.name] += exposures_rows(experiment, look, exposures)  # type: ignore[arg-type]
        return rows


def _result_rows(experiment: Experiment, due: DueLook, found: PublishedPayload) -> list[Row]:
    state: ComputationState = ComputationState(
        computation=Computation.RESULTS,
        as_of=found.as_of,
        data_version=found.data_version,
        computed_at=found.computed_at,
        payload=found.payload,
        is_final=due.is_final,
        last_error_at=None,
        failures=0,
        refresh_requested_at=None,
        last_duration_seconds=None,
        phase=due.phase,
    )
    # The first versions' payloads do not have their number.
    return [row | {"look": due.number} for row in result_rows(experiment, state)]


def _write_files(
    tables: dict[str, LookTable], rows: dict[str, list[Row]], files: dict[str, list[WrittenFile]], *, at_least: int
) -> None:
    """Write the rows of each table that has enough of them to a file."""
    for name, table in tables.items():
        if len(rows[name]) >= at_least:
            files[name].append(table.write(rows[name]))
            rows[name].clear()


def _commit(table: LookTable, batch: TableBatch, files: Sequence[WrittenFile], now: datetime) -> None:
    """Commit a batch to a table, unless another process has done so meanwhile."""
    try:
        table.commit(batch.number, files, replace=batch.is_rebuild, now_ms=int(now.timestamp() * 1000))
    except Conflict:
        newest = LookTable.open(table.root.parent, table.definition)
        if newest is None or newest.batch < batch.number:
            raise
        table.remove_unnamed(files)
