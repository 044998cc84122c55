"""JSON documents: objects that hold one JSON value over several lines, where a record a line is expected (rule E3)."""

import json
import re
from collections.abc import Iterator
from itertools import chain

from experiment_pipeline.landing.problems import Problem

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
WINDOW_BYTES = 1 << 20  # of text that is looked at
SPACE = b" \t\r\n"
# JSON has a comma between two members, and no string holds the end of a line: these are records, a line each.
TWO_LINES = re.compile(rb"\}[ \t\r]*\n\s*\{")

Part = tuple[bytes, bool]  # text, and whether a text of its own begins with it


def document(parts: Iterator[Part]) -> tuple[Problem | None, bytes, Iterator[Part]]:
    """Tell whether a text is one JSON value over several lines, from its beginning.

    The first line of JSON lines ends with the brace that ends its record, and costs no more than that look.

    Returns:
        What is wrong with the text, if anything; its beginning, and all its parts.
    """
    held: list[Part] = []
    text = bytearray()
    is_record = is_known = is_whole = False
    while len(text) < WINDOW_BYTES and not is_record:
        if (part := next(parts, None)) is None:
            is_whole = True
            break
        held.append(part)
        text += part[0][:WINDOW_BYTES]
        if not is_known and b"\n" in part[0]:
            text = bytearray(_stripped(text))
            line, newline, _ = text.partition(b"\n")
            is_known = bool(newline)
            is_record = is_known and line.startswith(b"{") and line.rstrip(SPACE).endswith(b"}")
    return (None if is_record else _problem(text, is_whole=is_whole)), _stripped(text), chain(held, parts)


def _problem(text: bytearray, *, is_whole: bool) -> Problem | None:
    stripped = _stripped(text).rstrip(SPACE)
    problem = {b"[": Problem.ONE_JSON_ARRAY, b"{": Problem.ONE_JSON_OBJECT}.get(stripped[:1])
    if problem is None or b"\n" not in stripped or TWO_LINES.search(stripped):
        return None
    if not is_whole:  # the second line of a broken record and its good neighbours is a record, with another below
        return problem if stripped.count(b"\n") > 1 else None
    try:
        json.loads(stripped)
    except (ValueError, RecursionError):
        return None
    return problem


def _stripped(text: bytearray) -> bytes:
    return bytes(text).removeprefix(BYTE_ORDER_MARK).lstrip(SPACE)
