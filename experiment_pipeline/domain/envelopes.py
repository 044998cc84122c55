"""Envelopes: the SDKs' `{"events": [record, ...]}` becomes records that are judged one by one (rule E3).

Each record is judged by its own text. If one record is not JSON (NaN, a raw control character, a byte that is not
UTF-8, nesting without end), its neighbours still count. Only when an envelope as a whole is not JSON, its brackets and
strings are followed to find where each record ends, and each record is decoded by itself.
"""

import re
from collections.abc import Callable

from experiment_pipeline.domain import events
from experiment_pipeline.domain.events import Unreadable
from experiment_pipeline.errors import NotJson

MOST_MEMBERS = 100  # of an envelope that is not JSON; an SDK's has a handful
NOT_UTF_8 = "\0"  # stands for bytes that are not text: JSON allows it nowhere, not even in strings
SURROGATES = re.compile("[\ud800-\udfff]+")
SPACE = " \t\r\n"
# Possessive: no string is tried a second way, so that the time stays linear. A lone quote opens what never ends.
TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},"]', re.DOTALL)
BEGINNING = re.compile(rf"[\ufeff{SPACE}]*+\{{")  # some clients write a byte order mark before their text
EMPTY = re.compile(rf"\[[{SPACE}]*+\]")
NEXT = re.compile(rf"[{SPACE}]*+[,}}]")
MEMBER = re.compile(rf'[{SPACE}]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")[{SPACE}]*+:[{SPACE}]*+', re.DOTALL)


def text_of(data: bytes) -> str:
    """Return bytes as text. Bytes that are not UTF-8 become `NOT_UTF_8`, so that their record is not JSON either."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return SURROGATES.sub(NOT_UTF_8, data.decode(errors="surrogateescape"))


def decode_record(text: str) -> object:
    """Return one decoded record, `Unreadable` where its text is not JSON."""
    try:
        return events.decode(text)
    except NotJson:
        return Unreadable(text.strip(SPACE))


def open_envelope(text: str, most: int | None = None) -> list[object] | None:
    """Return the decoded records of an envelope, `Unreadable` in place of what is not JSON; None for any other text.

    An envelope that breaks off, or whose brackets no longer tell one record from the next, ends with an `Unreadable`:
    the text from there on.

    Args:
        most: where the envelope is not JSON, stop after one record more than this; a caller that refuses so many need
            not wait for the rest.
    """
    try:
        body = events.decode(text)
    except NotJson:
        return _split(text, most)
    return body["events"] if events.is_envelope(body) else None


def without_records(text: str, is_dropped: Callable[[object], bool]) -> tuple[str, int]:
    """Return an envelope without some of its records, and how many these are; the text of the others stays as it is.

    Args:
        text: of an envelope, which `open_envelope` opens.
        is_dropped: is asked of each decoded record.
    """
    at = _records_begin(text)
    if at is None:
        return text, 0
    spans, end = _spans(text, at)
    kept = [text[start:stop] for start, stop in spans if not is_dropped(decode_record(text[start:stop]))]
    if len(kept) == len(spans):
        return text, 0
    return f"{text[: at + 1]}{','.join(kept)}{'' if end is None else text[end - 1 :]}", len(spans) - len(kept)


def _split(text: str, most: int | None) -> list[object] | None:
    """Return the records of an object that is not JSON as a whole; only the names of its other members are read."""
    values, at = _members(text)
    is_closed = at is not None and text[at : at + 1] == "}" and not text[at + 1 :].strip(SPACE)
    if "event" in values or "events" not in values or not text.startswith("[", values["events"]):
        return None
    spans, end = _spans(text, values["events"], most)
    records: list[object] = [decode_record(text[start:stop]) for start, stop in spans]
    if end is not None and not (is_closed and NEXT.match(text, end)) and (lost := text[end:].strip(SPACE)):
        records.append(Unreadable(lost))
    return records


def _members(text: str) -> tuple[dict[object, int], int | None]:
    """Return where the value of each member of an object begins, and where the members end; None if that is unknown."""
    beginning = BEGINNING.match(text)
    at = beginning.end() if beginning else None
    values: dict[object, int] = {}
    for _ in range(MOST_MEMBERS):
        member = None if at is None else MEMBER.match(text, at)
        if member is None:
            break
        values.setdefault(_name(member[1]), member.end())
        at = _end(text, member.end())
        if at is None or text[at] != ",":
            break
        at += 1
    return values, at


def _records_begin(text: str) -> int | None:
    """Return the position of the bracket that opens an envelope's records; None where the text is no envelope."""
    values, _ = _members(text)
    at = values.get("events")
    return at if "event" not in values and at is not None and text.startswith("[", at) else None


def _spans(text: str, opening: int, most: int | None = None) -> tuple[list[tuple[int, int]], int | None]:
    """Return where each record of the array that opens there begins and ends, and where the array ends.

    The end is None once that cannot be told any more: the last record goes to the end of the text then.
    """
    spans: list[tuple[int, int]] = []
    if (empty := EMPTY.match(text, opening)) is not None:
        return spans, empty.end()
    at = opening + 1
    while most is None or len(spans) <= most:
        end = _end(text, at)
        if end is None or text[end] == "}":
            spans.append((at, len(text)))
            break
        spans.append((at, end))
        at = end + 1
        if text[end] == "]":
            return spans, at
    return spans, None


def _end(text: str, at: int) -> int | None:
    """Return the position of the comma or bracket that ends the value beginning at `at`; None if it has no such end."""
    depth = 0
    for token in TOKEN.finditer(text, at):
        kind = token[0]
        if kind in ("[", "{"):
            depth += 1
        elif kind == '"':
            return None
        elif kind in ("]", "}", ","):
            if not depth:
                return token.start()
            depth -= kind != ","
    return None


def _name(literal: str) -> object:
    return decode_record(literal) if "\\" in literal else literal[1:-1]
