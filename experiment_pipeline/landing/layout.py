"""The landing zone: immutable objects of JSON lines, `events/env_key=<key>/YYYY/MM/DD/HH/*.jsonl[.gz]`, or Parquet.

A writer makes an object visible in one step (write under a name that begins with a dot, then rename) and never touches
it again. A name may begin with the arrival stamp, `20260102T030405.678901Z-`; else the file's modification time counts.
"""

import re
from datetime import UTC, datetime

EVENTS = "events"
HOUR_DEPTH = 4  # below the environment's folder: year, month, day, hour
ENVIRONMENT_FOLDER = "env_key="
SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
STAMP = re.compile(r"(\d{8}T\d{6})(?:\.(\d{1,6}))?Z-", re.ASCII)


def stamp(name: str) -> datetime | None:
    """The arrival stamp that an object's name begins with."""
    found = STAMP.match(name)
    if found is None:
        return None
    seconds, fraction = found.groups()
    try:
        return datetime.strptime(f"{seconds}.{fraction or 0}Z", "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:  # 30 February
        return None
