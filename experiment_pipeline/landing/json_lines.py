"""JSON lines: reads one landing object to its end, compressed or not, damaged or not (rule E3)."""

import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import polars as pl

from experiment_pipeline.domain.envelopes import text_of
from experiment_pipeline.landing.documents import BYTE_ORDER_MARK, Part, document
from experiment_pipeline.landing.layout import is_gzip
from experiment_pipeline.landing.problems import Problem

GZIP_MAGIC = b"\x1f\x8b"
GZIP_WINDOW_BITS = 31  # how zlib is told to expect a gzip member
BEFORE_A_RECORD = BYTE_ORDER_MARK + b" \t"
LINE_BEGINNING = re.compile(rb"^(?:\xef\xbb\xbf)+", re.MULTILINE)
READ_BYTES = 1 << 20
GZIP_READ_BYTES = 64 << 10  # what is left of it is copied at the end of every member, and one may have twenty bytes
INFLATED_BYTES = 16 << 20  # of text that is had of a gzip member at once
FRAME_BYTES = 4 << 20  # of text in one frame: more does not fit the processor's cache
LINE_LIMIT = 64 << 20  # bytes; room for an envelope of a hundred thousand events
RECORD_KEPT = 65_535  # bytes of a longer line, to be stored with its reason
LONGEST_UNENDED = 1 << 20  # bytes of a line that is looked at where a member ends
MOST_CUTS = 16  # members that a line may be cut into and still be looked at: no more work than the line is long
NO_TEXT = b"\xff"  # never part of UTF-8

Lines = tuple[int, bytes]  # the number of the first of some whole lines, and these without the last one's newline


