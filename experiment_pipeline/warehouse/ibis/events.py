"""Events where they lie: the rows that a scope reads, as an Ibis expression that compiles for every engine (N1, N2)."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis

from experiment_pipeline.domain.events import EXPOSURE_EVENT

EVENT_ROWS = "event_rows"  # what the engine's own SQL gives: sql/<engine>/events.sql
OLDEST_MS = 1_577_836_800_000  # 2020-01-01, rule E3
DAY_MS = 86_400_000
EVENT_KEY = ("event", "feature_name", "identifier", "at_ms", "value", "event_id")  # rule E4, of one environment
SCHEMA = {
    "environment_key": "string",
    "event": "string",
    "feature_name": "string",
    "identifier": "string",
    "value": "string",
    "numeric_value": "float64",
    "timestamp": "timestamp('UTC')",
    "at_ms": "int64",
    "event_id": "string",
    "loaded_us": "int64",
    "lengths_hold": "boolean",
    "traits": "string",  # JSON, read by `properties` alone
    "metadata": "string",
    "event_hash": "string",  # of rule E4, as a text that is in the order of the lake's numbers; decides ties (M15)
}


def event_rows() -> Any:
    """Return the table that every expression starts from; its columns are those of `SCHEMA`."""
    return ibis.table(SCHEMA, name=EVENT_ROWS)


def read_events(environment_key: str, names: Collection[str], start: datetime, end: datetime, data_version: int) -> Any:
    """Return the rows of some kinds of events in `[start, end)` that keep rules E1 to E3, duplicates among them.

    Args:
        environment_key: of the events.
        names: of the events.
        start: UTC, inclusive; the engine prunes partitions by both bounds.
        end: UTC, exclusive.
        data_version: rows loaded at or before these microseconds since 1970 are read (rule N4).
    """
    in_window = in_scope(event_rows(), environment_key, names, start, end, data_version)
    return in_window.filter(*_contract(in_window))


def in_scope(  # noqa: PLR0917 - as `read_events`
    rows: Any, environment_key: str, names: Collection[str], start: datetime, end: datetime, data_version: int
) -> Any:
    """Return those of the rows that `read_events` judges by rules E1 to E3."""
    return rows.filter(
        rows.environment_key == environment_key,
        rows.event.isin(sorted(names)),
        rows.timestamp >= _moment(start),
        rows.timestamp < _moment(end),
        rows.loaded_us <= data_version,
    )


def _contract(rows: Any) -> list[Any]:
    """Return what rules E1 to E3 ask of a row that has its columns' types; rows that break it are not read (N10)."""
    is_exposure = rows.event == EXPOSURE_EVENT
    names_flag = (rows.value.fill_null("") != "") & (rows.feature_name.fill_null("") != "")
    return [
        rows.lengths_hold,
        rows.at_ms >= OLDEST_MS,
        rows.at_ms * 1000 <= rows.loaded_us + DAY_MS * 1000,
        ~is_exposure | names_flag,
    ]


def _moment(at: datetime) -> Any:
    """Return a time in whole milliseconds as a literal; what is later within one is read by the next."""
    whole = at.astimezone(UTC)
    up = timedelta(microseconds=-whole.microsecond % 1000)
    return ibis.literal(whole + up, type="timestamp('UTC')")
