"""Expiry: the landing zone lets go of objects that are in the lake, after a keep period (rule E7)."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from stat import S_ISREG

from experiment_pipeline.domain.batches import IngestedFile
from experiment_pipeline.landing.layout import ENVIRONMENT_FOLDER, EVENTS
from experiment_pipeline.landing.listing import Listing, modified_at
from experiment_pipeline.landing.object_listing import ObjectListing
from experiment_pipeline.storage.object_path import ObjectPath, StoragePath

LOOKUP = 1_000  # names asked of the ledger at once

StoredObjects = Callable[[Sequence[str]], Mapping[str, IngestedFile]]


@dataclass(frozen=True, slots=True)
class Removed:
    """Objects, their bytes, and empty folders that an expiry has removed."""

    objects: int = 0
    bytes: int = 0
    folders: int = 0


def remove_stored(landing: StoragePath, stored: StoredObjects, before: datetime) -> Removed:
    """Remove the objects that the ledger says are in the lake, and the empty folders of hours before a moment.

    An object of another size or time than was ingested stays, and so does what is reached through a link: both are not
    what the ledger speaks of.

    Args:
        landing: root of the landing zone.
        stored: returns those of so many names that may go, as their files were when they were ingested.
        before: folders of later hours, UTC, stay, empty or not: a writer may be about to use them.
    """
    if isinstance(landing, ObjectPath):
        return _remove_from_bucket(landing, stored)
    root, listing, objects, size = Path(os.path.realpath(landing)), Listing(landing), 0, 0
    names = listing.names()
    while some := [found.name for found in islice(names, LOOKUP)]:
        for name, ingested in stored(some).items():
            if _is_what_was_ingested(root, name, ingested):
                (root / name).unlink(missing_ok=True)
                objects, size = objects + 1, size + ingested.bytes
    return Removed(objects, size, remove_empty_folders(root, listing.folders, before))


def _remove_from_bucket(landing: ObjectPath, stored: StoredObjects) -> Removed:
    listing, objects, size = ObjectListing(landing), 0, 0
    names = listing.names()
    while some := [found.name for found in islice(names, LOOKUP)]:
        for name, ingested in stored(some).items():
            if listing.is_what_was_ingested(name, ingested):
                (landing / name).unlink(missing_ok=True)
                objects, size = objects + 1, size + ingested.bytes
    return Removed(objects, size)


def _is_what_was_ingested(root: Path, name: str, ingested: IngestedFile) -> bool:
    path = root / name
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    is_same = ingested.is_same(status.st_size, modified_at(status))
    return S_ISREG(status.st_mode) and is_same and not _is_behind_link(root, path.parent)


def _is_behind_link(root: Path, folder: Path) -> bool:
    return os.path.realpath(folder) != os.fspath(folder) or not folder.is_relative_to(root)


def remove_empty_folders(root: Path, folders: Collection[str], before: datetime) -> int:
    """Remove the empty folders of hours that are over, and of days, months and years that hold none any more."""
    removed = 0
    for path in sorted(folders, key=lambda path: path.count("/"), reverse=True):
        if _is_over(path, before) and not _is_behind_link(root, root / path):
            with suppress(OSError):  # it is not empty
                (root / path).rmdir()
                removed += 1
    return removed


def _is_over(path: str, before: datetime) -> bool:
    """Return whether a folder is one of `YYYY/MM/DD/HH`, or of those above, and its time ended before a moment."""
    match path.split("/"):
        case [folder, environment, *dates] if folder == EVENTS and environment.startswith(ENVIRONMENT_FOLDER) and dates:
            if not all(part.isascii() and part.isdigit() for part in dates):
                return False
            moment = (before.year, before.month, before.day, before.hour)
            return tuple(map(int, dates)) < moment[: len(dates)]
    return False
