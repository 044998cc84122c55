"""Listing: which objects lie in the landing zone, and what lies there without being one (rules E6, E7).

A listing compares each folder's device, inode and change time with those recorded last time, and reads only folders
that differ. The change time moves whenever an entry is added, removed or renamed. No tool can set it back, while
copying tools do set modification times back. A folder that is moved in as a whole has a new name, or another inode than
the folder that had this name before.
"""

import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from errno import ELOOP, ENOENT, ENOTDIR
from pathlib import Path

from experiment_pipeline.domain.batches import IngestedFile, LandedObject
from experiment_pipeline.domain.events import EPOCH, OLDEST
from experiment_pipeline.landing.ignored import IgnoredFiles, IgnoredReason, ignored
from experiment_pipeline.landing.layout import (
    ENVIRONMENT_FOLDER,
    EVENTS,
    HIDDEN_PREFIXES,
    NAME_LIMIT,
    is_object,
    stamp,
)
from experiment_pipeline.landing.object_errors import affects_all_files


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as it was last read. Its entries are the same as long as its device, inode and change time are."""

    device: int
    inode: int
    changed_ns: int
    folders: tuple[str, ...]
    ignored: IgnoredFiles

    def is_same(self, status: os.stat_result) -> bool:
        """Return whether nothing has come, gone or been renamed in it since."""
        found = (status.st_dev, status.st_ino, status.st_ctime_ns)
        return found == (self.device, self.inode, self.changed_ns)


@dataclass(frozen=True, slots=True)
class SettledFolders:
    """Folders that hold only objects which are in the lake, by their paths below the landing zone.

    before_ns: a folder whose change time is later, by the file system's clock, is read again: it may have changed twice
        within one tick of that clock
    """

    folders: Mapping[str, Folder] = field(default_factory=dict)
    before_ns: int = 0


@dataclass(frozen=True, slots=True)
class ObjectName:
    """Path of an object below the landing zone, and the environment of its events."""

    name: str
    environment_key: str


class Listing:
    """One pass over the landing zone. The attributes are complete once `names` has been read to its end.

    begun_ns:   when it began, by this machine's clock
    folders:    folders that need not be read next time if they are still the same
    looked_into: those of them that were read this time
    ignored:    files and folders that are not objects
    unreadable: files and folders that cannot be read; they may be objects, or hold some
    changed:    objects that `compare` has found to be other files than were ingested
    """

    def __init__(self, landing: Path, settled: SettledFolders | None = None) -> None:
        self.begun_ns = time.time_ns()
        self.folders: dict[str, Folder] = {}
        self.looked_into: list[Folder] = []
        self.ignored = IgnoredFiles()
        self.unreadable = IgnoredFiles()
        self.changed = IgnoredFiles()
        self._root = os.fspath(landing)
        self._settled = settled or SettledFolders()

    def names(self) -> Iterator[ObjectName]:
        """Yield the objects of every folder that is looked into, folder by folder in order of their names."""
        self.ignored += self._beside_events()
        waiting: list[tuple[str, str | None, tuple[tuple[int, int], ...]]] = [(EVENTS, None, self._root_and_above())]
        while waiting:
            path, key, above = waiting.pop()
            visited = self._visit(path, above)
            if visited is None:
                continue
            folder, names = visited
            if key is not None:
                yield from (ObjectName(f"{path}/{name}", key) for name in names)
            above = (*above, (folder.device, folder.inode))
            for name in reversed(folder.folders):
                inherited = name.removeprefix(ENVIRONMENT_FOLDER) if key is None else key
                waiting.append((f"{path}/{name}", inherited, above))

    def landed(self, found: ObjectName) -> LandedObject | None:
        """Return an object with its size and arrival; None when it is gone or cannot be opened."""
        try:
            descriptor = os.open(f"{self._root}/{found.name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            self._not_read(found.name, error)
            self.folders.pop(found.name.rpartition("/")[0], None)  # to be looked into again, changed or not
            return None
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        return LandedObject(
            name=found.name,
            environment_key=found.environment_key,
            landed_at=self._arrival(stamp(found.name.rpartition("/")[2]), status.st_mtime),
            bytes=status.st_size,
            modified_at=modified_at(status),
        )

    def compare(self, name: str, ingested: IngestedFile) -> None:
        """Note an object that has changed since it was ingested; one that is gone, or cannot be asked, has not."""
        with suppress(OSError):
            status = os.stat(f"{self._root}/{name}")  # noqa: PTH116 - asked of every object
            if not ingested.is_same(status.st_size, modified_at(status)):
                self.changed += ignored(name, IgnoredReason.CHANGED)

    def _arrival(self, stamped: datetime | None, modified: float) -> datetime:
        return believable_arrival(stamped, modified, datetime.fromtimestamp(self.begun_ns / 1e9, UTC))

    def arrival_of_file(self, landed: LandedObject) -> datetime:
        """Return when an object's file was written, whatever its name says; when it was listed, if that cannot be."""
        begun = datetime.fromtimestamp(self.begun_ns / 1e9, UTC)
        modified = landed.modified_at
        return modified if modified is not None and OLDEST <= modified <= begun else begun

    def _visit(self, path: str, above: tuple[tuple[int, int], ...]) -> tuple[Folder, list[str]] | None:
        """Return a folder and its objects, none of them where it is known; None for one that cannot be entered."""
        try:
            status = os.stat(f"{self._root}/{path}")  # noqa: PTH116 - a Path costs more than the question
            if (status.st_dev, status.st_ino) in above:
                self.ignored += ignored(f"{path}/", IgnoredReason.LINK_LOOPS)
                return None
            known = self._settled.folders.get(path)
            if known is not None and known.changed_ns < self._settled.before_ns and known.is_same(status):
                self.folders[path] = known
                self.ignored += known.ignored
                return known, []
            with os.scandir(f"{self._root}/{path}") as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            self._not_read(f"{path}/", error)
            return None
        return self._look_into(path, status, entries)

    def _look_into(
        self, path: str, status: os.stat_result, entries: list["os.DirEntry[str]"]
    ) -> tuple[Folder, list[str]]:
        folders, objects, left, may_change = [], [], IgnoredFiles(), False
        for entry in entries:
            if entry.name.startswith("."):
                continue  # a writer's, until it is renamed
            try:
                is_folder = entry.is_dir()
                reason = _why_ignored(path, entry, is_folder=is_folder)
            except OSError as error:  # of a link's target
                if error.errno != ELOOP:
                    self._not_read(f"{path}/{entry.name}", error)
                    may_change = True
                    continue
                is_folder, reason = False, IgnoredReason.LINK_LOOPS
            if reason is not None:
                left += ignored(f"{path}/{entry.name}{'/' if is_folder else ''}", reason)
                may_change = may_change or reason in {IgnoredReason.BROKEN_LINK, IgnoredReason.LINK_LOOPS}
            elif is_folder:
                folders.append(entry.name)
            elif is_object(entry.name):
                objects.append(entry.name)
        folder = Folder(status.st_dev, status.st_ino, status.st_ctime_ns, tuple(folders), left)
        if not may_change:
            self.folders[path] = folder
            self.looked_into.append(folder)
        self.ignored += left
        return folder, objects

    def _root_and_above(self) -> tuple[tuple[int, int], ...]:
        """Identify the folders that the landing zone lies in: a link to one of them leads back here."""
        root = Path(os.path.realpath(self._root))
        found = []
        for folder in (root, *root.parents):
            with suppress(OSError):
                status = folder.stat()
                found.append((status.st_dev, status.st_ino))
        return tuple(found)

    def _beside_events(self) -> IgnoredFiles:
        """Return the files and folders beside `events/`, which are ignored."""
        found = IgnoredFiles()
        try:
            with os.scandir(self._root) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if entry.name != EVENTS and not entry.name.startswith(HIDDEN_PREFIXES):
                        slash = "/" if entry.is_dir(follow_symlinks=False) else ""
                        found += ignored(f"{entry.name}{slash}", IgnoredReason.WRONG_PLACE)
        except OSError as error:
            self._not_read("", error)
        return found

    def _not_read(self, name: str, error: OSError) -> None:
        """Note an entry that cannot be read, unless it has been deleted. Raise errors that are not about one file."""
        if error.errno in {ENOENT, ENOTDIR}:
            return
        if affects_all_files(error):
            raise error
        self.unreadable += ignored(name or "/", IgnoredReason.CANNOT_BE_READ)


