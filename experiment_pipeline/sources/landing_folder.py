"""Landing of a source's rows: one folder a range, visible as a whole or not at all (rule D2).

A folder is written under a name that begins with a dot and renamed once everything in it is durable. Its name is made
of the source and the range, so that a range that is read again, because the process died, lands in the same place.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from experiment_pipeline.durable_files import make_folder, sync
from experiment_pipeline.landing.layout import ENVIRONMENT_FOLDER, EVENTS
from experiment_pipeline.landing.source_objects import SOURCES


def folder_of_range(landing: Path, environment_key: str, source: str, name: str) -> Path:
    """Return the folder of a range; it exists once the range has landed."""
    return landing / EVENTS / f"{ENVIRONMENT_FOLDER}{environment_key}" / SOURCES / source / name


def land(frames: Iterable[pl.DataFrame], folder: Path) -> int:
    """Write records as landing objects of one folder, and make them visible together.

    Args:
        frames: records, each frame one object.
        folder: see `folder_of_range`; what a process that died has left of it is replaced.

    Returns:
        The number of records. Where there are none, no folder is made.
    """
    hidden = _hidden(folder)
    discard(folder)
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


def discard(folder: Path) -> None:
    """Remove what is written of a folder and not visible yet."""
    shutil.rmtree(_hidden(folder), ignore_errors=True)


def _hidden(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}")


def _write(frame: pl.DataFrame, path: Path) -> int:
    if frame.height:
        frame.write_parquet(path)
        sync(path)
    return frame.height
