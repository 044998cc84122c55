"""Layout of the landing zone: immutable objects, `events/env_key=<key>/YYYY/MM/DD/HH/<object>`.

A writer makes an object visible in one step (write under a name that begins with a dot, then rename) and never touches
it again. A name may begin with the arrival stamp, `20260102T030405.678901Z-`; else the file's modification time counts.
Only the environment's folder has a meaning: an object may lie anywhere below it.
"""

import re
from datetime import UTC, datetime
from pathlib import Path

EVENTS = "events"
ENVIRONMENT_FOLDER = "env_key="
HIDDEN_PREFIXES = (".", "_")  # of a folder or file: what writers of every kind have not finished yet
JSON_LINES = (".jsonl", ".ndjson", ".json")
PARQUET = ".parquet"
GZIP = ".gz"
SUFFIXES = (*JSON_LINES, *(f"{suffix}{GZIP}" for suffix in JSON_LINES), PARQUET)  # in any case of letters
NAME_LIMIT = 1_024  # characters of an object's path below the landing zone, as the registry keeps it
STAMP_FORMAT = "%Y%m%dT%H%M%S.%fZ"
STAMP = re.compile(r"(\d{8}T\d{6})(?:\.(\d{1,6}))?Z-", re.ASCII)
BEYOND = datetime(9999, 1, 1, tzinfo=UTC)  # a day after its arrival has to be a date, too


def stamp(name: str) -> datetime | None:
    """Return the arrival stamp that an object's name begins with; None where it begins with none."""
    found = STAMP.match(name)
    if found is None:
        return None
    seconds, fraction = found.groups()
    try:
        moment = datetime.strptime(f"{seconds}.{fraction or 0}Z", STAMP_FORMAT).replace(tzinfo=UTC)
    except ValueError:  # 30 February
        return None
    return moment if moment < BEYOND else None


def stamped(moment: datetime) -> str:
    """Return the arrival stamp that `stamp` reads back, for the beginning of a name."""
    return f"{moment.strftime(STAMP_FORMAT)}-"


def folder_of(environment_key: str, arrived_at: datetime) -> Path:
    """Return the folder of an object, below the landing zone."""
    return Path(EVENTS, f"{ENVIRONMENT_FOLDER}{environment_key}", arrived_at.strftime("%Y/%m/%d/%H"))


def environment_of(name: str) -> str:
    """Return the environment of an object, by its path below the landing zone."""
    return name.split("/")[1].removeprefix(ENVIRONMENT_FOLDER)


def is_object(name: str) -> bool:
    """Return whether a file of this name holds events."""
    return name.lower().endswith(SUFFIXES)


def is_parquet(name: str) -> bool:
    """Return whether an object of this name is a Parquet file; the others are JSON lines."""
    return name.lower().endswith(PARQUET)


def is_gzip(name: str) -> bool:
    """Return whether an object of this name ought to be compressed."""
    return name.lower().endswith(GZIP)
