"""Spool: events are acknowledged once they are on the local disk, and brought to the bucket by a thread of its own.

The spool is a local landing zone like any other. An object that is published there is written to the bucket under its
name, where there is none of it yet, and then removed. What a machine has acknowledged and not brought to the bucket is
lost with its disk.
"""

import os
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from experiment_pipeline.landing.expiry import remove_empty_folders
from experiment_pipeline.landing.listing import Listing
from experiment_pipeline.landing.writer import SegmentWriter
from experiment_pipeline.storage.object_path import ObjectPath

PASS_SECONDS = 1.0  # between two passes
RETRY_SECONDS = 5.0  # after a pass that failed
EMPTY_FOR = timedelta(hours=1)  # folders of hours that have been over for so long
log = structlog.get_logger(__name__)


class SpooledWriter(SegmentWriter):
    """A writer of a local landing zone whose objects go on to a bucket."""

    def __init__(self, spool: Path, landing: ObjectPath, **limits: object) -> None:
        super().__init__(spool, **limits)  # type: ignore[arg-type]
        self._spool, self._bucket = spool, landing
        self._stopped = threading.Event()
        self._uploading: threading.Thread | None = None

    def start(self) -> None:
        """Publish the segments of killed processes, and bring to the bucket what is in the spool."""
        super().start()
        if self._uploading is None:
            self._uploading = threading.Thread(target=self._upload_until_closed, name="spool", daemon=True)
            self._uploading.start()

    def close(self) -> None:
        """Write what waits, publish every open segment, try to bring all of it to the bucket, and stop."""
        super().close()
        self._stopped.set()
        if self._uploading is not None:
            self._uploading.join()
        with suppress(OSError):  # the next process does
            upload(self._spool, self._bucket)

    def _upload_until_closed(self) -> None:
        seconds = 0.0
        while not self._stopped.wait(seconds):
            try:
                upload(self._spool, self._bucket)
                seconds = PASS_SECONDS
            except OSError as error:
                log.warning("spool.not_uploaded", error=str(error))
                seconds = RETRY_SECONDS


def upload(spool: Path, landing: ObjectPath) -> int:
    """Bring every object of a spool to the bucket, oldest name first; return how many. Raises OSError."""
    listing, count = Listing(spool), 0
    for found in sorted(listing.names(), key=lambda each: each.name.rpartition("/")[2]):
        local = spool / found.name
        with suppress(FileNotFoundError):  # another process of this machine was faster
            with suppress(FileExistsError):
                (landing / found.name).create(local)
            local.unlink()
            count += 1
    remove_empty_folders(Path(os.path.realpath(spool)), listing.folders, datetime.now(UTC) - EMPTY_FOR)
    return count
