"""Landing objects to events: rules E1-E6, D5 and D7, one record at a time.

An event is a value: two records that are one event (rule E4) are equal here, so a set of events has no duplicates. Of
several deliveries of one event it keeps the first, with its traits and metadata.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

EXPOSURE = "$flag_exposure"
LINK = "$identity_link"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
OLDEST_MS = (datetime(2020, 1, 1, tzinfo=UTC) - EPOCH) // MILLISECOND
DAY_MS = 24 * 60 * 60 * 1000
LONGEST_NAME = 2_000
LONGEST_VALUE = 65_535

NUMERIC = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
ISO_WITH_OFFSET = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
ISO_WITHOUT_OFFSET = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class LandingObject:
    """One object as a producer wrote it; `content` is JSON lines, already unpacked.

    Of a source's object: its source, whether it replaces what the source has brought (rule D5), the cursor of every
    line where rows supersede earlier ones (rule D7), and the oldest milliseconds that it may have (rule E3).
    """

    name: str
    environment_key: str
    landed_at: datetime
    content: bytes
    source: str | None = None
    replaces: bool = False
    cursors: tuple[int, ...] = ()
    oldest_ms: int = OLDEST_MS


@dataclass(frozen=True)
class Event:
    """The parts that rule E4 compares, and beside them traits and metadata: JSON, numbers as they were written.

    `sent_as` is the identifier that it came with, where that is linked to another one (rule D6).
    """

    environment_key: str
    event: str
    feature_name: str | None
    identifier: str
    value: str | None
    timestamp: datetime
    event_id: str
    traits: dict[str, Any] | None = field(default=None, compare=False)
    metadata: dict[str, Any] | None = field(default=None, compare=False)
    sent_as: str | None = None

    @property
    def number(self) -> float | None:
        """The numeric value, rule E5."""
        return numeric_value(self.value)

    @property
    def hash(self) -> int:
        """The hash of rule E4 as the lake orders events by it: the MD5 of all parts, each with its length in bytes."""
        milliseconds = str((self.timestamp - EPOCH) // MILLISECOND)
        named = [self.environment_key, self.event, self.feature_name, self.sent_as or self.identifier]
        parts = [*map(_with_length, named), f"{milliseconds}:", _with_length(self.value), self.event_id]
        return int.from_bytes(hashlib.md5("".join(parts).encode(), usedforsecurity=False).digest(), "little")


@dataclass(frozen=True)
class Rejected:
    """A record that breaks the contract; `line` counts from 1."""

    reason: str
    object_name: str
    line: int


@dataclass(frozen=True)
class Batch:
    """Records of one ingestion: events that are new, how often known ones came again, and the rest.

    `removed` are events of earlier batches that leave with this one, before `new` ones come; some may be equal.
    """

    new: frozenset[Event]
    duplicates: int
    rejected: tuple[Rejected, ...]
    removed: frozenset[Event] = frozenset()


@dataclass(frozen=True)
class Origin:
    """Where an event came from: environment and source, its cursor, and its place in the order of all reading."""

    source: tuple[str, str] | None
    cursor: int | None
    place: tuple[int, int, int]


class _Refused(Exception):
    """Its text is the reason of rule E3."""


class JsonNumber(str):
    """A JSON number, kept as the text that was written: 1 and 1.0 are different values."""

    __slots__ = ()


def numeric_value(text: str | None) -> float | None:
    """Rule E5."""
    if text is None or not NUMERIC.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def ingest(batches: Sequence[Sequence[LandingObject]], environments: Iterable[str] | None = None) -> list[Batch]:
    """Every batch in turn; an event belongs to the earliest one that it came in (rules E4, E6).

    In a batch objects come in the order of their arrival stamps, and of their names where these are equal.
    `environments` are the known ones; None knows them all.
    """
    known_environments = None if environments is None else set(environments)
    stored: dict[Event, Origin] = {}
    ingested = []
    for number, objects in enumerate(batches):
        in_order = sorted(objects, key=lambda one: (one.landed_at, one.name))
        read, rejected = _read(number, in_order, known_environments)
        replaced = {(one.environment_key, one.source) for one in objects if one.replaces}
        removed = {event for event, origin in stored.items() if origin.source in replaced}
        outdated, superseded = _latest(read, {event: stored[event] for event in stored.keys() - removed})
        removed |= superseded
        for event in removed:
            del stored[event]
        new: dict[Event, Origin] = {}
        for position, (event, origin) in enumerate(read):
            if position not in outdated and event not in stored and event not in new:
                new[event] = origin
        stored |= new
        ingested.append(Batch(frozenset(new), len(read) - len(new), tuple(rejected), frozenset(removed)))
    return ingested


def _read(
    number: int, objects: Sequence[LandingObject], environments: set[str] | None
) -> tuple[list[tuple[Event, Origin]], list[Rejected]]:
    read: list[tuple[Event, Origin]] = []
    rejected = []
    for position, one in enumerate(objects):
        source = None if one.source is None else (one.environment_key, one.source)
        for line, outcome in _by_line(one, environments):
            if isinstance(outcome, Rejected):
                rejected.append(outcome)
            else:
                cursor = one.cursors[line - 1] if one.cursors and outcome.event_id else None
                read.append((outcome, Origin(source, cursor, (number, position, line))))
    return read, rejected


def _latest(read: list[tuple[Event, Origin]], stored: dict[Event, Origin]) -> tuple[set[int], set[Event]]:
    """Rule D7: the positions of rows that are no events, and the events that others supersede."""
    rows: dict[tuple[Any, str], list[int]] = {}
    for position, (event, origin) in enumerate(read):
        if origin.cursor is not None:
            rows.setdefault((origin.source, event.event_id), []).append(position)
    outdated, superseded = set(), set()
    for (source, event_id), positions in rows.items():
        best = max(positions, key=lambda position: _age(read[position][1]))
        outdated |= set(positions) - {best}
        event, origin = read[best]
        known = {one: of for one, of in stored.items() if of.source == source and one.event_id == event_id}
        newest = max(known, key=lambda one: _age(known[one]), default=None)
        if newest is not None and (
            _age(known[newest])[0] > _age(origin)[0] or (newest == event and known[newest].cursor == origin.cursor)
        ):
            outdated.add(best)
        else:
            superseded |= set(known)
    return outdated, superseded


def _age(origin: Origin) -> tuple[float, tuple[int, int, int]]:
    return (-math.inf if origin.cursor is None else origin.cursor), origin.place


def parse_object(landing_object: LandingObject, environments: set[str] | None = None) -> Iterator[Event | Rejected]:
    """Every record of an object: a line is a record, an envelope of records, or empty."""
    for _, outcome in _by_line(landing_object, environments):
        yield outcome


def _by_line(landing_object: LandingObject, environments: set[str] | None) -> Iterator[tuple[int, Event | Rejected]]:
    is_known = environments is None or landing_object.environment_key in environments
    for number, line in enumerate(landing_object.content.split(b"\n"), start=1):
        for outcome in _judge(line, landing_object):
            if is_known and isinstance(outcome, Event):
                yield number, outcome
            else:
                reason = str(outcome) if is_known else "unknown_environment"
                yield number, Rejected(reason, landing_object.name, number)


def _judge(line: bytes, source: LandingObject) -> Iterator[Event | _Refused]:
    if not line.strip():
        return
    for record in _records_of(line):
        try:
            yield _event(_loaded(record) if isinstance(record, bytes) else record, source)
        except _Refused as refused:
            yield refused


def _records_of(line: bytes) -> list[Any]:
    """A line's records: decoded, or as bytes where the line as a whole is no JSON."""
    try:
        parsed = _loaded(line)
    except _Refused:
        return _texts_in_envelope(line) or [line]
    if isinstance(parsed, dict) and isinstance(parsed.get("events"), list):
        return list(parsed["events"])
    return [parsed]


