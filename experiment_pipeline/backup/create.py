"""Making a backup, while the installation runs or not: registry and lake are of one moment.

artifacts   first: none of them can have read a batch that the registry of the backup does not know
registry    under the lake's lock, so that no batch is between registry and lake: a snapshot of the database
lake        under the same lock: the versions of the Delta tables; their files never change, and are copied after it
landing     last: what landed meanwhile is more, never less, and is ingested once by the restored installation
manifest    when all of it is on the disk
"""

import json
import os
import sqlite3
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine

from experiment_pipeline.backup.files import CopiedFile, OnBytes, copy_file, digest_of
from experiment_pipeline.backup.manifest import FORMAT, LISTING, REGISTRY, Manifest, write_manifest
from experiment_pipeline.backup.parts import Found, Parts
from experiment_pipeline.errors import BackupError
from experiment_pipeline.lake.ingestion import exclusive_lock
from experiment_pipeline.lake.soundness import require_sound
from experiment_pipeline.registry.batches import Batches
from experiment_pipeline.registry.copying import TableSummary, copy_registry, count_rows, summarise
from experiment_pipeline.registry.engine import closing_engine, current_revision, open_engine, reading
from experiment_pipeline.times import iso_utc


@dataclass(frozen=True, slots=True)
class BackupPlan:
    """Contents that a backup would have now: rows of the registry, and files and bytes of each folder by name."""

    rows: int
    folders: dict[str, tuple[int, int]]

    @property
    def bytes(self) -> int:
        """The bytes of all folders."""
        return sum(size for _, size in self.folders.values())


def plan_backup(parts: Parts, registry: Engine) -> BackupPlan:
    """Return what a backup would hold now."""
    found = (*parts.artifact_files(), *parts.lake_files(parts.tables()), *parts.landing_files())
    folders: dict[str, tuple[int, int]] = {}
    for each in found:
        part = each.path.partition("/")[0]
        files, size = folders.get(part, (0, 0))
        with suppress(FileNotFoundError):
            folders[part] = (files + 1, size + each.file.stat().st_size)
    return BackupPlan(sum(count_rows(registry).values()), folders)


def require_unused(folder: Path) -> None:
    """Raise BackupError unless a folder is empty, or there is none."""
    try:
        used = any(folder.iterdir())
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise BackupError(f"{folder}: is not a folder.") from None
    if used:
        raise BackupError(f"{folder}: is not empty. Name a folder that is empty, or that does not exist yet.")


def create_backup(parts: Parts, registry: Engine, folder: Path, on_bytes: OnBytes = lambda _: None) -> Manifest:
    """Copy an installation to a folder, and return what was copied.

    Raises:
        BackupError: the folder is not empty.
        UnsoundLake: lake and registry do not fit: a backup of both would be no better.
        OSError: the folder cannot be written to. What is there is no backup then: it has no manifest.
    """
    require_unused(folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # events name people, and the registry has what API keys are checked against
    with _Copier(folder, on_bytes) as copier:
        copier.copy_all(parts.artifact_files())
        with ExitStack() as kept:
            with exclusive_lock(parts.lake.root):
                snapshot = kept.enter_context(reading(registry))
                require_sound(parts.lake.root, Batches(snapshot))  # the first query fixes the snapshot
                created_at, data_version = datetime.now(UTC), Batches(snapshot).lake_version().data_version
                tables = parts.tables()
            revision = current_revision(snapshot)
            summaries = _copy_database(snapshot, folder / REGISTRY)
        copier.add(REGISTRY)
        copier.copy_all(parts.lake_files(tables))
        copier.copy_all(parts.landing_files())
    os.sync()
    manifest = Manifest(
        format=FORMAT,
        created_at=iso_utc(created_at),
        version=version("experiment-pipeline"),
        revision=str(revision),
        data_version=data_version,
        lake={name: table.version for name, table in tables.items()},
        tables=tuple(summaries),
        files=copier.files,
        bytes=copier.bytes,
        listing=copier.listing.hexdigest(),
    )
    write_manifest(folder, manifest)
    return manifest


class _Copier:
    """Copies files into a backup and lists them."""

    def __init__(self, folder: Path, on_bytes: OnBytes) -> None:
        self._folder, self._on_bytes = folder, on_bytes
        self._lines = (folder / LISTING).open("wb")
        self.files, self.bytes, self.listing = 0, 0, sha256()

    def __enter__(self) -> "_Copier":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def copy_all(self, found: Iterable[Found]) -> None:
        """Copy files to their paths in the backup; what disappears meanwhile is left out where it may be.

        Raises:
            BackupError: a file that is needed disappeared.
        """
        for each in found:
            try:
                copied = copy_file(each.file, self._folder / each.path, each.path, self._on_bytes)
            except FileNotFoundError:
                if not each.is_needed:
                    continue
                raise BackupError(
                    f"{each.file}: was removed during the backup. Vacuum with a retention longer than a backup takes."
                ) from None
            self._note(asdict(copied))

    def add(self, path: str) -> None:
        """List a file that is in the backup already."""
        file = self._folder / path
        state = file.stat()
        self._note(asdict(CopiedFile(path, state.st_size, digest_of(file), state.st_mtime_ns)))

    def _note(self, copied: dict[str, object]) -> None:
        line = json.dumps(copied).encode() + b"\n"
        self._lines.write(line)
        self.listing.update(line)
        self.files += 1
        self.bytes += int(str(copied["bytes"]))


def _copy_database(snapshot: Connection, target: Path) -> list[TableSummary]:
    """Copy the database that a transaction sees to a SQLite file, and return what its tables hold.

    Raises:
        BackupError: the copy differs.
    """
    if snapshot.dialect.name == "sqlite":
        with closing(sqlite3.connect(target)) as copy:
            source = snapshot.connection.driver_connection
            assert isinstance(source, sqlite3.Connection)  # noqa: S101 - a fact for the type checker
            source.backup(copy)
        summaries = summarise(snapshot)
        with closing_engine(open_engine(f"sqlite:///{quote(str(target.absolute()))}")) as copied:
            if summarise(copied) != summaries:
                raise BackupError(f"{target}: the copy differs from the registry. Check the disk, and back up again.")
    else:
        with closing_engine(open_engine(f"sqlite:///{quote(str(target.absolute()))}")) as copied:
            summaries = copy_registry(snapshot, copied)
    with closing(sqlite3.connect(target)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, which can be read where nothing can be written
    return summaries
