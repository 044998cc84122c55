"""Landing of a source's rows: one folder a range, visible as a whole or not at all (rule D2).

A folder is written under a name that begins with a dot and renamed once everything in it is durable. A bucket has no
folders to rename: there a range counts once its `COMPLETE` is there, which is written last. The name is made of the
source and the range, so that a range that is read again, because the process died, lands in the same place.
"""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import overload

import polars as pl

from experiment_pipeline.durable_files import make_folder, sync
from experiment_pipeline.landing.layout import ENVIRONMENT_FOLDER, EVENTS
from experiment_pipeline.landing.source_objects import COMPLETE, SOURCES
from experiment_pipeline.storage.files import remove_folder, replacing
from experiment_pipeline.storage.object_path import ObjectPath, StoragePath


@overload
def folder_of_range(landing: Path, environment_key: str, source: str, name: str) -> Path: ...


@overload
def folder_of_range(landing: StoragePath, environment_key: str, source: str, name: str) -> StoragePath: ...


def folder_of_range(landing: StoragePath, environment_key: str, source: str, name: str) -> StoragePath:
    """Return the folder of a range."""
    return landing / EVENTS / f"{ENVIRONMENT_FOLDER}{environment_key}" / SOURCES / source / name


def has_landed(folder: StoragePath) -> bool:
    """Return whether the range of a folder has landed."""
    return folder.exists() if isinstance(folder, Path) else (folder / COMPLETE).exists()


def landed_files(folder: StoragePath) -> Iterator[StoragePath]:
    """Yield the objects of a range that has landed."""
    yield from folder.glob("*.parquet")


def land(frames: Iterable[pl.DataFrame], folder: StoragePath) -> int:
    """Write records as landing objects of one folder, and make them visible together.

    Args:
        frames: records, each frame one object.
        folder: see `folder_of_range`; what a process that died has left of it is replaced.

    Returns:
        The number of records. Where there are none, no folder is made.
    """
    discard(folder)
    if isinstance(folder, ObjectPath):
        return _land_in_bucket(frames, folder)
    hidden = _hidden(folder)
    make_folder(hidden)
    try:
        records = sum(_write(frame, hidden / f"part-{number:05}.parquet") for number, frame in enumerate(frames))
        if records:
            sync(hidden)
            hidden.rename(folder)
            sync(folder.parent)
    finally:
        discard(folder)
    return records


def discard(folder: StoragePath) -> None:
    """Remove what is written of a folder and not visible yet."""
    if isinstance(folder, Path):
        shutil.rmtree(_hidden(folder), ignore_errors=True)
    elif not has_landed(folder):
        remove_folder(folder)


def _land_in_bucket(frames: Iterable[pl.DataFrame], folder: ObjectPath) -> int:
    records = 0
    for number, frame in enumerate(frames):
        if frame.height:
            with replacing(folder / f"part-{number:05}.parquet") as file:
                frame.write_parquet(file)
            records += frame.height
    if records:
        (folder / COMPLETE).write_text("")
    return records


def _hidden(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}")


def _write(frame: pl.DataFrame, path: Path) -> int:
    if frame.height:
        frame.write_parquet(path)
        sync(path)
    return frame.height
