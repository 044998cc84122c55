"""Ranges of a source of files: those that are new or have changed since they were read (rules D1, D2)."""

import glob
import itertools
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from experiment_pipeline.domain.source_ranges import RangeContent, ReadSoFar, SourceFile, SourceRange, unread_files
from experiment_pipeline.domain.texts import printable, quoted
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.sources.file_rows import READABLE, FileRows, is_readable, kind_of
from experiment_pipeline.sources.file_states import are_unchanged, require_unchanged, state_of
from experiment_pipeline.times import iso_utc

DELTA_LOG, FILE_URL = "_delta_log", "file://"
HIDDEN = (".", "_")  # what a writer has not finished, and what is no data
FIELD = "files"
RANGE_FILES, RANGE_BYTES = 1_000, 1 << 30  # what one range holds at most, but for a single file that is larger


class FileRanges:
    """The files of a source: a path, a glob, a folder or a Delta table, with what is asked of their rows."""

    def __init__(self, files: str, query: str | None) -> None:
        self._files = files
        self._query = query

    def unread(
        self,
        read: ReadSoFar,
        since: datetime | None = None,
        *,
        now: datetime | None = None,  # noqa: ARG002 - what queries with a cursor need
    ) -> Iterator[RangeContent]:
        """Yield the files that are to be read, those of one range together.

        Args:
            read: what has landed before.
            since: leave out those that were modified earlier, now and in later pulls.
            now: not needed.

        Raises:
            ConfigurationError: there is no such file, one that cannot be read, or all that are new would be left.
        """
        new = unread_files(self.found(may_be_none=bool(read.files)), read.files, read.since)
        wanted = [file for file in new if since is None or file.modified_at >= since]
        if new and not wanted:
            newest = iso_utc(max(file.modified_at for file in new))
            raise ConfigurationError.of("--since", f"Would leave every file that is new: the last is of {newest}.")
        after = None if since is None else iso_utc(since)
        some: list[SourceFile] = []
        for file in wanted:
            if some and (len(some) == RANGE_FILES or sum(each.bytes for each in some) + file.bytes > RANGE_BYTES):
                yield RangeContent(tuple(some), after)
                some = []
            some.append(file)
        if some:
            yield RangeContent(tuple(some), after)

    def state(self, read: ReadSoFar) -> dict[str, int]:
        """Return how many files there are, and how many of them are new or have changed."""
        found = self.found()
        return {"files": len(found), "unread": len(unread_files(found, read.files, read.since))}

    def found(self, *, may_be_none: bool = False) -> list[SourceFile]:
        """Return the files as they are now.

        Raises:
            ConfigurationError: there is none and may not be none, or one of a kind that cannot be read.
        """
        paths = sorted(_paths(self._files))
        if not paths and not may_be_none:
            message = f"There is no file {quoted(self._files)} of a kind that can be read: {READABLE}."
            raise ConfigurationError.of(FIELD, message)
        for path in paths:
            kind_of(path, FIELD)
        return [state_of(path) for path in paths]

    def sample(self) -> FileRows:
        """Return the rows of the files, or of the last ones where there are many.

        Raises:
            ConfigurationError: there is no such file, it cannot be read, or the query is not one SELECT statement.
        """
        return self.rows(RangeContent(files=tuple(self.found()[-RANGE_FILES:])))

    def can_read_again(self, planned: SourceRange) -> bool:
        """Return whether the files of a range are still those that it was planned of."""
        return are_unchanged(planned.files)

    def rows(self, planned: RangeContent | SourceRange) -> FileRows:
        """Return the rows of the files of a range.

        Raises:
            ConfigurationError: a file is not what its name says, or the query is not one SELECT statement over it.
        """
        return FileRows([Path(file.path) for file in planned.files], query=self._query, field=FIELD)

    def require_unchanged(self, planned: SourceRange) -> None:
        """Refuse what was read where a file has changed meanwhile.

        Raises:
            Conflict: names the file.
        """
        require_unchanged(planned.files, "Pull the source again.")


def _paths(files: str) -> Iterator[Path]:
    if (Path(files) / DELTA_LOG).is_dir():
        yield from _delta_files(files)
        return
    named = Path(files)
    if named.is_file():  # whatever its name, which may look like a pattern
        yield named
        return
    fixed = named if named.is_dir() else _before_pattern(named)
    found = named.rglob("*") if named.is_dir() else map(Path, glob.iglob(files, recursive=True))  # noqa: PTH207 - any root
    yield from (path for path in found if _is_data(path, fixed) and path.is_file())


def _before_pattern(pattern: Path) -> Path:
    """Return the folders of a pattern before its first special character: these are meant, whatever their names."""
    parts = itertools.takewhile(lambda part: not glob.has_magic(part), pattern.parts)
    return Path(*parts)


def _is_data(path: Path, below: Path) -> bool:
    is_visible = not any(part.startswith(HIDDEN) for part in path.relative_to(below).parts)
    return is_visible and is_readable(path)


def _delta_files(folder: str) -> Iterator[Path]:
    """Yield the Parquet files that the newest version of a Delta table consists of."""
    try:
        table = DeltaTable(Path(folder).absolute().as_uri())
        files = table.file_uris()
        marked = next(iter(table.deletion_vectors()), None)
        renamed = table.metadata().configuration.get("delta.columnMapping.mode", "none")
    except DeltaError as broken:
        message = f"{quoted(folder)} is no Delta table that can be read: {printable(' '.join(str(broken).split()))}"
        raise ConfigurationError.of(FIELD, message) from broken
    if marked is not None or renamed != "none":
        message = (
            f"{quoted(folder)} is a Delta table with deletion vectors or mapped columns, whose files hold other rows"
        )
        raise ConfigurationError.of(FIELD, f"{message} or names than the table. Write it without them, e.g. by a copy.")
    root = table.table_uri.removeprefix(FILE_URL)  # as a URL is written; what follows it is named as on disk
    yield from (Path(folder) / file.removeprefix(FILE_URL).removeprefix(root) for file in files)
