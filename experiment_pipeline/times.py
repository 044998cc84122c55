"""Times: UTC in ISO-8601, whole milliseconds, durations, time zones, and moments that a wrong clock has left behind."""

import re
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

ISO_DURATION = re.compile(r"P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})S)?)?", re.ASCII)
CALENDAR = re.compile(r"P(\d+[YMWD])+(T.*)?", re.ASCII)
FRACTION = re.compile(r"PT?.*\d[.,]\d+[A-Z]", re.ASCII)
DURATION_EXPECTED = "Must be whole seconds or an ISO-8601 duration such as PT1H"
SHOWN = 60  # characters of what was found
CLOCK_TOLERANCE = timedelta(minutes=15)  # more than the clocks of one installation's machines differ


def iso_utc(moment: datetime) -> str:
    """Return a UTC moment in ISO-8601 with `Z`, with milliseconds only when there are any."""
    timespec = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def is_within(moment: datetime, interval: timedelta, now: datetime) -> bool:
    """Whether less than an interval has passed since a moment that was remembered.

    A moment further ahead than the interval was remembered while a clock was ahead that is right again: nothing waits
    for it. One that is not so far ahead makes the wait at most twice as long.
    """
    return abs(now - moment) < interval


def is_ahead(moment: datetime, now: datetime) -> bool:
    """Whether a moment lies so far ahead that only a wrong clock can have told it."""
    return moment > now + CLOCK_TOLERANCE


def to_milliseconds(moment: datetime) -> datetime:
    """Return a moment cut to whole milliseconds, the precision of events."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def parse_duration(value: object) -> timedelta:
    """Return a duration from a whole number of seconds, or from ISO-8601 in days, hours, minutes and seconds.

    Args:
        value: a timedelta, a whole number, or text such as `PT1H30M`

    Raises:
        ValueError: anything else
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9:
        return timedelta(seconds=value)
    found = ISO_DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None or not any(found.groups()):
        raise ValueError(f"{DURATION_EXPECTED}, {_why_no_duration(value)}.")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _why_no_duration(value: object) -> str:
    """Return what keeps a value from being a duration, with what to write instead where that is known."""
    text = "" if value is None else str(value)
    date = text.partition("T")[0]
    if isinstance(value, str) and "-" in text:
        return "not negative"
    if isinstance(value, float) or FRACTION.fullmatch(text):
        return "without fractions: write a smaller unit, such as PT90M"
    if CALENDAR.fullmatch(text) and "Y" in date:
        return "a year has no fixed length: write days, such as P365D"
    if CALENDAR.fullmatch(text) and "M" in date:
        minutes = date.partition("M")[0].lstrip("P")
        return f"a month has no fixed length: write days, such as P30D, or minutes, such as PT{minutes}M"
    if CALENDAR.fullmatch(text) and "W" in date:
        return "without weeks: write days, such as P14D"
    return f"got {'nothing' if value is None else repr(value)[:SHOWN]}"


def format_duration(duration: timedelta) -> str:
    """Return a duration in ISO-8601, e.g. `PT1H30M`."""
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    date = f"{duration.days}D" if duration.days else ""
    time = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number)
    return f"P{date}T{time}" if time else f"P{date}" if date else "PT0S"


def parse_time_zone(text: str) -> str:
    """Return the name of a time zone of the IANA database. Raises ValueError for another text."""
    try:
        ZoneInfo(text)
    except (ValueError, OSError, LookupError):
        near = get_close_matches(text, sorted(available_timezones()), n=1)
        meant = f". Did you mean {near[0]}?" if near else ""
        raise ValueError(f"{text!r} is no time zone of the IANA database{meant}") from None
    return text


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string", "format": "duration"}], "examples": ["PT1H", 3600]},
        mode="validation",
    ),
    WithJsonSchema({"type": "string", "format": "duration", "examples": ["PT1H"]}, mode="serialization"),
]
TimeZone = Annotated[str, AfterValidator(parse_time_zone), Field(examples=["Europe/Paris", "UTC"])]
