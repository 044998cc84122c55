"""Restoring a backup to an empty data directory, and to an empty database where the registry is not in a file.

The registry comes last: while it is missing, no command takes the folder for an installation. A restore that was killed
goes on when it is repeated.
"""

import os
from pathlib import Path
from urllib.parse import quote

from experiment_pipeline.backup.files import CopiedFile, OnBytes, copy_file, digest_of
from experiment_pipeline.backup.manifest import REGISTRY, Manifest, read_listing, read_manifest
from experiment_pipeline.backup.parts import LAKE
from experiment_pipeline.durable_files import sync
from experiment_pipeline.errors import BackupError
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.soundness import require_sound
from experiment_pipeline.registry.batches import Batches
from experiment_pipeline.registry.copying import copy_registry, is_copied, require_copyable
from experiment_pipeline.registry.engine import closing_engine, knows_revision, migrate, open_engine, open_read_only
from experiment_pipeline.registry.notifications import Notifications
from experiment_pipeline.registry.runs import Runs
from experiment_pipeline.registry.table_outbox import TableOutbox

MARK = ".restoring"  # in the data directory: which backup is being restored
UNFINISHED_REGISTRY = ".restoring.sqlite"


def verify(folder: Path, on_bytes: OnBytes = lambda _: None) -> Manifest:
    """Read every file of a backup, and return its manifest.

    Raises:
        BackupError: the backup is not complete, is damaged, or was made by a later version of the program.
    """
    manifest = read_manifest(folder)
    if not knows_revision(manifest.revision):
        raise BackupError(f"{folder}: made by version {manifest.version} of the program, which is newer than this one.")
    for file in read_listing(folder):
        try:
            is_sound = digest_of(folder / file.path, on_bytes) == file.sha256
        except OSError as missing:
            raise BackupError(f"{folder}: damaged: {file.path} cannot be read: {missing.strerror}.") from None
        if not is_sound:
            raise BackupError(f"{folder}: damaged: {file.path} is not what was backed up.")
    return manifest


def require_restorable(folder: Path, data_dir: Path, registry_url: str | None) -> None:
    """Raise BackupError or Conflict unless a backup can be restored to a data directory and a database.

    Args:
        folder: of the backup.
        data_dir: has to be empty, or to be what an interrupted restore of the same backup has left.
        registry_url: of the database; None for a file in the data directory.
    """
    manifest = read_manifest(folder)
    if _is_begun(manifest, data_dir):
        return
    if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
        raise BackupError(f"{data_dir}: is not empty. Restore to a data directory that is empty, or not there yet.")
    if registry_url is not None:
        with (
            closing_engine(open_read_only(folder / REGISTRY)) as source,
            closing_engine(open_engine(registry_url)) as target,
        ):
            require_copyable(source, target)


def restore(folder: Path, data_dir: Path, registry_url: str | None, on_bytes: OnBytes = lambda _: None) -> Manifest:
    """Copy a backup to where an installation expects it, every file compared with its digest.

    Raises:
        BackupError: the backup is damaged, or the data directory is not empty.
        Conflict: the database is not empty.
    """
    require_restorable(folder, data_dir, registry_url)
    manifest = read_manifest(folder)
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / MARK).write_text(manifest.listing, "utf-8")
    for beside in ("-wal", "-shm"):  # of an earlier restore that was killed
        (data_dir / f"{UNFINISHED_REGISTRY}{beside}").unlink(missing_ok=True)
    for file in read_listing(folder):
        target = UNFINISHED_REGISTRY if file.path == REGISTRY else file.path
        _copy(folder, file, data_dir / target, on_bytes)
    Lake(data_dir / LAKE).begin_history()  # artifacts were copied while refreshes may have gone on
    os.sync()
    unfinished = data_dir / UNFINISHED_REGISTRY
    with closing_engine(open_engine(f"sqlite:///{quote(str(unfinished.absolute()))}")) as registry:
        migrate(registry)
        require_sound(data_dir / LAKE, Batches(registry))
        Runs(registry).forget_unfinished()
        TableOutbox(registry).forget_batches()
        Notifications(registry).lose_unsent_messages()
        if registry_url is not None:
            with closing_engine(open_engine(registry_url)) as database:
                if not is_copied(registry, database):  # an earlier restore that was killed had come so far
                    copy_registry(registry, database)
    if registry_url is None:
        unfinished.rename(data_dir / REGISTRY)
    else:
        unfinished.unlink()
    (data_dir / MARK).unlink()
    sync(data_dir)
    return manifest


def _is_begun(manifest: Manifest, data_dir: Path) -> bool:
    """Return whether an interrupted restore of this backup has left the data directory as it is."""
    mark = data_dir / MARK
    return mark.is_file() and mark.read_text("utf-8") == manifest.listing


def _copy(folder: Path, file: CopiedFile, target: Path, on_bytes: OnBytes) -> None:
    try:
        copied = copy_file(folder / file.path, target, file.path, on_bytes)
    except FileNotFoundError:
        raise BackupError(f"{folder}: damaged: {file.path} is missing.") from None
    if copied.sha256 != file.sha256:
        raise BackupError(f"{folder}: damaged: {file.path} is not what was backed up.")
    os.utime(target, ns=(file.modified_ns, file.modified_ns))
