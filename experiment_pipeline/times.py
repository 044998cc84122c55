"""Times: UTC in ISO-8601, whole milliseconds, and ISO-8601 durations."""

import re
from datetime import datetime, timedelta

ISO_DURATION = re.compile(r"P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})S)?)?", re.ASCII)


def iso_utc(moment: datetime) -> str:
    """ISO-8601 with `Z`, milliseconds only when there are any."""
    timespec = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def to_milliseconds(moment: datetime) -> datetime:
    """Cut to whole milliseconds, the precision of events."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def parse_duration(value: object) -> timedelta:
    """Whole seconds, or ISO-8601 in days, hours, minutes and seconds."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9:
        return timedelta(seconds=value)
    found = ISO_DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None or not any(found.groups()):
        raise ValueError("Must be whole seconds or an ISO-8601 duration such as PT1H.")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """ISO-8601, e.g. `PT1H30M`."""
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    date = f"{duration.days}D" if duration.days else ""
    time = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number)
    return f"P{date}T{time}" if time else f"P{date}" if date else "PT0S"
