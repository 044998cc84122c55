"""Artifacts on disk: one file per name, partition and phase, replaced atomically, with its provenance inside.

A reader holds either the old file or the new one, never a torn one: writers fill a temporary file beside the target
and rename it over. A writer that is killed leaves the last good file and a `.tmp` that `orphans` finds.

Where a later computation finds the same rows, they are not written again: a small file beside them has its provenance,
and names the provenance inside the rows' own file that it stands for. Beside other rows it means nothing.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import BinaryIO

import polars as pl

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.errors import ArtifactMissing, ConfigurationError
from experiment_pipeline.storage.files import replacing, whole
from experiment_pipeline.storage.object_path import ObjectPath, StoragePath
from experiment_pipeline.times import iso_utc

PARTITION_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,79}-[0-9]{1,19}")  # rule L6
OF_PHASE = re.compile(rf"(?P<partition>{PARTITION_KEY.pattern})(\.(?P<phase>[0-9]{{1,9}}))?")  # of a file's name
DECIDES_NUMBERS = ("assets", "domain", "lake", "results", "stats", "warehouse")  # folders that `code_version` covers
STAMP_KEY = "stamp"  # of the Parquet file's key-value metadata
ROWS_OF = "rows_of"  # in the file beside it: the digest of that stamp


@dataclass(frozen=True, slots=True)
class Stamp:
    """Provenance of an artifact: enough to compute it again, and to bring it up to date.

    Attributes:
        definitions: digest of what it was computed of; None where it is not to be brought up to date.
        history: of the lake (`EventFiles`).
        since_full: how often it was brought up to date since everything was last read for it.
        difference: what an audit of that found to differ (rule I4); None where nothing did.
        table: of a warehouse, which has the rows; None where they are in this file, or are computed when they are read.
    """

    partition_key: str
    window: Window
    data_version: int
    code_version: str
    sql: str
    installation: str | None = None
    phase: int = 1
    definitions: str | None = None
    history: str = ""
    since_full: int = 0
    difference: str | None = None
    table: str | None = None

    @classmethod
    def of(cls, scope: AnalysisScope, sql: str) -> "Stamp":
        """Return the provenance of what a statement computes over a scope, with this code."""
        return cls(
            scope.partition_key,
            scope.window,
            scope.data_version,
            code_version(),
            sql,
            scope.installation,
            scope.phase,
        )

    def to_json(self) -> str:
        """Return the stamp as text, for a file's own metadata."""
        return json.dumps(
            {
                "partition_key": self.partition_key,
                "phase": self.phase,
                "started_at": iso_utc(self.window.started_at),
                "as_of": iso_utc(self.window.as_of),
                "data_version": self.data_version,
                "code_version": self.code_version,
                "sql": self.sql,
                "installation": self.installation,
                "definitions": self.definitions,
                "history": self.history,
                "since_full": self.since_full,
                "difference": self.difference,
                "table": self.table,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Stamp":
        """Return the stamp of such a text."""
        fields = json.loads(text)
        return cls(
            partition_key=fields["partition_key"],
            window=Window(datetime.fromisoformat(fields["started_at"]), datetime.fromisoformat(fields["as_of"])),
            data_version=fields["data_version"],
            code_version=fields["code_version"],
            sql=fields["sql"],
            installation=fields.get("installation"),
            phase=fields.get("phase", 1),
            definitions=fields.get("definitions"),
            history=fields.get("history", ""),
            since_full=fields.get("since_full", 0),
            difference=fields.get("difference"),
            table=fields.get("table"),
        )


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """Folder of artifacts: `<root>/<name>/<partition key>.parquet`, of phase 2 `<partition key>.2.parquet`."""

    root: StoragePath

    def path(self, name: str, partition_key: str, phase: int = 1) -> StoragePath:
        """Return the path of an artifact, whether it exists or not.

        Raises:
            ConfigurationError: rule L6 forbids the partition key.
        """
        if PARTITION_KEY.fullmatch(partition_key) is None:
            raise ConfigurationError.of(
                "partition_key", f"must look like <experiment key>-<id>, e.g. checkout-12, got {partition_key!r}."
            )
        of_phase = "" if phase == 1 else f".{phase}"
        return self.root / name / f"{partition_key}{of_phase}.parquet"

    def existing(self, name: str, partition_key: str, phase: int = 1) -> StoragePath:
        """Return the path of an artifact that exists.

        Raises:
            ArtifactMissing: it does not.
        """
        path = self.path(name, partition_key, phase)
        if not path.exists():
            of_phase = "" if phase == 1 else f" in phase {phase}"
            raise ArtifactMissing(
                f"{name}: not materialised for partition {partition_key}{of_phase}. Materialise it first."
            )
        return path

    def newest_phase(self, name: str, partition_key: str) -> int:
        """Return the newest phase of which an artifact exists; 1 where none does."""
        found = (OF_PHASE.fullmatch(path.stem) for path in (self.root / name).glob(f"{partition_key}.*.parquet"))
        return max((int(match["phase"]) for match in found if match), default=1)

    def orphans(self) -> list[StoragePath]:
        """Return the temporary files of killed writers; those of writers still at work are among them."""
        return sorted(self.root.glob("*/.*.tmp")) if isinstance(self.root, Path) else []

    def of_others(self, partition_keys: Collection[str]) -> list[StoragePath]:
        """Return the artifacts of all partitions but these: those of deleted experiments."""
        paths: list[StoragePath] = [path for kind in ("parquet", "json") for path in self.root.glob(f"*/*.{kind}")]
        of_totals: list[StoragePath] = [*self.root.glob("*/*/*.parquet")]
        found = [*((path, path.stem) for path in paths), *((path, path.parent.name) for path in of_totals)]
        matched = ((path, OF_PHASE.fullmatch(name)) for path, name in found)
        others = (path for path, match in matched if match and match["partition"] not in partition_keys)
        return sorted(others, key=str)


@dataclass(frozen=True, slots=True)
class StampedFrame:
    """A small frame with its provenance."""

    rows: pl.DataFrame
    stamp: Stamp


def write_frame(frame: StampedFrame, target: StoragePath) -> None:
    """Replace the artifact at `target` in one step: readers see the old file or the new one."""
    with replacing(target) as temporary:
        frame.rows.write_parquet(temporary, metadata={STAMP_KEY: frame.stamp.to_json()})


def restamp(path: StoragePath, stamp: Stamp) -> None:
    """Say of an artifact that its rows are those of a later computation, too; the rows are not written again."""
    with replacing(_beside(path)) as temporary:
        temporary.write_text(json.dumps({ROWS_OF: rows_digest(path), STAMP_KEY: stamp.to_json()}), "utf-8")


def rows_digest(source: StoragePath | BinaryIO) -> str:
    """Return a digest of the provenance inside a file: rows that were computed alike are the same (rule X5).

    Raises:
        ArtifactMissing: the file was not written by this pipeline.
    """
    return hashlib.sha256(_stamp_text(source).encode()).hexdigest()


def read_frame(path: StoragePath) -> StampedFrame:
    """Return the artifact at a path, its rows and its stamp from one and the same file.

    Raises:
        ArtifactMissing: the file was not written by this pipeline.
    """
    with path.open("rb") as opened:  # held open: a replacement meanwhile changes neither of the two reads
        stamp = read_stamp(opened)
        opened.seek(0)
        return StampedFrame(rows=pl.read_parquet(opened), stamp=stamp)


def read_stamp(source: StoragePath | BinaryIO) -> Stamp:
    """Return the provenance of an artifact: of the last computation that found its rows.

    Raises:
        ArtifactMissing: the file was not written by this pipeline.
    """
    own = _stamp_text(source)
    later = _later_stamp(source, own) if isinstance(source, Path | ObjectPath) else None
    return Stamp.from_json(own) if later is None else later


def _stamp_text(source: StoragePath | BinaryIO) -> str:
    text = pl.read_parquet_metadata(whole(source) if isinstance(source, ObjectPath) else source).get(STAMP_KEY)
    if text is None:
        raise ArtifactMissing(
            f"{source}: has no provenance metadata: not written by this pipeline. Materialise it again."
        )
    return text


def _later_stamp(path: StoragePath, own: str) -> Stamp | None:
    """Return the provenance beside rows whose own one this is; None where there is none of these rows."""
    try:
        beside = json.loads(_beside(path).read_text("utf-8"))
        if beside[ROWS_OF] == hashlib.sha256(own.encode()).hexdigest():
            return Stamp.from_json(beside[STAMP_KEY])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing, or torn by somebody else: the rows' own provenance is true, only older
    return None


def _beside(path: StoragePath) -> StoragePath:
    return path.with_suffix(".json")


@cache
def code_version() -> str:
    """Return a digest of the code and SQL that decide numbers: the same code gives the same one, wherever installed."""
    digest = hashlib.sha256()
    package = files("experiment_pipeline")
    for room in DECIDES_NUMBERS:
        for name, text in sorted(_sources(package.joinpath(room), f"{room}/")):
            digest.update(f"{name}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()[:12]


def _sources(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _sources(entry, f"{name}/")
        elif name.endswith((".py", ".sql")):
            yield name, entry.read_bytes()
