"""Reading of a component's tables into its own lake: each row once, and what a table holds now (rules D2, D5, E4)."""

import json
import os
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from experiment_pipeline.domain.sources import Source
from experiment_pipeline.durable_files import replacing
from experiment_pipeline.lake.compaction import SEPARABLE_FOR, compact
from experiment_pipeline.lake.dropping import drop_removed
from experiment_pipeline.lake.ingestion import IngestionReport, ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.late_events import count_late_events
from experiment_pipeline.landing.expiry import remove_stored
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.warehouse import lake_resource
from experiment_pipeline.settings import Settings
from experiment_pipeline.sources.file_ranges import FileRanges
from experiment_pipeline.sources.pull import Pull, Ranges, naming, open_ranges
from experiment_pipeline.sources.row_profile import RowProfile
from experiment_pipeline.storage.places import places_of

READ = "tables.json"
HASHES = 1 << 64
REPLACED_AGE = timedelta(days=1)  # of the lake's files; no refresh reads a replaced file that long
LANDED_AGE = timedelta(days=1)  # of landing objects that are in the lake; the tables have them, too


@dataclass(frozen=True, slots=True)
class ReadTable:
    """A table as it was when it was read last.

    Attributes:
        version: of what its rows become (rule D5).
        fingerprint: of its rows; None where a database does not tell.
        newest: the time of its newest event, UTC, as text; None where there is none.
    """

    version: int
    fingerprint: str | None
    newest: str | None = None

    def is_as(self, before: "ReadTable | None") -> bool:
        """Whether the table is known to have the rows that it had."""
        return before is not None and self.fingerprint is not None and replace(self, newest=before.newest) == before


@dataclass(slots=True)
class ReadingReport:
    """The counts of one reading.

    Attributes:
        rows: that were read, by table; a table that is as it was is not read.
        ingested: what became of them; None where nothing was read.
        newest: the time of the newest event of each table, UTC; those without one are left out.
    """

    rows: dict[str, int] = field(default_factory=dict)
    ingested: IngestionReport | None = None
    newest: dict[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TableReading:
    """The reading of every declared table into the component's lake.

    Attributes:
        registry: that the tables are declared in, as sources.
        tables: the names of the tables that are declared now.
        settings: of the component's state.
        tell: of progress, for people.
    """

    registry: Registry
    tables: Collection[str]
    settings: Settings
    tell: Callable[[str], None]

    def run(self) -> ReadingReport:
        """Read what is new, or everything of a table that has changed, and ingest it.

        Raises:
            ConfigurationError: a table or a column is not there or of a wrong type; names the table and the field.
            SourceUnreachable: a database does not answer, or its file is written at the moment.
        """
        report = ReadingReport()
        known = self._known()
        for source in [each for each in self.registry.sources.list() if each.key in self.tables]:
            now = self._read(source, known.get(source.key), report)
            if now != known.get(source.key):
                known[source.key] = now
                self._remember(known)
            if now.newest is not None:
                report.newest[source.key] = datetime.fromisoformat(now.newest)
        lake = lake_resource(self.settings).open()
        report.ingested = ingest(
            lake, self.registry.batches, places_of(self.settings).landing, datetime.now(UTC), object_age=timedelta(0)
        )
        count_late_events(lake, self.registry.health)
        if report.ingested.batch is not None:
            self._tidy(lake)
        return report

    def _tidy(self, lake: Lake) -> None:
        """Keep the lake small: drop removed rows, merge small files, remove what is replaced and what was ingested."""
        now = datetime.now(UTC)
        drop_removed(lake, self.registry.data_versions.drop_limit(now - self.settings.removed_keep).batch)
        compact(lake, now, recent_after=self.registry.data_versions.drop_limit(now - SEPARABLE_FOR).aged)
        lake.vacuum(REPLACED_AGE)
        before = now - (self.settings.landing_keep or LANDED_AGE)
        remove_stored(
            places_of(self.settings).landing, partial(self.registry.batches.stored_objects, before=before), before
        )

    def _read(self, source: Source, before: ReadTable | None, report: ReadingReport) -> ReadTable:
        """Land what a table has, in the place of what it had where its rows may be others."""
        ranges = open_ranges(source, self.registry.connections.of(source), os.environ)
        with naming(source.key):
            now = ReadTable(source.version, _fingerprint(source, ranges))
        if before is not None and now.is_as(before):
            return before
        profile = RowProfile(source)
        pull = Pull(
            source,
            ranges,
            self.registry.source_ranges,
            places_of(self.settings).landing,
            lambda: datetime.now(UTC),
            lambda _planned, rows: self.tell(f"{source.key}: {rows:,} rows"),
            profile,
        )
        again = source.key in self.registry.source_ranges.progress() and _is_replaced(source, before, now)
        report.rows[source.key] = sum(each.rows or 0 for each in pull.run(again=again))
        newest = [] if before is None or again or before.newest is None else [before.newest]
        newest += [] if profile.newest is None else [profile.newest.isoformat()]
        return replace(now, newest=max(newest, default=None))

    def _known(self) -> dict[str, ReadTable]:
        file = self._file
        if not file.exists():
            return {}
        return {key: ReadTable(**each) for key, each in json.loads(file.read_text("utf-8")).items()}

    def _remember(self, known: dict[str, ReadTable]) -> None:
        told = {key: asdict(each) for key, each in known.items()}
        with replacing(self._file) as file:
            file.write_text(json.dumps(told, indent=2), "utf-8")

    @property
    def _file(self) -> Path:
        return self.settings.data_dir / READ


def _fingerprint(source: Source, ranges: Ranges) -> str | None:
    """Return a text that says whether a table is as it was: its files, or a digest of its rows; None if unknown.

    Rows are read for it in any order, with bounded memory; only the columns count that events are made of.
    """
    if isinstance(ranges, FileRanges):
        return "\n".join(f"{each.path} {each.bytes} {each.modified_at.isoformat()}" for each in ranges.found())
    if source.cursor is not None:
        return None
    columns = sorted({column for mapping in source.mappings for _, column in mapping.columns()})
    with closing(ranges.sample()) as rows:
        known = {name: rows.schema.get(name) for name in columns}
        if any(kind is None or kind.is_nested() for kind in known.values()):
            return None  # the pull says what is missing
        count, hashes = 0, 0
        for batch in rows.batches():
            count += batch.height
            hashes = (hashes + int(batch.select(columns).hash_rows().sum())) % HASHES
    kinds = " ".join(f"{name}:{kind}" for name, kind in known.items())
    return f"{count} {hashes} {kinds}"


def _is_replaced(source: Source, before: ReadTable | None, now: ReadTable) -> bool:
    """Whether the rows of a table take the place of those that it had: one of them may be another now, or gone."""
    if source.cursor is not None and source.files is None:
        return before is not None and before.version != now.version
    if before is None or before.version != now.version or source.files is None:
        return True
    return not set((before.fingerprint or "").splitlines()) <= set((now.fingerprint or "").splitlines())
