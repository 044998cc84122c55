"""The event contract, record by record (rules E1-E5, E8)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from experiment_pipeline.domain import events
from experiment_pipeline.domain.events import Event, Number, Rejected, decode, parse
from experiment_pipeline.errors import NotJson
from tests.lake.ledger import NOW, exposure, record


def verdict(fields: object) -> Event | Rejected:
    return events.parse(events.decode(json.dumps(fields)), "prod", NOW)


def test_parse__e1__keeps_every_field_of_the_sdks_wire_form() -> None:
    assert verdict(exposure(event_id="e-1", environment_key="prod")) == Event(
        environment_key="prod",
        event="$flag_exposure",
        feature_name="checkout",
        identifier="ada",
        value="control",
        timestamp=datetime(2026, 2, 25, 6, 13, 20, tzinfo=UTC),
        traits='{"plan":"pro"}',
        metadata='{"sdk_version":"6.3.0"}',
        event_id="e-1",
    )


@pytest.mark.parametrize("absent", [None, ...])
def test_parse__e1__other_events_need_only_event_identifier_and_timestamp(absent: Any) -> None:
    kept = verdict(record(feature_name=absent, value=absent, traits=absent, metadata=absent, event_id=absent))
    assert isinstance(kept, Event)
    assert (kept.feature_name, kept.value, kept.traits, kept.metadata, kept.event_id) == (None,) * 5


@pytest.mark.parametrize(
    ("timestamp", "kept"),
    [
        (1_772_000_000_123, datetime(2026, 2, 25, 6, 13, 20, 123_000, tzinfo=UTC)),
        ("2026-02-25T06:13:20Z", datetime(2026, 2, 25, 6, 13, 20, tzinfo=UTC)),
        ("2026-02-25 08:13:20.1239999+02:00", datetime(2026, 2, 25, 6, 13, 20, 123_000, tzinfo=UTC)),
        ("2026-02-25t06:13:20.5z", datetime(2026, 2, 25, 6, 13, 20, 500_000, tzinfo=UTC)),
        ("2020-01-01T00:00:00Z", events.OLDEST),
        ("2026-03-02T12:00:00Z", NOW + timedelta(hours=24)),
    ],
)
def test_parse__e1__timestamps_become_utc_milliseconds(timestamp: Any, kept: datetime) -> None:
    event = verdict(record(timestamp=timestamp))
    assert isinstance(event, Event)
    assert event.timestamp == kept


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([], "not_an_object"),
        ("text", "not_an_object"),
        (None, "not_an_object"),
        (record(event=...), "missing_field:event"),
        (record(identifier=None), "missing_field:identifier"),
        (record(timestamp=None), "missing_field:timestamp"),
        (exposure(feature_name=None), "missing_field:feature_name"),
        (exposure(value=None), "missing_field:value"),
        (record(event=""), "empty:event"),
        (record(identifier=""), "empty:identifier"),
        (exposure(feature_name=""), "empty:feature_name"),
        (exposure(value=""), "empty:value"),
        (record(event=1), "bad_type:event"),
        (record(identifier=["ada"]), "bad_type:identifier"),
        (record(value={}), "bad_type:value"),
        (record(traits=[]), "bad_type:traits"),
        (record(metadata="{}"), "bad_type:metadata"),
        (record(event_id=7), "bad_type:event_id"),
        (record(environment_key=7), "bad_type:environment_key"),
        (record(timestamp=True), "bad_type:timestamp"),
        (record(event="x" * 2_001), "too_long:event"),
        (record(identifier="x" * 2_001), "too_long:identifier"),
        (record(feature_name="x" * 2_001), "too_long:feature_name"),
        (record(event_id="x" * 2_001), "too_long:event_id"),
        (record(value="x" * 65_536), "too_long:value"),
        (record(event="$identify"), "reserved_event"),
        (record(event="$"), "reserved_event"),
        (record(event="$identity_link", value=None), "missing_field:value"),
        (record(event="$identity_link", value=""), "empty:value"),
        (record(event="$identity_link", value="x" * 2_001), "too_long:value"),
        (record(timestamp=1.5), "bad_timestamp"),
        (record(timestamp="2026-02-25T06:13:20"), "timestamp_without_zone"),
        (record(timestamp="2026-02-25 06:13:20.123456789"), "timestamp_without_zone"),
        (record(timestamp="2026-02-30T06:13:20"), "bad_timestamp"),
        (record(timestamp="2026-02-25"), "bad_timestamp"),
        (record(identifier=7.0), "bad_type:identifier"),
        (record(identifier=1e300), "bad_type:identifier"),
        (record(identifier=True), "bad_type:identifier"),
        (record(identifier=10**2_000), "too_long:identifier"),
        (record(timestamp="2026-02-30T06:13:20Z"), "bad_timestamp"),
        (record(timestamp="0001-01-01T00:00:00+01:00"), "timestamp_too_old"),
        (record(timestamp="2019-12-31T23:59:59.999Z"), "timestamp_too_old"),
        (record(timestamp=-(10**30)), "timestamp_too_old"),
        (record(timestamp="2026-03-02T12:00:00.001Z"), "timestamp_in_future"),
        (record(timestamp=10**30), "timestamp_in_future"),
        (record(environment_key="staging"), "environment_mismatch"),
        (record(identifier="\ud800"), "not_json"),
    ],
)
def test_parse__e3__names_the_first_reason(fields: object, reason: str) -> None:
    assert verdict(fields) == Rejected(reason)


def test_parse__e3__limits_count_characters_and_include_their_last() -> None:
    assert isinstance(verdict(record(event="🎈" * 2_000, identifier="é" * 2_000, value="x" * 65_535)), Event)


def test_parse__nested_beyond_the_limit__is_too_long() -> None:
    deep: dict[str, Any] = {}
    for _ in range(events.NESTING_LIMIT):
        deep = {"deeper": deep}
    assert verdict(record(traits=deep)) == Rejected("too_long:traits")
    assert isinstance(verdict(record(traits=deep["deeper"])), Event)


@pytest.mark.parametrize(
    ("literal", "identifier"), [("7", "7"), ("-7", "-7"), ("0", "0"), ("-0", "0"), ("9" * 40, "9" * 40)]
)
def test_parse__e1__an_integer_identifier_is_its_decimal_text(literal: str, identifier: str) -> None:
    text = f'{{"event": "x", "identifier": {literal}, "timestamp": 1772000000000}}'
    kept = events.parse(events.decode(text), "prod", NOW)
    assert isinstance(kept, Event)
    assert kept.identifier == identifier
    assert type(kept.identifier) is str


PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2025-07-01T12:00:00", "2025-07-01T10:00:00Z"),
        ("2026-02-25 06:13:20.123999", "2026-02-25T05:13:20.123Z"),
        ("2025-10-26T02:30:00", "2025-10-26T00:30:00Z"),  # it came twice: the first
        ("2025-07-01T12:00:00Z", "2025-07-01T12:00:00Z"),
        ("2025-07-01T12:00:00-05:00", "2025-07-01T17:00:00Z"),
    ],
)
def test_parse__e1__a_time_without_a_zone_is_one_of_the_landing_time_zone(written: str, utc: str) -> None:
    kept = events.parse(record(timestamp=written), "prod", NOW, PARIS)
    assert isinstance(kept, Event)
    assert kept.timestamp == datetime.fromisoformat(utc)


@pytest.mark.parametrize("written", ["2025-03-30T02:30:00", "2026-02-30T06:13:20", "0001-01-01T00:00:00"])
def test_parse__e3__a_time_that_the_landing_time_zone_does_not_have__is_bad(written: str) -> None:
    assert events.parse(record(timestamp=written), "prod", NOW, PARIS) == Rejected("bad_timestamp")


@pytest.mark.parametrize("literal", ["1.0", "1", "1e5", "-0", "1.50", "123456789012345678901234567890", "1E400"])
def test_parse__e4__a_number_keeps_its_literal(literal: str) -> None:
    text = f'{{"event": "x", "identifier": "ada", "timestamp": 1772000000000, "value": {literal}}}'
    kept = events.parse(events.decode(text), "prod", NOW)
    assert isinstance(kept, Event)
    assert kept.value == literal


@pytest.mark.parametrize(("value", "kept"), [(True, "true"), (False, "false"), ("True", "True"), ("", "")])
def test_parse__e4__a_boolean_is_its_literal_and_text_its_content(value: Any, kept: str) -> None:
    event = verdict(record(value=value))
    assert isinstance(event, Event)
    assert event.value == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1,}',
        '{"a": 01}',
        '{"a": "\n"}',
        "\ufeff{}",
        "{}{}",
        "[" * 9_999,
    ],
)
def test_decode__what_is_no_json__raises(text: str) -> None:
    with pytest.raises(NotJson):
        events.decode(text)


def test_decode__of_a_repeated_name__the_first_counts() -> None:
    assert events.decode('{"a": 1, "a": 2}') == {"a": Number("1")}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1", 1.0), ("+1.5", 1.5), ("-.5", -0.5), ("5.", 5.0), ("1e3", 1000.0), ("2E-1", 0.2), ("007", 7.0),
        ("1e400", None), (" 1", None), ("1 ", None), ("", None), ("1_0", None), ("nan", None), ("0x1", None),
        ("inf", None), (".", None), ("1,5", None), ("１", None), (None, None),
    ],
)  # fmt: skip
def test_numeric_value__e5(value: str | None, number: float | None) -> None:
    assert events.numeric_value(value) == number


@pytest.mark.parametrize("stated", [1_420_070_400_000, "2015-01-01T00:00:00Z"])
def test_parse__e3__an_earlier_oldest_day_lets_older_events_in_from_its_first_millisecond_on(stated: object) -> None:
    oldest, landed_at = datetime(2015, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    record = decode(json.dumps({"event": "x", "identifier": "a", "timestamp": stated}))
    earlier = decode(json.dumps({"event": "x", "identifier": "a", "timestamp": 1_420_070_399_999}))
    found = parse(record, "prod", landed_at, oldest=oldest)
    assert isinstance(found, Event)
    assert found.timestamp == oldest
    assert parse(earlier, "prod", landed_at, oldest=oldest) == Rejected("timestamp_too_old")