def _texts_in_envelope(line: bytes) -> list[bytes]:
    """The texts between the commas of the array that an envelope begins with; none in any other line."""
    beginning = re.match(rb'\s*\{\s*"events"\s*:\s*\[', line)
    if beginning is None:
        return []
    texts, start, depth, in_string, escaped = [], beginning.end(), 0, False, False
    for at in range(beginning.end(), len(line)):
        byte = line[at : at + 1]
        if in_string:
            in_string = escaped or byte != b'"'
            escaped = byte == b"\\" and not escaped
        elif byte == b'"':
            in_string = True
        elif byte in b"[{":
            depth += 1
        elif byte in b"]}" and depth:
            depth -= 1
        elif byte in b",]" and not depth:
            texts.append(line[start:at])
            start = at + 1
            if byte == b"]":
                break
    return texts


def _loaded(text: bytes) -> Any:
    try:
        return json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_first_of_each,
            parse_int=JsonNumber,
            parse_float=JsonNumber,
            parse_constant=_not_json,
        )
    except ValueError:
        raise _Refused("not_json") from None


def _first_of_each(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Rule M7: of equal names the first counts."""
    return dict(reversed(members))


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _event(record: Any, source: LandingObject) -> Event:
    if not isinstance(record, dict):
        raise _Refused("not_an_object")
    environment_key = _text(record, "environment_key")
    if environment_key is not None and environment_key != source.environment_key:
        raise _Refused("environment_mismatch")

    name = _name(record, "event", required=True)
    assert name is not None
    if name.startswith("$") and name not in (EXPOSURE, LINK):
        raise _Refused("reserved_event")
    is_exposure = name == EXPOSURE
    feature_name = _name(record, "feature_name", required=is_exposure)
    identifier = _name(record | {"identifier": _numbered(record.get("identifier"))}, "identifier", required=True)
    assert identifier is not None
    value = _value(record, required=is_exposure or name == LINK)
    if name == LINK and len(value or "") > LONGEST_NAME:
        raise _Refused("too_long:value")
    timestamp = _timestamp(record, source.landed_at, source.oldest_ms)
    for name_of_object in ("traits", "metadata"):
        if not isinstance(record.get(name_of_object), dict | None):
            raise _Refused(f"bad_type:{name_of_object}")
    return Event(
        environment_key=source.environment_key,
        event=name,
        feature_name=feature_name,
        identifier=identifier,
        value=value,
        timestamp=timestamp,
        event_id=_text(record, "event_id") or "",
        traits=record.get("traits"),
        metadata=record.get("metadata"),
    )


def _with_length(part: str | None) -> str:
    return "-" if part is None else f"{len(part.encode())}:{part}"


def _text(record: dict[str, Any], field: str) -> str | None:
    """A JSON string, or None where the field is null or absent."""
    content = record.get(field)
    if content is None:
        return None
    if isinstance(content, JsonNumber) or not isinstance(content, str):
        raise _Refused(f"bad_type:{field}")
    return content


def _numbered(identifier: Any) -> Any:
    """Rule E1: an integer stands for its decimal text."""
    if isinstance(identifier, JsonNumber) and re.fullmatch(r"-?[0-9]+", identifier):
        return "0" if identifier == "-0" else "".join(identifier)
    return identifier


def _name(record: dict[str, Any], field: str, *, required: bool) -> str | None:
    name = _text(record, field)
    if required and name is None:
        raise _Refused(f"missing_field:{field}")
    if required and name == "":
        raise _Refused(f"empty:{field}")
    if name is not None and len(name) > LONGEST_NAME:
        raise _Refused(f"too_long:{field}")
    return name


def _value(record: dict[str, Any], *, required: bool) -> str | None:
    """Rule E4: a value is text, whatever JSON type carried it."""
    content = record.get("value")
    if isinstance(content, bool):
        content = "true" if content else "false"
    if content is not None and not isinstance(content, str):
        raise _Refused("bad_type:value")
    if required and content is None:
        raise _Refused("missing_field:value")
    if required and content == "":
        raise _Refused("empty:value")
    if content is not None and len(content) > LONGEST_VALUE:
        raise _Refused("too_long:value")
    return None if content is None else str(content)


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _timestamp(record: dict[str, Any], landed_at: datetime, oldest_ms: int) -> datetime:
    content = record.get("timestamp")
    if content is None:
        raise _Refused("missing_field:timestamp")
    if isinstance(content, JsonNumber) and re.fullmatch(r"-?[0-9]+", content):
        milliseconds = int(content)
    elif isinstance(content, str) and not isinstance(content, JsonNumber) and ISO_WITH_OFFSET.fullmatch(content):
        try:
            milliseconds = (datetime.fromisoformat(content) - EPOCH) // MILLISECOND
        except ValueError:
            raise _Refused("bad_timestamp") from None
    elif isinstance(content, str) and not isinstance(content, JsonNumber) and ISO_WITHOUT_OFFSET.fullmatch(content):
        raise _Refused("timestamp_without_zone" if _is_date(content[:10]) else "bad_timestamp")
    else:
        raise _Refused("bad_timestamp")
    if milliseconds < oldest_ms:
        raise _Refused("timestamp_too_old")
    if milliseconds > (landed_at - EPOCH) // MILLISECOND + DAY_MS:
        raise _Refused("timestamp_in_future")
    return EPOCH + milliseconds * MILLISECOND
