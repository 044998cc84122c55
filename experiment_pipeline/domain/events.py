"""The event contract: one record becomes an `Event`, or is `Rejected` with the first reason found (rules E1-E5, E8).

A record is a JSON object. It arrives alone, or beside others in the SDKs' envelope `{"events": [record, ...]}`:

    environment_key  optional; equal to the environment it is sent for
    event            the name; `$flag_exposure` is an exposure and `$identity_link` a link of two identities, no other
                     name may begin with `$`
    identifier       who; an integer is its decimal text
    feature_name     the flag; an exposure must have one, other events may
    value            text, number or boolean; an exposure's is the variant key, a link's the known identity, other
                     events may have one
    timestamp        epoch milliseconds (an integer) or RFC 3339 with an offset, which a landing time zone may replace
    traits           optional object
    metadata         optional object
    event_id         optional; tells two otherwise equal events apart (rule E4)

Null and absent are the same. `decode` and `parse` are the authority on every record. The lake's SQL accepts the plainly
valid ones by itself, as exactly these rows, and asks here about the rest.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeGuard
from zoneinfo import ZoneInfo

from experiment_pipeline.errors import NotJson

EXPOSURE_EVENT = "$flag_exposure"  # rule E2
LINK_EVENT = "$identity_link"  # rule D6: its identifier is anonymous, and its value the known one
RESERVED_PREFIX = "$"
NAME_LIMIT = 2_000  # characters, rule E3
VALUE_LIMIT = 65_535
RECORD_LIMIT = 65_535  # of a rejected record that is stored with its reason
OLDEST = datetime(2020, 1, 1, tzinfo=UTC)  # of timestamps, unless a source or an import says an earlier date
FUTURE_TOLERANCE = timedelta(hours=24)  # past the arrival stamp

FIELDS = (  # of a record; what else it holds is not kept (rule E1)
    "environment_key",
    "event",
    "feature_name",
    "identifier",
    "value",
    "timestamp",
    "traits",
    "metadata",
    "event_id",
)
ENVIRONMENT_KEY = re.compile(r"[A-Za-z0-9._-]{1,255}")  # rule E8
NUMERIC_VALUE = re.compile(r"[+-]?([0-9]++\.?[0-9]*+|\.[0-9]++)([eE][+-]?[0-9]++)?")  # rule E5; possessive: linear
RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:\.([0-9]+))?"
    r"([Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
INTEGER = re.compile(r"-?[0-9]+")
LONGEST_INTEGER = 18  # characters; what is longer lies beyond any calendar
NESTING_LIMIT = 100  # levels of traits and metadata


class Reason(StrEnum):
    """Why a record is rejected (rule E3). The first four stand with the field's name: `missing_field:identifier`."""

    MISSING_FIELD = "missing_field"
    BAD_TYPE = "bad_type"
    EMPTY = "empty"
    TOO_LONG = "too_long"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    RESERVED_EVENT = "reserved_event"
    BAD_TIMESTAMP = "bad_timestamp"
    TIMESTAMP_WITHOUT_ZONE = "timestamp_without_zone"
    TIMESTAMP_TOO_OLD = "timestamp_too_old"
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"
    ENVIRONMENT_MISMATCH = "environment_mismatch"
    UNKNOWN_ENVIRONMENT = "unknown_environment"
    UNREADABLE_RECORD = "unreadable_record"  # judging the record failed with an error that nobody foresaw
    UNREADABLE_OBJECT = "unreadable_object"  # the same for a landing object, from some line on

    def of(self, field: str) -> str:
        """Return the reason with the field that it is about."""
        return f"{self}:{field}"


@dataclass(frozen=True, slots=True)
class Event:
    """A record that keeps the contract. `timestamp` is UTC, whole milliseconds; traits and metadata are JSON text."""

    environment_key: str
    event: str
    feature_name: str | None
    identifier: str
    value: str | None
    timestamp: datetime
    traits: str | None
    metadata: str | None
    event_id: str | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that breaks the contract; `reason` is one of rule E3."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record whose text is not JSON. It takes the record's place among the decoded ones, and is rejected."""

    text: str


class Number(str):
    """A JSON number as it was written: duplicates are compared by this text (rule E4)."""

    __slots__ = ()


def decode(text: str) -> object:
    """Return the value of a JSON text (RFC 8259): no NaN, numbers as they were written, the first of equal names.

    Raises:
        NotJson: the text is not JSON, or is nested too deeply.
    """
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as broken:
        raise NotJson(str(broken)) from None


