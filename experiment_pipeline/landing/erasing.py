"""Erasing from landing objects: each that holds records of an identity is replaced by one without them (rule E6).

A line keeps its number: one that is erased is blank. Another record of the same envelope keeps its text, and every
other line its bytes. The object keeps its name, and in a folder its file's time, so that its arrival is the same when
it is read again. A bucket gives it the time of its writing.
"""

import gzip
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import polars as pl

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.envelopes import decode_record, open_envelope, text_of, without_records
from experiment_pipeline.domain.erasures import ErasedIdentity
from experiment_pipeline.landing.documents import BYTE_ORDER_MARK
from experiment_pipeline.landing.json_lines import GZIP_MAGIC, LineReader
from experiment_pipeline.landing.layout import is_parquet
from experiment_pipeline.landing.object_reader import ObjectReader
from experiment_pipeline.landing.problems import Problem
from experiment_pipeline.storage.files import local_copy, replacing, sync
from experiment_pipeline.storage.object_path import StoragePath

LINE = "landing object's line"  # a column beside those of the file
READ_WHOLE = {None, Problem.EMPTY, Problem.NOT_JSON, Problem.ONE_JSON_ARRAY, Problem.ONE_JSON_OBJECT, Problem.NOT_GZIP}
BeforeReplacing = Callable[[int], None]  # told the new object's bytes before it takes the old one's place


@dataclass(frozen=True, slots=True)
class Erased:
    """The records of an identity in one object.

    Attributes:
        records: how many there are, or were.
        is_searched: whether the object could be read to its end; a damaged one may hold more.
    """

    records: int
    is_searched: bool = True


def search_object(landing: StoragePath, landed: LandedObject, identity: ErasedIdentity) -> Erased:
    """Return how many records of an identity an object holds; one that is gone holds none."""
    try:
        with local_copy(landing / landed.name) as path:
            return _searched(path, landed, identity)
    except FileNotFoundError:
        return Erased(0)


def _searched(path: Path, landed: LandedObject, identity: ErasedIdentity) -> Erased:
    if is_parquet(landed.name):
        lines, is_searched = _rows(path, landed, identity)
        return Erased(len(lines), is_searched)
    reader = LineReader(path)
    found = sum(records for _, records in _kept(reader, landed, identity))
    if _is_document(reader):
        return Erased(int(_names_identity(path, identity)))
    return Erased(found, reader.problem in READ_WHOLE)


def erase_from_object(
    landing: StoragePath, landed: LandedObject, identity: ErasedIdentity, before_replacing: BeforeReplacing
) -> None:
    """Replace an object by one without the records of an identity, in one step; its folder is synced.

    An object that is refused as a whole, because it is one JSON value, is emptied. Of a damaged one stays what can be
    read.
    """
    target = landing / landed.name
    with local_copy(target) as source, replacing(target) as temporary:
        if is_parquet(landed.name):
            _write_rows(source, landed, identity, temporary)
        else:
            _write_lines(source, temporary, landed, identity)
        shutil.copystat(source, temporary)
        before_replacing(temporary.stat().st_size)
    sync(target.parent)


def _write_lines(source: Path, target: Path, landed: LandedObject, identity: ErasedIdentity) -> None:
    with source.open("rb") as opened:
        head = opened.read(len(BYTE_ORDER_MARK) + len(GZIP_MAGIC)).removeprefix(BYTE_ORDER_MARK)
    with target.open("wb") as raw:
        out = _compressed(raw) if head.startswith(GZIP_MAGIC) else raw
        for lines, _ in _kept(LineReader(source), landed, identity):
            out.write(lines + b"\n")
        if out is not raw:
            out.close()


def _compressed(raw: BinaryIO) -> BinaryIO:
    return gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)  # type: ignore[return-value]


def _kept(reader: LineReader, landed: LandedObject, identity: ErasedIdentity) -> Iterator[tuple[bytes, int]]:
    """Yield whole lines without the identity's records, and how many these are."""
    for _, lines in reader.whole_lines():
        if not identity.may_be_in(lines):
            yield lines, 0
            continue
        kept = [_without(line, landed, identity) for line in lines.split(b"\n")]
        yield b"\n".join(line for line, _ in kept), sum(records for _, records in kept)


def _without(line: bytes, landed: LandedObject, identity: ErasedIdentity) -> tuple[bytes, int]:
    """Return a line without the identity's records, and how many these are."""
    if not identity.may_be_in(line):
        return line, 0
    text = text_of(line.removeprefix(BYTE_ORDER_MARK))
    is_erased = partial(identity.has_record, landed_at=landed.landed_at)
    if open_envelope(text) is None:
        return (b"", 1) if text.strip() and is_erased(decode_record(text)) else (line, 0)
    kept, records = without_records(text, is_erased)
    return (kept.encode(), records) if records else (line, 0)


def _rows(path: Path, landed: LandedObject, identity: ErasedIdentity) -> tuple[list[int], bool]:
    """Return the numbers of the rows of a Parquet file that are the identity's, from 1, and whether it can be read."""
    reader = ObjectReader(path.parent, path.name)
    found: list[int] = []
    for frame in reader.lines():
        may_be = frame.filter(pl.col("text").str.contains_any([identity.identifier, "\\"]))
        for line, text in may_be.select("line", "text").iter_rows():
            if identity.has_record(decode_record(text), landed.landed_at):
                found.append(line)
    return found, reader.error is None and reader.problem not in {Problem.NOT_PARQUET, Problem.UNREADABLE}


def _write_rows(source: Path, landed: LandedObject, identity: ErasedIdentity, target: Path) -> None:
    lines, _ = _rows(source, landed, identity)
    rows = pl.scan_parquet(source.absolute(), hive_partitioning=False, glob=False)
    numbered = rows.with_row_index(LINE, offset=1)
    numbered.filter(~pl.col(LINE).is_in(lines)).drop(LINE).sink_parquet(target)


def _is_document(reader: LineReader) -> bool:
    return reader.problem in {Problem.ONE_JSON_ARRAY, Problem.ONE_JSON_OBJECT}


def _names_identity(path: Path, identity: ErasedIdentity) -> bool:
    return identity.token.search(text_of(path.read_bytes())) is not None
