"""The writer that an installation's collector needs: of a local landing zone, of a bucket, or of a spool before it."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from experiment_pipeline.landing.object_writer import ObjectWriter
from experiment_pipeline.landing.spool import SpooledWriter
from experiment_pipeline.landing.writer import SegmentWriter
from experiment_pipeline.settings import Settings
from experiment_pipeline.storage.object_path import ObjectPath
from experiment_pipeline.storage.places import places_of


class LandingWriter(Protocol):
    """A writer of lines that reports them once they are durable."""

    def append(self, environment_key: str, lines: bytes) -> Future[None]:
        """Append whole lines; the future is done once they are durable. Raises Overloaded."""

    def start(self) -> None:
        """Take up what killed processes have left behind."""

    def close(self) -> None:
        """Write what waits, and stop."""

    def refusals(self) -> list[str]:
        """Return why events are being refused now, empty when none are."""


def open_writer(
    settings: Settings, *, on_sync: Callable[[float], None], on_put: Callable[[float], None]
) -> LandingWriter:
    """Return the writer of an installation's landing zone.

    Args:
        settings: of the installation.
        on_sync: is told the seconds of each sync of a local file.
        on_put: is told the seconds of each request to the object storage.
    """
    landing, age = places_of(settings).landing, settings.landing_object_age
    size, buffer = settings.landing_object_bytes, settings.collector_buffer_bytes
    if not isinstance(landing, ObjectPath):
        return SegmentWriter(landing, object_bytes=size, object_age=age, buffer_bytes=buffer, on_sync=on_sync)
    if settings.collector_acknowledges == "spool":
        spool = settings.spool_dir.absolute()
        return SpooledWriter(spool, landing, object_bytes=size, object_age=age, buffer_bytes=buffer, on_sync=on_sync)
    return ObjectWriter(
        landing,
        object_bytes=size,
        object_age=age,
        interval=settings.collector_interval,
        buffer_bytes=buffer,
        on_put=on_put,
    )
