"""Import of one file: its rows become landing objects, once (rules D1-D4)."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from experiment_pipeline.domain.events import Rejected, decode, parse
from experiment_pipeline.domain.row_mapping import PROPERTIES, RowMapping
from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.landing.record_text import record_texts
from experiment_pipeline.sources.file_rows import FileRows
from experiment_pipeline.sources.landing_folder import folder_of_range, land
from experiment_pipeline.sources.mapped_rows import NAME_THE_ZONE, check_schema, records, time_without_zone

SOURCE = "import"  # the source of all files that were imported by hand


@dataclass(frozen=True, slots=True)
class Judged:
    """The first records of a file, as JSON, and how many of them are rejected, by reason (rule E3)."""

    records: int
    first: tuple[str, ...]
    rejected: dict[str, int]


@dataclass(frozen=True, slots=True)
class FileImport:
    """A file, and what its rows are.

    Attributes:
        file: it.
        mapping: of its rows.
        environment_key: of the events.
        timezone: of times without one, in the IANA database; None where there are none.
    """

    file: Path
    mapping: RowMapping
    environment_key: str
    timezone: str | None = None

    def open(self) -> FileRows:
        """Open the file with its columns checked.

        Raises:
            ConfigurationError: it cannot be read, has no rows, or a column is not what its field needs.
        """
        properties = [column for name in PROPERTIES for column in getattr(self.mapping, name)]
        rows = FileRows([self.file], numbers=properties)
        if not rows.rows:
            raise ConfigurationError.of("file", f"{quoted(self.file.name)} has no rows.")
        check_schema(self.mapping, rows.schema, self.timezone)
        return rows

    def judge_first(self, rows: FileRows, number: int) -> Judged:
        """Return what ingestion will make of the first rows."""
        some = rows.first(number)
        self._refuse_times_without_zone(some)
        first = records(some, self.mapping, self.timezone)
        texts = record_texts(first.lazy(), dict(first.schema))["text"].to_list()
        now = datetime.now(UTC)
        found = [parse(decode(text), self.environment_key, now) for text in texts]
        rejected = Counter(each.reason for each in found if isinstance(each, Rejected))
        return Judged(len(texts), tuple(texts), dict(rejected))

    def folder(self, landing: Path) -> Path:
        """Return where it lands: a folder that is named after its content and the mapping, so the same lands once."""
        digest = hashlib.sha256()
        with self.file.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
        digest.update(repr((asdict(self.mapping), self.timezone)).encode())
        return folder_of_range(landing, self.environment_key, SOURCE, digest.hexdigest()[:32])

    def land(self, rows: FileRows, landing: Path, on_rows: Callable[[int], None]) -> int | None:
        """Land the file.

        Args:
            rows: the opened file.
            landing: root of the landing zone.
            on_rows: is told after each batch how many rows it had.

        Returns:
            The number of records; None where the same file has landed with the same mapping before.

        Raises:
            ConfigurationError: a row cannot be read, or every row of a column is null; nothing has landed.
        """
        folder = self.folder(landing)
        if folder.exists():
            return None
        return land(self._records(rows, on_rows), folder)

    def _records(self, rows: FileRows, on_rows: Callable[[int], None]) -> Iterator[pl.DataFrame]:
        columns = [column for _, column in self.mapping.required()]
        found: set[str] = set()
        for batch in rows.batches():
            self._refuse_times_without_zone(batch)
            found |= {column for column in columns if batch[column].null_count() < batch.height}
            yield records(batch, self.mapping, self.timezone)
            on_rows(batch.height)
        self._refuse_empty(found)

    def _refuse_times_without_zone(self, rows: pl.DataFrame) -> None:
        time = None if self.timezone else time_without_zone(rows, self.mapping)
        if time is not None:
            message = f"{quoted(time)} has no time zone: {NAME_THE_ZONE}"
            raise ConfigurationError.of("as.timestamp", message)

    def _refuse_empty(self, found: set[str]) -> None:
        empty = {
            f"as.{name}": [f"Every row of column {quoted(column)} is empty."]
            for name, column in self.mapping.required()
            if column not in found
        }
        if empty:
            raise ConfigurationError(empty)
