"""Files at a storage path, local or in a bucket: written as a whole, read locally.

Over a local folder these are the functions of `durable_files`. Over a bucket a file is written to the local scratch
folder first and sent by one request, which is its atomic rename: no reader sees a part of it.
"""

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Protocol

from experiment_pipeline import durable_files
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.storage.object_path import ObjectPath, StoragePath


class Connection(Protocol):
    """A connection to DuckDB that can be told of other file systems."""

    def list_filesystems(self) -> list[str]:
        """Return the protocols that are known."""

    def register_filesystem(self, filesystem: object, /) -> None:
        """Make a file system known."""


@contextmanager
def replacing(target: StoragePath) -> Iterator[Path]:
    """Yield a temporary local path that replaces `target` in one step when the block succeeds; it is always removed."""
    if isinstance(target, Path):
        with durable_files.replacing(target) as temporary:
            yield temporary
        return
    with _scratch(target) as temporary:
        yield temporary
        target.upload(temporary)


@contextmanager
def adding(target: StoragePath) -> Iterator[Path]:
    """Yield a local path to write a new file to, which is at `target` when the block succeeds; `sync` makes it last."""
    if isinstance(target, Path):
        target.parent.mkdir(parents=True, exist_ok=True)
        yield target
        return
    with replacing(target) as temporary:
        yield temporary


@contextmanager
def local_copy(path: StoragePath) -> Iterator[Path]:
    """Yield a local file of the same content: the file itself, or a copy for the block. Raises FileNotFoundError."""
    if isinstance(path, Path):
        yield path
        return
    with _scratch(path) as copy:
        path.download(copy)
        yield copy


def whole(path: StoragePath) -> Path | BinaryIO:
    """Return a file for a reader that takes paths and open files; of a bucket, its content by one request."""
    return path if isinstance(path, Path) else path.open("rb")


def local_folder(path: StoragePath) -> Path:
    """Return a local folder.

    Raises:
        ConfigurationError: the path is in an object storage, and the caller can work on local folders alone.
    """
    if isinstance(path, Path):
        return path
    raise ConfigurationError.of("storage", f"{path} is in an object storage; this works on local folders alone.")


def make_folder(path: StoragePath) -> None:
    """Make a local folder and its parents, synced to the disk; a bucket has none."""
    if isinstance(path, Path):
        durable_files.make_folder(path)


def remove_folder(path: StoragePath) -> None:
    """Remove everything below a path, as far as that is possible."""
    if isinstance(path, Path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        for each in path.below():
            each.path.unlink(missing_ok=True)


def make_parents(path: StoragePath) -> None:
    """Make the local folders above a path; a bucket has none."""
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)


def sync(path: StoragePath) -> None:
    """Wait until a local file or folder is written to the disk; what a bucket has answered is durable."""
    if isinstance(path, Path):
        durable_files.sync(path)


def present(paths: Collection[str], root: StoragePath) -> set[str]:
    """Return those of some files below a root that are there. A bucket is asked by listings, not one by one."""
    if isinstance(root, Path):
        return {path for path in paths if os.path.exists(path)}  # noqa: PTH110 - asked of every file
    folders = {path.rpartition("/")[0].removeprefix(str(root)).strip("/") for path in paths}
    found = {str(each.path) for folder in folders for each in (root / folder).below()}
    return found.intersection(paths)


def files_below(root: StoragePath, pattern: str) -> list[StoragePath]:
    """Return the files below a path, at any depth, whose names match a pattern; sorted. None where it is not there."""
    if isinstance(root, Path):
        return sorted(root.rglob(pattern))
    return [each.path for each in root.below() if fnmatchcase(each.path.name, pattern)]


def readable(path: StoragePath | str) -> str:
    """Return a file for DuckDB's `read_parquet`, which takes paths for patterns; URLs hold none of their signs."""
    return escape(str(path))


def know_bucket(connection: Connection, root: StoragePath) -> None:
    """Make a connection to DuckDB read the bucket of a path; its own extension for that would have to be downloaded."""
    if isinstance(root, Path):
        return
    from obstore.fsspec import FsspecStore

    protocol: Any = root.bucket.partition(":")[0]
    if protocol not in connection.list_filesystems():
        connection.register_filesystem(FsspecStore(protocol))


@contextmanager
def _scratch(path: ObjectPath) -> Iterator[Path]:
    path.scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="object-", dir=path.scratch) as folder:
        yield Path(folder, path.name)
