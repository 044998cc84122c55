"""Metadata of a pull in Dagster, and what the next pull reads of it: nothing there is a secret."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Self

import dagster as dg

from experiment_pipeline.domain.source_ranges import SourceProgress, SourceRange
from experiment_pipeline.domain.sources import Source
from experiment_pipeline.domain.texts import printable, shortened
from experiment_pipeline.sources.row_profile import RowProfile

COLUMNS, ROW_COUNT = "dagster/column_schema", "dagster/row_count"  # names that Dagster's pages know
NEWEST, VERSION = "newest_event", "version"
FILES_NAMED = 20
CURSOR_SHOWN = 200  # characters of a cursor that is text


@dataclass(frozen=True, slots=True)
class LastPull:
    """The pull before this one, as Dagster keeps it.

    Attributes:
        version: of the source; None where there was no pull.
        columns: with their types; empty where nothing was read yet.
        newest_event: timestamp of the newest event so far, UTC.
    """

    version: int | None = None
    columns: dict[str, str] | None = None
    newest_event: datetime | None = None

    @classmethod
    def of(cls, instance: dg.DagsterInstance, key: dg.AssetKey) -> Self:
        """Return the newest pull of a source's asset."""
        event = instance.get_latest_materialization_event(key)
        if event is None or event.asset_materialization is None:
            return cls()
        told: dict[str, Any] = {name: each.value for name, each in event.asset_materialization.metadata.items()}
        schema, newest = told.get(COLUMNS), told.get(NEWEST)
        return cls(
            version=told.get(VERSION),
            columns=None if schema is None else {column.name: column.type for column in schema.columns},
            newest_event=None if newest is None else datetime.fromtimestamp(newest, UTC),
        )


@dataclass(frozen=True, slots=True)
class PullReport:
    """A pull that has ended well.

    Attributes:
        source: as it was read.
        profile: of the rows that were read.
        landed: the ranges.
        last: the pull before: its columns and its newest event stand as long as nothing new is read.
        progress: of all pulls together.
        now: UTC.
    """

    source: Source
    profile: RowProfile
    landed: Sequence[SourceRange]
    last: LastPull
    progress: SourceProgress | None
    now: datetime

    @property
    def newest_event(self) -> datetime | None:
        """The timestamp of the newest event so far, UTC."""
        return max(filter(None, (self.last.newest_event, self.profile.newest)), default=None)

    @property
    def metadata(self) -> dict[str, dg.MetadataValue]:
        """The counts, times and columns, as Dagster shows them."""
        profile, landed = self.profile, self.landed
        return {
            "environment": dg.MetadataValue.text(self.source.environment_key),
            VERSION: dg.MetadataValue.int(self.source.version),
            "ranges": dg.MetadataValue.int(len(landed)),
            "rows": dg.MetadataValue.int(sum(each.rows or 0 for each in landed)),
            "records": dg.MetadataValue.int(sum(each.records or 0 for each in landed)),
            ROW_COUNT: dg.MetadataValue.int(self.progress.rows if self.progress else 0),
            "read": dg.MetadataValue.json(_bounds(landed)),
            "nulls": dg.MetadataValue.json({printable(name): rows for name, rows in profile.nulls.items()}),
            "repeated_rows": dg.MetadataValue.int(profile.repeated),
            "judged_records": dg.MetadataValue.int(profile.judged),
            "rejected": dg.MetadataValue.json({str(reason): count for reason, count in profile.rejected.items()}),
            **self._columns(),
            **self._times(),
        }

    def _columns(self) -> dict[str, dg.MetadataValue]:
        columns = self.profile.columns or self.last.columns or {}
        schema = dg.TableSchema(columns=[dg.TableColumn(name, dtype) for name, dtype in columns.items()])
        return {COLUMNS: dg.MetadataValue.table_schema(schema)} if columns else {}

    def _times(self) -> dict[str, dg.MetadataValue]:
        told: dict[str, dg.MetadataValue] = {}
        if self.profile.oldest is not None and self.profile.newest is not None:
            told["oldest_event_read"] = dg.MetadataValue.timestamp(self.profile.oldest)
            told["newest_event_read"] = dg.MetadataValue.timestamp(self.profile.newest)
        if (newest := self.newest_event) is not None:
            told[NEWEST] = dg.MetadataValue.timestamp(newest)
            told["lag_seconds"] = dg.MetadataValue.float(round((self.now - newest).total_seconds(), 3))
        return told


def _bounds(landed: Sequence[SourceRange]) -> dict[str, Any]:
    """Return what was read: the bounds of the cursor, or the first files and how many more there are."""
    bounds = {"after": landed[0].after, "until": landed[-1].until} if landed else {}
    told: dict[str, Any] = {
        name: shortened(printable(value), CURSOR_SHOWN) for name, value in bounds.items() if value is not None
    }
    files = [printable(file.path) for each in landed for file in each.files]
    if files:
        told["files"] = list(islice(files, FILES_NAMED))
        told |= {"and more files": len(files) - FILES_NAMED} if len(files) > FILES_NAMED else {}
    return told