def believable_arrival(stamped: datetime | None, modified: float, begun: datetime) -> datetime:
    """Return an object's arrival: its stamp, or its file's time.

    One before 2020 or ahead of the listing was told by a wrong clock, and gives way to the time of listing (E6).

    Args:
        stamped: the stamp of its name, if any.
        modified: its file's time, in seconds since 1970.
        begun: when the listing began, UTC.
    """
    if stamped is not None:
        return stamped if OLDEST <= stamped <= begun else begun
    is_believable = OLDEST.timestamp() <= modified <= begun.timestamp()
    return datetime.fromtimestamp(modified, UTC) if is_believable else begun


def modified_at(status: os.stat_result) -> datetime | None:
    """Return a file's time in whole microseconds; None where it is no date."""
    try:
        return EPOCH + timedelta(microseconds=status.st_mtime_ns // 1_000)
    except OverflowError:
        return None


def _why_ignored(path: str, entry: "os.DirEntry[str]", *, is_folder: bool) -> IgnoredReason | None:
    """Return the reason to ignore an entry; None for a folder to read or an object. Raises a link's OSError."""
    holds_events = is_folder or is_object(entry.name)
    if not (is_folder or entry.is_file()):
        is_link = stat.S_ISLNK(entry.stat(follow_symlinks=False).st_mode)
        return IgnoredReason.BROKEN_LINK if is_link and not _exists(entry) else IgnoredReason.NOT_A_FILE
    if entry.name.startswith(HIDDEN_PREFIXES):
        return IgnoredReason.HIDDEN if holds_events else None  # _SUCCESS and its like are nobody's events
    if not holds_events:
        return IgnoredReason.UNKNOWN_SUFFIX
    if path == EVENTS and not (is_folder and entry.name.startswith(ENVIRONMENT_FOLDER)):
        return IgnoredReason.WRONG_PLACE
    if not _is_text(entry.name):
        return IgnoredReason.NAME_NOT_TEXT
    return IgnoredReason.NAME_TOO_LONG if len(path) + 1 + len(entry.name) > NAME_LIMIT else None


def _exists(entry: "os.DirEntry[str]") -> bool:
    try:
        entry.stat()
    except FileNotFoundError:
        return False
    return True


def _is_text(name: str) -> bool:
    """Return whether a name is UTF-8; Python makes lone surrogates of the bytes that are not."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
