"""Ranges of a source: what one reading of it takes, planned before it is read (rule D2)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, order=True)
class SourceFile:
    """A file as it was when a range was planned; one of another size or time is read again.

    Attributes:
        path: from the root.
        bytes: its size.
        modified_at: UTC.
    """

    path: str
    bytes: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class RangeContent:
    """The content of a range: files, or rows within the bounds of a cursor, as texts; None for no bound.

    Attributes:
        files: those that are read.
        after: of the cursor. Of files the moment (RFC 3339) before which they were left, where one was said.
        until: of the cursor.
    """

    files: tuple[SourceFile, ...] = ()
    after: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class ReadSoFar:
    """The part of a source that has been read.

    Attributes:
        files: each as it was when it was read last.
        until: of the present cursor and connection, as text: the last value of the last range that landed.
        since: files that were modified earlier are left, UTC; None where none are.
        after: of the last range that landed.
        rows: of that range; None where nobody counted them.
    """

    files: Sequence[SourceFile] = ()
    until: str | None = None
    since: datetime | None = None
    after: str | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class SourceRange:
    """Rows that are read together and land as one folder.

    Attributes:
        source: its key.
        number: counts the ranges of the source from 1.
        version: of the source when it was planned (rule D5).
        name: of the landing folder, made of version, number, and what is read.
        planned_at: UTC.
        after: of the cursor, as text; rows up to here were read before. None for the first range. Of files the moment
            before which they were left.
        until: of the cursor, as text; the last value that is read.
        files: of a source of files.
        landed_at: UTC; None for a range that was planned and is to be read, again if need be.
        rows: that were read.
        records: that landed: several of a row, where the source has several mappings.
    """

    source: str
    number: int
    version: int
    name: str
    planned_at: datetime
    after: str | None = None
    until: str | None = None
    files: tuple[SourceFile, ...] = ()
    landed_at: datetime | None = None
    rows: int | None = None
    records: int | None = None


@dataclass(frozen=True, slots=True)
class SourceProgress:
    """The counts of what has been read of a source so far.

    Attributes:
        ranges: that have landed.
        rows: of these, as far as they were counted.
        records: that landed.
        landed_at: of the last one, UTC.
    """

    ranges: int
    rows: int
    records: int
    landed_at: datetime


@dataclass(frozen=True, slots=True)
class SourceFailure:
    """Why the last pull of a source did not work; no secret is in the message."""

    at: datetime
    message: str


def unread_files(
    found: Iterable[SourceFile], read: Iterable[SourceFile], since: datetime | None = None
) -> list[SourceFile]:
    """Return the files that are new or have changed since they were read, by path.

    Args:
        found: as they are now.
        read: as they were when each was read last.
        since: those that were modified earlier are left.
    """
    return sorted(file for file in set(found) - set(read) if since is None or file.modified_at >= since)
