"""Listing: which objects lie in the landing zone."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.landing.layout import ENVIRONMENT_FOLDER, EVENTS, HOUR_DEPTH, SUFFIXES, stamp


def landed_objects(landing: Path, changed_since: datetime | None = None) -> Iterator[LandedObject]:
    """Every object of the landing zone, folder by folder in order of their names.

    changed_since: leaves out hours whose folder has got no new entry since; the others cost one look at each folder
    """
    for environment in sorted((landing / EVENTS).glob(f"{ENVIRONMENT_FOLDER}*")):
        key = environment.name.removeprefix(ENVIRONMENT_FOLDER)
        for path in _files(environment, changed_since, depth=0):
            if path.name.endswith(SUFFIXES) and not path.name.startswith("."):
                status = path.stat()
                yield LandedObject(
                    name=path.relative_to(landing).as_posix(),
                    environment_key=key,
                    landed_at=stamp(path.name) or _moment(status.st_mtime),
                    bytes=status.st_size,
                )


def _files(folder: Path, changed_since: datetime | None, depth: int) -> Iterator[Path]:
    # The inode's change time, for a copying tool may set a folder's modification time back.
    if depth == HOUR_DEPTH and changed_since is not None and _moment(folder.stat().st_ctime) < changed_since:
        return
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            yield from _files(folder / entry.name, changed_since, depth + 1)
        elif entry.is_file():
            yield folder / entry.name


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
