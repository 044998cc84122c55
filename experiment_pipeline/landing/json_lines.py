"""JSON lines: reads one landing object to its end, compressed or not, damaged or not (rule E3)."""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import polars as pl

from experiment_pipeline.domain.envelopes import text_of
from experiment_pipeline.landing.layout import is_gzip
from experiment_pipeline.landing.problems import Problem

GZIP_MAGIC = b"\x1f\x8b"
GZIP = 31  # zlib's window bits for a gzip member
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
READ_BYTES = 1 << 20
FRAME_BYTES = 16 << 20  # of text in one frame
LINE_LIMIT = 64 << 20  # bytes; room for an envelope of a hundred thousand events
RECORD_KEPT = 65_535  # bytes of a longer line, to be stored with its reason
NO_TEXT = b"\xff"  # never part of UTF-8


class LineReader:
    """Reads one object; once its lines are read, `problem` says what was wrong with the object, if anything."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem: Problem | None = None

    def lines(self) -> Iterator[pl.DataFrame]:
        """Frames `line` (UInt32, from 1) and `text`, of about `FRAME_BYTES`; blank lines are left out.

        Bytes that are no UTF-8 become `NOT_UTF_8`, and a line longer than `LINE_LIMIT` is cut and begins with it: what
        holds it is stored and can never be JSON.
        """
        first_line, rest = 1, b""
        for data in self._text():
            whole, newline, tail = data.rpartition(b"\n")
            if newline:
                yield _frame(rest + whole, first_line)
                first_line += whole.count(b"\n") + 1
                rest = tail
            else:
                rest += tail
            if len(rest) > LINE_LIMIT:
                rest = NO_TEXT + rest[:RECORD_KEPT]
        if rest:
            yield _frame(rest, first_line)
        elif first_line == 1 and self.problem is None:
            self.problem = Problem.EMPTY

    def _text(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as source:
                head = source.read(READ_BYTES).removeprefix(BYTE_ORDER_MARK)
                if head.startswith(GZIP_MAGIC):
                    yield from self._inflated(head, source)
                    return
                if head and is_gzip(self._path.name):
                    self.problem = Problem.NOT_GZIP
                while head:
                    yield head
                    head = source.read(READ_BYTES)
        except FileNotFoundError:
            self.problem = Problem.MISSING

    def _inflated(self, data: bytes, source: BinaryIO) -> Iterator[bytes]:
        """Every byte that can be had of one or more gzip members."""
        member = zlib.decompressobj(GZIP)
        is_first = True
        while data:
            before = member.copy()
            try:
                text = member.decompress(data, FRAME_BYTES)
            except zlib.error:
                self.problem = Problem.CORRUPT_GZIP
                yield _salvaged(before, data)
                return
            yield text.removeprefix(BYTE_ORDER_MARK) if is_first else text
            is_first = False
            data = member.unconsumed_tail or member.unused_data or source.read(READ_BYTES)
            if member.eof and data:
                member = zlib.decompressobj(GZIP)
        if not member.eof:
            self.problem = Problem.TRUNCATED_GZIP


def _salvaged(member: "zlib._Decompress", data: bytes) -> bytes:
    """What a damaged stream still says before its first bad byte."""
    text: list[bytes] = []
    with suppress(zlib.error):
        text.extend(member.decompress(data[at : at + 1]) for at in range(len(data)))
    return b"".join(text)


def _frame(data: bytes, first_line: int) -> pl.DataFrame:
    try:
        text = pl.Series([data.decode()]).str.split("\n").explode()
    except UnicodeDecodeError:
        text = pl.Series([text_of(line) for line in data.split(b"\n")])
    numbered = pl.DataFrame({"text": text}).with_row_index("line", offset=first_line)
    return numbered.filter(pl.col("text").str.strip_chars(" \t\r").str.len_bytes() > 0)
