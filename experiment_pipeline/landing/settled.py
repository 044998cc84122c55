"""The note of settled folders: a hint in the landing zone that spares looking into what is known to be in the lake.

It may be deleted at any time. It says nothing to another ledger than the one that it was written for: a registry that
was restored from a backup, or that of a second installation over the same landing zone.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from experiment_pipeline.durable_files import replacing
from experiment_pipeline.landing.ignored import Ignored, IgnoredFiles, IgnoredReason
from experiment_pipeline.landing.listing import Folder, Listing, SettledFolders

SETTLED = ".settled.json"
SETTLED_MARGIN = timedelta(minutes=15)  # more than the clocks of this machine and of a file server differ

PlannedAt = Callable[[int], datetime | None]


def read_settled(landing: Path, planned_at: PlannedAt) -> SettledFolders:
    """Return the folders that hold only objects which the ledger knows; none if no note of this ledger exists.

    planned_at: returns when the ledger planned the batch of a number; None for a batch that it does not know
    """
    try:
        note = json.loads((landing / SETTLED).read_text())
        planned = planned_at(note["batch"])
        if planned is None or planned.timestamp() != note["planned_at"]:
            return SettledFolders()
        folders = {path: _folder(fields) for path, fields in note["folders"].items()}
        return SettledFolders(folders, note["begun_ns"] - SETTLED_MARGIN // timedelta(microseconds=1) * 1_000)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return SettledFolders()


def write_settled(landing: Path, listing: Listing, batch: int, planned_at: PlannedAt) -> None:
    """Note the folders of a listing that found nothing new, where that spares the next one something."""
    planned = planned_at(batch)
    before_ns = listing.begun_ns - SETTLED_MARGIN // timedelta(microseconds=1) * 1_000
    spares = any(folder.changed_ns < before_ns for folder in listing.looked_into)
    if planned is None or not (spares or not (landing / SETTLED).exists()):
        return
    folders = {path: _fields(folder) for path, folder in listing.folders.items()}
    note = {"batch": batch, "planned_at": planned.timestamp(), "begun_ns": listing.begun_ns, "folders": folders}
    with suppress(OSError), replacing(landing / SETTLED) as target:  # one that may only be read is listed whole
        target.write_text(json.dumps(note, separators=(",", ":")))


def _fields(folder: Folder) -> list[object]:
    left = [[each.name, each.reason] for each in folder.ignored.first]
    return [folder.device, folder.inode, folder.changed_ns, folder.folders, folder.ignored.count, left]


def _folder(fields: list[Any]) -> Folder:
    device, inode, changed_ns, folders, count, left = fields
    first = tuple(Ignored(name, IgnoredReason(reason)) for name, reason in left)
    return Folder(device, inode, changed_ns, tuple(folders), IgnoredFiles(count, first))
