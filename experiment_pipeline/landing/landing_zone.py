"""The landing zone: listed in a local folder or in a bucket, and noted what of it is known to be in the lake."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.errors import StorageUnavailable
from experiment_pipeline.landing.layout import ENVIRONMENT_FOLDER, EVENTS
from experiment_pipeline.landing.listing import Listing
from experiment_pipeline.landing.object_listing import ObjectListing, SettledHours
from experiment_pipeline.landing.settled import SETTLED, SETTLED_MARGIN, PlannedAt, read_settled, write_settled
from experiment_pipeline.storage.object_path import ObjectPath, StoragePath
from experiment_pipeline.times import is_within

AnyListing: TypeAlias = Listing | ObjectListing
WHOLE_EVERY = timedelta(days=1)  # a quick listing of a bucket becomes one of everything so often


def listing_of(landing: StoragePath, planned_at: PlannedAt, *, whole: bool) -> AnyListing:
    """Return a listing of the landing zone.

    Args:
        landing: its root.
        planned_at: returns when the ledger planned the batch of a number; None for a batch that it does not know.
        whole: list everything, and not only what may hold something new.
    """
    if isinstance(landing, Path):
        return Listing(landing, None if whole else read_settled(landing, planned_at))
    return ObjectListing(landing, None if whole else _read_hours(landing, planned_at))


def landed_environments(landing: StoragePath) -> set[str]:
    """Return the environments that objects have landed for, declared or not."""
    root = landing / EVENTS
    if isinstance(root, Path) and not root.is_dir():
        return set()
    names = (path.name for path in root.iterdir() if isinstance(path, ObjectPath) or path.is_dir())
    return {name.removeprefix(ENVIRONMENT_FOLDER) for name in names if name.startswith(ENVIRONMENT_FOLDER)}


def landed_objects(landing: StoragePath) -> Iterator[LandedObject]:
    """Yield every object of the landing zone that can be read, in order of their names."""
    listing: AnyListing = Listing(landing) if isinstance(landing, Path) else ObjectListing(landing)
    for name in listing.names():
        if (landed := listing.landed(name)) is not None:
            yield landed


def note_settled(landing: StoragePath, listing: AnyListing, batch: int, planned_at: PlannedAt) -> None:
    """Note that all that a listing has found is in the lake, where that spares the next one something."""
    if isinstance(landing, Path):
        assert isinstance(listing, Listing)  # noqa: S101 - `listing_of` made it
        write_settled(landing, listing, batch, planned_at)
    elif isinstance(listing, ObjectListing) and (planned := planned_at(batch)) is not None:
        _write_hours(landing, listing, {"batch": batch, "planned_at": planned.timestamp()})


def _read_hours(landing: ObjectPath, planned_at: PlannedAt) -> SettledHours | None:
    """Return the hours of the note; None where there is none of this ledger, or everything is to be listed again."""
    try:
        note = json.loads((landing / SETTLED).read_text())
        planned, whole_at = planned_at(note["batch"]), datetime.fromisoformat(note["whole_at"])
        is_known = planned is not None and planned.timestamp() == note["planned_at"]
        is_recent = is_within(whole_at, WHOLE_EVERY, datetime.now(UTC))
        return SettledHours(dict(note["up_to"]), whole_at) if is_known and is_recent else None
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None


def _write_hours(landing: ObjectPath, listing: ObjectListing, of_batch: dict[str, object]) -> None:
    up_to = listing.settled_up_to(SETTLED_MARGIN)
    if listing.settled is None or up_to != listing.settled.up_to:
        whole_at = (listing.begun if listing.settled is None else listing.settled.whole_at).isoformat()
        with suppress(StorageUnavailable):  # one that may only be read is listed whole
            (landing / SETTLED).write_text(json.dumps(of_batch | {"whole_at": whole_at, "up_to": up_to}))