class LineReader:
    """Reads one object; once its lines are read, `problem` says what was wrong with the object, if anything.

    An object may have been put together from several: a line begins wherever one of them does, and a byte order mark at
    the beginning of a line belongs to no record.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem: Problem | None = None

    def lines(self) -> Iterator[pl.DataFrame]:
        """Yield frames `line` (UInt32, from 1) and `text`, of about `FRAME_BYTES`; blank lines are left out.

        Bytes that are not UTF-8 become `NOT_UTF_8`, and a line longer than `LINE_LIMIT` is cut and begins with it. A
        line that holds `NOT_UTF_8` is stored, and can never be JSON.
        """
        problem, beginning, parts = document(self._text())
        if problem is None:
            yield from _frames(self._lines_of(parts, is_array=beginning.startswith(b"[")))
        else:
            self.problem = problem
            yield _frame((NO_TEXT + beginning[:RECORD_KEPT]).replace(b"\n", b" "), 1)

    def whole_lines(self) -> Iterator[Lines]:
        """Yield some whole lines at a time, with the number of the first, blank ones and byte order marks among them.

        An object that is one JSON value over several lines has no lines: `problem` says so.
        """
        problem, beginning, parts = document(self._text())
        if problem is None:
            yield from self._lines_of(parts, is_array=beginning.startswith(b"["))
        else:
            self.problem = problem

    def _lines_of(self, parts: Iterator[Part], *, is_array: bool) -> Iterator[Lines]:
        first_line, cuts = 1, 0
        rest = bytearray()  # grows in place: a line may come in millions of parts
        for data, is_beginning in parts:
            if is_beginning and rest and cuts < MOST_CUTS and data.lstrip(BEFORE_A_RECORD).startswith(b"{"):
                if _is_whole(rest):  # the text before ended without a newline
                    yield first_line, bytes(rest)
                    first_line, rest = first_line + 1, bytearray()
                cuts += 1
            end = data.rfind(b"\n")
            if end >= 0:
                yield first_line, bytes(rest) + data[:end]
                first_line += data.count(b"\n")
                rest, cuts = bytearray(data[end + 1 :]), 0
            else:
                cuts = cuts if rest else 0
                rest += data
            if len(rest) > LINE_LIMIT:
                rest = bytearray(NO_TEXT + rest[:RECORD_KEPT])
        if rest.removeprefix(BYTE_ORDER_MARK):
            yield first_line, bytes(rest)
        elif first_line == 1 and self.problem is None:
            self.problem = Problem.EMPTY
        if is_array and first_line + bool(rest) == 2:
            self.problem = Problem.ONE_JSON_ARRAY

    def _text(self) -> Iterator[Part]:
        """Yield the text, and whether a text of its own begins with it."""
        try:
            with self._path.open("rb") as source:
                head = source.read(GZIP_READ_BYTES)
                if head.removeprefix(BYTE_ORDER_MARK).startswith(GZIP_MAGIC):
                    yield from self._inflated(head.removeprefix(BYTE_ORDER_MARK), source)
                    return
                if head and is_gzip(self._path.name):
                    self.problem = Problem.NOT_GZIP
                while head:
                    yield head, False
                    head = source.read(READ_BYTES)
        except FileNotFoundError:
            self.problem = Problem.MISSING

    def _inflated(self, data: bytes, source: BinaryIO) -> Iterator[Part]:
        """Yield every byte that can be had of one or more gzip members."""
        member, is_beginning, head = zlib.decompressobj(GZIP_WINDOW_BITS), True, b""
        while data:
            before = member.copy()
            try:
                text = member.decompress(data, INFLATED_BYTES)
            except zlib.error:
                self.problem = Problem.CORRUPT_GZIP
                yield head + _salvaged(before, data), is_beginning
                return
            head += text
            if not is_beginning or len(head) > len(BYTE_ORDER_MARK) or member.eof:
                yield head, is_beginning
                is_beginning, head = is_beginning and not head, b""
            data = member.unconsumed_tail or member.unused_data or source.read(GZIP_READ_BYTES)
            while member.eof and data and not (data := data.lstrip(b"\0")):  # gzip ignores what tapes are filled with
                data = source.read(GZIP_READ_BYTES)
            if member.eof and data:
                member, is_beginning = zlib.decompressobj(GZIP_WINDOW_BITS), True
        if not member.eof:
            yield head, is_beginning
            self.problem = Problem.TRUNCATED_GZIP


def _is_whole(line: bytes | bytearray) -> bool:
    """Return whether a line without an end is a record: some writers cut members anywhere, in the middle of one."""
    if len(line) > LONGEST_UNENDED or not line.rstrip(b" \t\r").endswith(b"}"):
        return False
    try:
        json.loads(LINE_BEGINNING.sub(b"", line))
    except (ValueError, RecursionError):
        return False
    return True


def _salvaged(member: "zlib._Decompress", data: bytes) -> bytes:
    """Return what can be read of a damaged stream before its first bad byte."""
    text: list[bytes] = []
    with suppress(zlib.error):
        text.extend(member.decompress(data[at : at + 1]) for at in range(len(data)))
    return b"".join(text)


def _frames(parts: Iterator[Lines]) -> Iterator[pl.DataFrame]:
    """Yield the same lines in frames; where reading fails, those before it, too."""
    held: list[bytes] = []
    first_line = size = 0
    try:
        for number, lines in parts:
            first_line = first_line if held else number
            held.append(lines)
            size += len(lines)
            if size >= FRAME_BYTES:
                yield _frame(b"\n".join(held), first_line)
                held, size = [], 0
    except Exception:
        if held:
            yield _frame(b"\n".join(held), first_line)
        raise
    if held:
        yield _frame(b"\n".join(held), first_line)


def _frame(data: bytes, first_line: int) -> pl.DataFrame:
    if not data.isascii() and BYTE_ORDER_MARK in data:  # the first is seen in a tenth of the time
        data = LINE_BEGINNING.sub(b"", data)
    numbered = _numbered(data, first_line)
    text = pl.col("text")
    if numbered.select(text.str.starts_with("{").all()).item():  # quickly seen, and none of them is blank
        return numbered
    return numbered.filter(text.str.strip_chars(" \t\r").str.len_bytes() > 0)


def _numbered(data: bytes, first_line: int) -> pl.DataFrame:
    try:
        decoded = data.decode()
    except UnicodeDecodeError:
        text = pl.Series([text_of(line) for line in data.split(b"\n")])
    else:
        # Takes a sixth of the time, but leaves out carriage returns, and inflates what looks like compressed data.
        if data.startswith(b"{") and b"\r" not in data:
            return pl.scan_lines(data, name="text", row_index_name="line", row_index_offset=first_line).collect()
        text = pl.Series([decoded]).str.split("\n").explode()
    return pl.DataFrame({"text": text}).with_row_index("line", offset=first_line)
