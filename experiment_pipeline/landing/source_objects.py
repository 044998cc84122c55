"""Landing objects of sources, `events/env_key=<key>/sources/<source>/<range>/<object>`: what their names say.

A range whose name begins with `again-` replaces what the source has brought before (rule D5): the batch that ingests it
removes these rows. A name goes on with the version of the source, `v3-`, which its rows carry, and where older events
than elsewhere are accepted with the day of the oldest ones, `since20150101-` (rule E3).
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

from experiment_pipeline.domain.events import EPOCH, OLDEST
from experiment_pipeline.landing.layout import ENVIRONMENT_FOLDER, EVENTS

SOURCES = "sources"
AGAIN = "again-"
COMPLETE = ".complete"  # of a range in a bucket, which has no folder to rename: an object that is written last
CURSOR_COLUMN = "source_cursor"  # of an object whose rows supersede earlier ones (rule D7): a whole number
OBJECT_OF_SOURCE = re.compile(
    rf"{EVENTS}/{ENVIRONMENT_FOLDER}(?P<environment_key>[^/]+)/{SOURCES}/(?P<source>[^/]+)/"
    rf"(?P<range>(?P<again>{AGAIN})?(?:v(?P<version>\d{{1,9}})-)?(?:since(?P<oldest>\d{{8}})-)?[^/]+)/[^/]+",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class SourceRangeName:
    """The range that an object of a source belongs to, as its name says it.

    Attributes:
        environment_key: of its events.
        source: its key.
        name: of the range's folder.
        version: of the source when the range was planned; None where the name has none.
        replaces: whether it takes the place of what the source has brought before.
        oldest: an event of the range that is earlier is rejected; UTC.
    """

    environment_key: str
    source: str
    name: str
    version: int | None
    replaces: bool
    oldest: datetime = OLDEST


def since_part(oldest: date | None) -> str:
    """Return the part of a range's name that lets older events in; empty where there are none."""
    return "" if oldest is None else f"since{oldest:%Y%m%d}-"


def oldest_of(name: str) -> datetime:
    """Return the moment (UTC) before which events of a landing object are rejected."""
    found = range_of(name)
    return OLDEST if found is None else found.oldest


def range_of(name: str) -> SourceRangeName | None:
    """Return the range that a landing object belongs to; None for one of no source."""
    found = OBJECT_OF_SOURCE.fullmatch(name)
    if found is None:
        return None
    return SourceRangeName(
        environment_key=found["environment_key"],
        source=found["source"],
        name=found["range"],
        version=int(found["version"]) if found["version"] else None,
        replaces=found["again"] is not None,
        oldest=_moment(found["oldest"]),
    )


def _moment(day: str | None) -> datetime:
    """Return the beginning of a day from 1970 on, at the latest the moment that counts everywhere."""
    if day is None:
        return OLDEST
    try:
        moment = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:  # 30 February
        return OLDEST
    return min(max(moment, EPOCH), OLDEST)
