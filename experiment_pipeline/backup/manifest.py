"""Manifest of a backup: what it holds, so that a restore can tell that it is whole.

<backup>/manifest.json     written last: a folder without it is an unfinished backup
<backup>/files.jsonl       one file a line: its path, bytes and SHA-256
<backup>/registry.sqlite   the registry, whichever database it was in
<backup>/lake, landing, artifacts
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from experiment_pipeline.backup.files import CopiedFile, digest_of
from experiment_pipeline.durable_files import replacing
from experiment_pipeline.errors import BackupError
from experiment_pipeline.registry.copying import TableSummary

MANIFEST = "manifest.json"
LISTING = "files.jsonl"
REGISTRY = "registry.sqlite"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of a backup.

    Attributes:
        created_at: the moment that the registry and the lake are of, ISO 8601, UTC.
        version: of the program that made it; `revision` is that of the registry's schema.
        data_version: the newest batch (rule E6), of the registry and of the lake.
        lake: the versions of the Delta tables by name.
        tables: what each of the registry's tables holds.
        files: how many there are, the registry among them; `bytes` is their size.
        listing: SHA-256 of the list of files.
    """

    format: int
    created_at: str
    version: str
    revision: str
    data_version: int
    lake: dict[str, int]
    tables: tuple[TableSummary, ...]
    files: int
    bytes: int
    listing: str

    @property
    def created(self) -> datetime:
        """The moment that the backup is of, UTC."""
        return datetime.fromisoformat(self.created_at)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Complete a backup."""
    with replacing(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps(asdict(manifest), indent=2) + "\n", "utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a complete backup whose list of files is the one that it was made with.

    Raises:
        BackupError: the folder is no complete backup, or one of a later format.
    """
    try:
        fields = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BackupError(f"{folder}: no complete backup: it has no {MANIFEST}.") from None
    except (OSError, ValueError) as unreadable:
        raise BackupError(f"{folder / MANIFEST}: cannot be read: {unreadable}") from None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise BackupError(f"{folder / MANIFEST}: not of format {FORMAT}, which this version of the program reads.")
    manifest = Manifest(**{**fields, "tables": tuple(TableSummary(**each) for each in fields["tables"])})
    try:
        listing = digest_of(folder / LISTING)
    except OSError as missing:
        raise BackupError(f"{folder}: damaged: {LISTING} cannot be read: {missing.strerror}.") from None
    if listing != manifest.listing:
        raise BackupError(f"{folder}: damaged: {LISTING} is not the list that the backup was made with.")
    return manifest


def read_listing(folder: Path) -> Iterator[CopiedFile]:
    """Yield every file of a backup.

    Raises:
        BackupError: a path leads out of the backup.
    """
    with (folder / LISTING).open(encoding="utf-8") as lines:
        for line in lines:
            file = CopiedFile(**json.loads(line))
            path = PurePosixPath(file.path)
            if path.is_absolute() or ".." in path.parts:
                raise BackupError(f"{folder / LISTING}: {file.path!r} leads out of the backup.")
            yield file