def is_envelope(body: object) -> TypeGuard[dict[str, list[object]]]:
    """Whether a decoded line or request body is the SDKs' `{"events": [...]}` rather than a record."""
    return isinstance(body, dict) and isinstance(body.get("events"), list) and "event" not in body


def parse(
    record: object,
    environment_key: str,
    landed_at: datetime,
    timezone: ZoneInfo | None = None,
    *,
    oldest: datetime = OLDEST,
) -> Event | Rejected:
    """Return the event that a decoded record is, or why it is rejected.

    Args:
        record: as `decode` returns it, or `Unreadable`.
        environment_key: an environment that exists; the record was sent for it.
        landed_at: its arrival stamp, UTC.
        timezone: of timestamps without an offset; without one they are rejected.
        oldest: an earlier timestamp is rejected; UTC.
    """
    if isinstance(record, Unreadable):
        return Rejected(Reason.NOT_JSON)
    if not isinstance(record, dict):
        return Rejected(Reason.NOT_AN_OBJECT)
    try:
        return _parse(record, environment_key, landed_at, timezone, oldest)
    except _Broken as broken:
        return Rejected(broken.reason)


def epoch_milliseconds(moment: datetime) -> int:
    """Return the whole milliseconds from 1970 to a UTC moment."""
    return (moment - EPOCH) // MILLISECOND


def numeric_value(value: str | None) -> float | None:
    """Return a value as a finite double; None where it is not a number (rule E5)."""
    if value is None or NUMERIC_VALUE.fullmatch(value) is None:
        return None
    number = float(value)
    return number if abs(number) != float("inf") else None


def record_text(record: object) -> str:
    """Return a decoded record as JSON again, or its text as it came, cut to the length that rejected records keep."""
    try:
        text = record.text if isinstance(record, Unreadable) else _json_text(record, NESTING_LIMIT)
    except _TooDeep:
        text = "nested too deeply"
    return text.encode(errors="replace").decode()[:RECORD_LIMIT]


class _TooDeep(Exception):
    """Traits or metadata nested beyond the limit."""


