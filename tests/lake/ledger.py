"""A ledger in memory, and short ways to fill a landing zone."""

import functools
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import polars as pl
from arro3.core import Table
from deltalake import DeltaTable

from experiment_pipeline.domain.batches import (
    IngestedFile,
    Installation,
    LakeVersion,
    LandedObject,
    LedgerState,
    PlannedBatch,
    RejectedRows,
)
from experiment_pipeline.domain.delivered_records import EnvironmentCounts
from experiment_pipeline.domain.erasures import ErasedIdentities
from experiment_pipeline.errors import Conflict
from experiment_pipeline.lake.ingestion import IngestionReport, ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.storage.files import know_bucket

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROD = "prod"


@dataclass
class MemoryLedger:
    """The registry's promises, without its database. `dies` makes the next commit of a batch a kill."""

    known_environments: set[str] = field(default_factory=lambda: {PROD})
    batches: list[PlannedBatch] = field(default_factory=list)
    committed: dict[int, object] = field(default_factory=dict)
    by_environment: dict[int, Mapping[str, EnvironmentCounts] | None] = field(default_factory=dict)
    dies: bool = False
    asked: list[list[str]] = field(default_factory=list)  # names, question by question
    scanned_at: datetime | None = None
    installation: Installation | None = None
    erased: ErasedIdentities = field(default_factory=ErasedIdentities)

    def erased_identities(self) -> ErasedIdentities:
        return self.erased

    def known_objects(self, names: Sequence[str]) -> set[str]:
        self.asked.append(list(names))
        files = [landed for batch in self.batches for landed in batch.objects if landed.retried is None]
        return {landed.name for landed in files} & set(names)

    def ingested_files(self, names: Sequence[str]) -> dict[str, IngestedFile]:
        self.asked.append(list(names))
        files: dict[str, IngestedFile] = {}
        for batch in self.batches:
            for each in batch.objects:
                if each.name in names and each.retried is None:
                    files[each.name] = IngestedFile(each.bytes, each.modified_at, batch.number, each.reading)
                elif each.name in files:
                    files[each.name] = replace(files[each.name], reading=each.reading)
        return files

    def retried_records(self) -> list[tuple[str, RejectedRows]]:
        return [(each.name, each.retried) for batch in self.batches for each in batch.objects if each.retried]

    def plan_batch(self, objects: Sequence[LandedObject], now: datetime, timezone: str | None = None) -> PlannedBatch:
        taken = {(landed.name, landed.reading) for batch in self.batches for landed in batch.objects}
        if self.open_batch() is not None or taken & {(landed.name, landed.reading) for landed in objects}:
            raise Conflict("a batch is open, or an object is taken")
        self.batches.append(PlannedBatch(len(self.batches) + 1, now, tuple(objects), timezone))
        return self.batches[-1]

    def open_batch(self) -> PlannedBatch | None:
        return next((batch for batch in self.batches if batch.number not in self.committed), None)

    def commit_batch(
        self,
        number: int,
        *,
        accepted: int,
        duplicates: int,
        rejected: Mapping[str, int],
        problems: Mapping[str, str],
        by_environment: Mapping[str, EnvironmentCounts] | None = None,
        now: datetime,
    ) -> None:
        if self.dies:
            self.dies = False
            raise KeyboardInterrupt
        if (batch := self.open_batch()) is None or batch.number != number:
            raise Conflict(f"batch {number} is not open")
        assert now >= batch.planned_at
        self.by_environment[number] = by_environment
        self.committed[number] = (accepted, duplicates, dict(rejected), dict(problems))

    def planned_at(self, batch: int) -> datetime | None:
        return next((known.planned_at for known in self.batches if known.number == batch), None)

    def record_scan(self, scanned_at: datetime, now: datetime | None = None) -> None:  # noqa: ARG002
        self.scanned_at = scanned_at

    def lake_version(self) -> LakeVersion:
        return LakeVersion(data_version=max(self.committed, default=0), landed_at=None)

    def state(self) -> LedgerState:
        unfinished = self.open_batch()
        return LedgerState(self.installation, max(self.committed, default=0), unfinished.number if unfinished else None)

    def bind(self, lake: str, now: datetime, *, identity: str | None = None, replaces: str | None = None) -> str:  # noqa: ARG002
        if self.installation is None or self.installation.lake == replaces:
            self.installation = Installation(identity or "memory", lake)
        if self.installation.lake != lake:
            raise Conflict("another lake")
        return self.installation.identity

    def environment_exists(self, key: str) -> bool:
        return key in self.known_environments


@dataclass
class LakeInOneFolder:
    """A lake, its ledger in memory, and a landing zone, all in one folder."""

    root: Path
    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    @property
    def lake(self) -> Lake:
        return Lake(self.root / "lake")

    def ingest(self, *, whole: bool = True) -> IngestionReport:
        return ingest(self.lake, self.ledger, self.root, NOW, whole=whole)


def record(**changes: Any) -> dict[str, Any]:
    """A valid conversion; a change to `...` leaves the field out."""
    fields = {
        "event": "purchase",
        "feature_name": None,
        "identifier": "ada",
        "value": "9.99",
        "traits": {"plan": "pro"},
        "metadata": {"sdk_version": "6.3.0"},
        "timestamp": 1_772_000_000_000,
    } | changes
    return {name: value for name, value in fields.items() if value is not ...}


def exposure(**changes: Any) -> dict[str, Any]:
    """A valid exposure."""
    return record(**{"event": "$flag_exposure", "feature_name": "checkout", "value": "control"} | changes)


def land(
    landing: Path, lines: Iterable[object] | bytes, name: str = "20260301T110000Z-a.jsonl", environment: str = PROD
) -> Path:
    """Write an object: bytes as they are; else one line each, text as it is and everything else as JSON."""
    folder = landing / "events" / f"env_key={environment}" / "2026/03/01/11"
    folder.mkdir(parents=True, exist_ok=True)
    if not isinstance(lines, bytes):
        lines = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines).encode()
        lines = gzip.compress(lines) if name.endswith(".gz") else lines
    (folder / name).write_bytes(lines)
    return folder / name


def stored(lake: Lake, table: str = "events") -> list[dict[str, Any]]:
    """Every row of a table, in a fixed order."""
    files = DeltaTable(str(lake.root / table)).file_uris()
    if not files:
        return []
    with _reader().cursor() as connection:
        know_bucket(connection, lake.root)
        rows = connection.sql(
            "from read_parquet($files, hive_partitioning = true, hive_types_autocast = false) order by all",
            params={"files": files},
        )
        return pl.DataFrame(Table.from_arrow(rows)).to_dicts()


@functools.cache
def _reader() -> duckdb.DuckDBPyConnection:
    """Return one engine for all tests of a process: starting one takes as long as reading twenty small files."""
    return duckdb.connect()


def unnamed_files(lake: Path) -> list[Path]:
    """Return the files of the lake that no commit names."""
    tables = [DeltaTable(log.parent) for log in lake.glob("*/_delta_log") if any(log.glob("*.json"))]
    named = {Path(unquote(uri)) for table in tables for uri in table.file_uris()}
    return sorted(path for path in lake.rglob("*.parquet") if path not in named and "_delta_log" not in path.parts)
