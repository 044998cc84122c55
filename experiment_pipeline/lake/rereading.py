"""Reading again: a landing object that changed after it was ingested, as a batch of its own (rules E4, E7)."""

import os
from dataclasses import dataclass, replace
from datetime import datetime

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.lake.batch_commits import BatchSummary
from experiment_pipeline.lake.ingestion import BatchLedger, exclusive_lock, finish_batch
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.soundness import require_sound
from experiment_pipeline.landing.landing_zone import listing_of
from experiment_pipeline.landing.layout import ENVIRONMENT_FOLDER, EVENTS
from experiment_pipeline.landing.listing import ObjectName
from experiment_pipeline.storage.object_path import ObjectPath, StoragePath

FIELD = "FILE"


@dataclass(frozen=True, slots=True)
class Reread:
    """The batch that an object was read again in, and its counts. `name` is its path below the landing zone."""

    name: str
    batch: int
    summary: BatchSummary


def read_again(
    lake: Lake, ledger: BatchLedger, landing: StoragePath, name: str, now: datetime, *, timezone: str | None = None
) -> Reread:
    """Ingest an object that has changed since it was ingested, as a batch of its own; an interrupted batch first.

    Records that are in the lake already count once (E4). Those that were changed in the object, or taken out of it,
    stay in the lake as they were.

    Args:
        name: the object's path below the landing zone, or any path to it.

    Raises:
        ConfigurationError: it is no object that was ingested, or has not changed since.
        UnsoundLake: the lake does not fit the ledger.
    """
    name = _below(landing, name)
    with exclusive_lock(lake.root):
        require_sound(lake.root, ledger)
        if (interrupted := ledger.open_batch()) is not None:
            summary = finish_batch(lake, ledger, landing, interrupted, now=now)
            if any(landed.name == name and landed.reading > 1 for landed in interrupted.objects):
                return Reread(name, interrupted.number, summary)
        ingested = ledger.ingested_files([name]).get(name)
        if ingested is None:
            raise ConfigurationError.of(FIELD, f"{name} was never ingested. See lake status, and lake ingest.")
        listing = listing_of(landing, ledger.planned_at, whole=True)
        found = listing.landed(ObjectName(name, name.split("/")[1].removeprefix(ENVIRONMENT_FOLDER)))
        if found is None:
            raise ConfigurationError.of(FIELD, f"{name} is not there, or cannot be read.")
        if ingested.is_same(found.bytes, found.modified_at) and None not in {ingested.modified_at, found.modified_at}:
            raise ConfigurationError.of(FIELD, f"{name} has not changed since batch {ingested.batch}.")
        # What its name says is when the first reading arrived; this one did when the file was written.
        arrival = listing.arrival_of_file(found)
        again = replace(found, reading=ingested.reading + 1, landed_at=arrival)
        batch = ledger.plan_batch([again], now, timezone)
        return Reread(name, batch.number, finish_batch(lake, ledger, landing, batch, now=now))


def _below(landing: StoragePath, given: str) -> str:
    """Return the path of an object below the landing zone, by that path or by any other."""
    if given.startswith(f"{EVENTS}/{ENVIRONMENT_FOLDER}"):
        return given
    if isinstance(landing, ObjectPath):
        name = given.removeprefix(f"{landing}/")
    else:
        name = os.path.relpath(os.path.abspath(given), os.path.abspath(landing))  # noqa: PTH100 - links stay links
    if not name.startswith(f"{EVENTS}/{ENVIRONMENT_FOLDER}"):
        raise ConfigurationError.of(FIELD, f"{given} is no object of the landing zone, {landing}/{EVENTS}.")
    return name