class _Broken(Exception):
    """Unwinds to `parse` with the first reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _parse(
    record: dict[str, object], environment_key: str, landed_at: datetime, timezone: ZoneInfo | None, oldest: datetime
) -> Event:
    claimed = _text(record, "environment_key", limit=None)
    if claimed is not None and claimed != environment_key:
        raise _Broken(Reason.ENVIRONMENT_MISMATCH)
    event = _name(record, "event")
    if event.startswith(RESERVED_PREFIX) and event not in {EXPOSURE_EVENT, LINK_EVENT}:
        raise _Broken(Reason.RESERVED_EVENT)
    identifier = _identifier(record)
    feature_name = _text(record, "feature_name", limit=NAME_LIMIT)
    value = _value(record)
    if event == EXPOSURE_EVENT:
        _require("feature_name", feature_name)
        _require("value", value)
    if event == LINK_EVENT and len(_require("value", value)) > NAME_LIMIT:
        raise _Broken(Reason.TOO_LONG.of("value"))
    return Event(
        environment_key=environment_key,
        event=event,
        feature_name=feature_name,
        identifier=identifier,
        value=value,
        timestamp=_timestamp(record, landed_at, timezone, oldest),
        traits=_object(record, "traits"),
        metadata=_object(record, "metadata"),
        event_id=_text(record, "event_id", limit=NAME_LIMIT) or None,
    )


def _text(record: dict[str, object], field: str, *, limit: int | None) -> str | None:
    found = record.get(field)
    if found is None:
        return None
    if not _is_text(found):
        raise _Broken(Reason.BAD_TYPE.of(field))
    if limit is not None and len(found) > limit:
        raise _Broken(Reason.TOO_LONG.of(field))
    return _encodable(found)


def _name(record: dict[str, object], field: str) -> str:
    return _require(field, _text(record, field, limit=NAME_LIMIT))


def _identifier(record: dict[str, object]) -> str:
    """Return the identity: many applications number theirs, and send the number."""
    found = record.get("identifier")
    if not (isinstance(found, Number) and INTEGER.fullmatch(found)):
        return _name(record, "identifier")
    if len(found) > NAME_LIMIT:
        raise _Broken(Reason.TOO_LONG.of("identifier"))
    return "0" if found == "-0" else str(found)


def _require(field: str, found: str | None) -> str:
    if found is None:
        raise _Broken(Reason.MISSING_FIELD.of(field))
    if not found:
        raise _Broken(Reason.EMPTY.of(field))
    return found


def _value(record: dict[str, object]) -> str | None:
    found = record.get("value")
    if isinstance(found, bool | Number):
        found = str(found).lower() if isinstance(found, bool) else str(found)
    elif found is not None and not _is_text(found):
        raise _Broken(Reason.BAD_TYPE.of("value"))
    if found is not None and len(found) > VALUE_LIMIT:
        raise _Broken(Reason.TOO_LONG.of("value"))
    return found if found is None else _encodable(found)


def _timestamp(record: dict[str, object], landed_at: datetime, timezone: ZoneInfo | None, oldest: datetime) -> datetime:
    found = record.get("timestamp")
    if found is None:
        raise _Broken(Reason.MISSING_FIELD.of("timestamp"))
    if isinstance(found, Number):
        milliseconds = _epoch_milliseconds(found)
    elif _is_text(found):
        milliseconds = _rfc_3339_milliseconds(found, timezone)
    else:
        raise _Broken(Reason.BAD_TYPE.of("timestamp"))
    if milliseconds < epoch_milliseconds(oldest):
        raise _Broken(Reason.TIMESTAMP_TOO_OLD)
    if milliseconds > epoch_milliseconds(landed_at + FUTURE_TOLERANCE):
        raise _Broken(Reason.TIMESTAMP_IN_FUTURE)
    return EPOCH + milliseconds * MILLISECOND


def _epoch_milliseconds(literal: Number) -> int:
    if not literal.removeprefix("-").isdigit():
        raise _Broken(Reason.BAD_TIMESTAMP)
    if len(literal) > LONGEST_INTEGER:
        raise _Broken(Reason.TIMESTAMP_TOO_OLD if literal.startswith("-") else Reason.TIMESTAMP_IN_FUTURE)
    return int(literal)


def _rfc_3339_milliseconds(text: str, timezone: ZoneInfo | None) -> int:
    parts = RFC_3339.fullmatch(text)
    if parts is None:
        raise _Broken(Reason.BAD_TIMESTAMP)
    date, time, fraction, offset = parts.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{time}{(offset or '').upper()}")
        if offset is None:
            moment = _in_zone(moment, timezone)
    except (ValueError, OverflowError):  # 30 February
        raise _Broken(Reason.BAD_TIMESTAMP) from None
    return (moment - EPOCH) // MILLISECOND + int(((fraction or "") + "000")[:3])


def _in_zone(local: datetime, timezone: ZoneInfo | None) -> datetime:
    """Return the moment of a local time: the first of two where clocks were set back, none where they were set on."""
    if timezone is None:
        raise _Broken(Reason.TIMESTAMP_WITHOUT_ZONE)
    moment = local.replace(tzinfo=timezone).astimezone(UTC)
    if moment.astimezone(timezone).replace(tzinfo=None) != local:
        raise _Broken(Reason.BAD_TIMESTAMP)
    return moment


def _object(record: dict[str, object], field: str) -> str | None:
    found = record.get(field)
    if found is None:
        return None
    if not isinstance(found, dict):
        raise _Broken(Reason.BAD_TYPE.of(field))
    try:
        return _encodable(_json_text(found, NESTING_LIMIT))
    except _TooDeep:
        raise _Broken(Reason.TOO_LONG.of(field)) from None


def _is_text(found: object) -> TypeGuard[str]:
    return isinstance(found, str) and not isinstance(found, Number)


def _encodable(text: str) -> str:
    """Return the text, or reject it as `not_json`: JSON can escape half a surrogate pair, which UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Broken(Reason.NOT_JSON) from None
    return text


def _json_text(value: object, levels: int) -> str:
    """Return compact JSON with its numbers as they were written, which `json.dumps` cannot do."""
    if isinstance(value, Number):
        return str(value)
    if not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if not levels:
        raise _TooDeep
    if isinstance(value, list):
        return "[" + ",".join([_json_text(item, levels - 1) for item in value]) + "]"
    members = [f"{json.dumps(name, ensure_ascii=False)}:{_json_text(item, levels - 1)}" for name, item in value.items()]
    return "{" + ",".join(members) + "}"


def _first_of_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, member in pairs:
        members.setdefault(name, member)
    return members


def _refuse(constant: str) -> object:
    raise NotJson(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_first_of_each, parse_float=Number, parse_int=Number, parse_constant=_refuse
)
