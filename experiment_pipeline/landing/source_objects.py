"""Landing objects of sources, `events/env_key=<key>/sources/<source>/<range>/<object>`: what their names say.

A range whose name begins with `again-` replaces what the source has brought before (rule D5): the batch that ingests it
removes these rows. A name goes on with the version of the source, `v3-`, which its rows carry.
"""

import re
from dataclasses import dataclass

from experiment_pipeline.landing.layout import ENVIRONMENT_FOLDER, EVENTS

SOURCES = "sources"
AGAIN = "again-"
CURSOR_COLUMN = "source_cursor"  # of an object whose rows supersede earlier ones (rule D7): a whole number
OBJECT_OF_SOURCE = re.compile(
    rf"{EVENTS}/{ENVIRONMENT_FOLDER}(?P<environment_key>[^/]+)/{SOURCES}/(?P<source>[^/]+)/"
    rf"(?P<range>(?P<again>{AGAIN})?(?:v(?P<version>\d{{1,9}})-)?[^/]+)/[^/]+",
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
    """

    environment_key: str
    source: str
    name: str
    version: int | None
    replaces: bool


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
    )
