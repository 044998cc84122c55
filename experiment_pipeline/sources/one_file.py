"""Import of one file: its rows become landing objects, once (rules D1-D4)."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import polars as pl

from experiment_pipeline.domain.row_mapping import PROPERTIES, RowMapping
from experiment_pipeline.domain.sources import IMPORT
from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.landing.source_objects import since_part
from experiment_pipeline.sources.file_rows import FileRows
from experiment_pipeline.sources.landing_folder import folder_of_range, has_landed, land
from experiment_pipeline.sources.not_numbers import NotNumbers
from experiment_pipeline.sources.row_records import Judged, OnRows, RowRecords
from experiment_pipeline.storage.object_path import StoragePath

JUDGED_ROWS = 1_000  # that are judged first: usually one of them is accepted


@dataclass(frozen=True, slots=True)
class LandedFile:
    """The records of a file that has landed, and their values that are no numbers."""

    records: int
    not_numbers: NotNumbers


@dataclass(frozen=True, slots=True)
class FileImport:
    """A file, and what its rows are.

    Attributes:
        file: it.
        mapping: of its rows.
        environment_key: of the events.
        timezone: of times without one, in the IANA database; None where there are none.
        oldest: the first day, in UTC, of which events are accepted; None for that of every sender.
    """

    file: Path
    mapping: RowMapping
    environment_key: str
    timezone: str | None = None
    oldest: date | None = None

    @property
    def records(self) -> RowRecords:
        """The records that its rows become."""
        return RowRecords({"as": self.mapping}, self.timezone, self.environment_key, oldest=self.oldest)

    def open(self) -> FileRows:
        """Open the file with its columns checked.

        Raises:
            ConfigurationError: it cannot be read, has no rows, or a column is not what its field needs.
        """
        properties = [column for name in PROPERTIES for column in getattr(self.mapping, name)]
        rows = FileRows([self.file], numbers=properties)
        try:
            self._check(rows)
        except BaseException:
            rows.close()
            raise
        return rows

    def _check(self, rows: FileRows) -> None:
        if not rows.rows:
            raise ConfigurationError.of("file", f"{quoted(self.file.name)} has no rows.")
        self.records.check(rows.schema)

    def judge_first(self, rows: FileRows, number: int) -> Judged:
        """Return what ingestion will make of the first rows."""
        return self.records.judge(rows.first(number))

    def folder(self, landing: StoragePath) -> StoragePath:
        """Return where it lands: a folder that is named after its content and the mapping, so the same lands once."""
        digest = hashlib.sha256()
        with self.file.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
        digest.update(repr((asdict(self.mapping), self.timezone)).encode())
        name = f"{since_part(self.oldest)}{digest.hexdigest()[:32]}"
        return folder_of_range(landing, self.environment_key, IMPORT, name)

    def land(self, rows: FileRows, landing: StoragePath, on_rows: OnRows) -> LandedFile | None:
        """Land the file.

        Args:
            rows: the opened file.
            landing: root of the landing zone.
            on_rows: is told after each batch how many rows it had.

        Returns:
            What has landed; None where the same file has landed with the same mapping before.

        Raises:
            ConfigurationError: a row cannot be read, every row of a column is null, or ingestion would reject them
                all; nothing has landed.
            Conflict: the file has changed since it was opened; nothing has landed.
        """
        folder = self.folder(landing)
        if has_landed(folder):
            return None
        unreadable = NotNumbers()

        def count(found: NotNumbers) -> None:
            nonlocal unreadable
            unreadable += found

        def frames() -> Iterator[pl.DataFrame]:
            yield from self._refusing_rejected(self.records.of(rows.batches(), on_rows, count))
            rows.require_unchanged()

        landed = land(frames(), folder)
        return LandedFile(landed, unreadable)

    def _refusing_rejected(self, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Yield records, and raise ConfigurationError at their end where none of them would be accepted (rule E3)."""
        rejected: Counter[str] = Counter()
        is_accepted = False
        for frame in frames:
            for some in (frame.head(JUDGED_ROWS), frame.slice(JUDGED_ROWS)):
                if not is_accepted and some.height:
                    judged = self.records.judge_records([some])
                    rejected.update(judged.rejected)
                    is_accepted = judged.records > sum(judged.rejected.values())
            yield frame
        if not is_accepted and rejected:
            reasons = ", ".join(f"{reason}: {count:,}" for reason, count in rejected.most_common())
            raise ConfigurationError.of("file", f"Every row would be rejected ({reasons}). --dry-run shows the first.")
