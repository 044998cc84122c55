"""Rules E1-E6 by hand-made records."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.reference.events import Event, LandingObject, Rejected, ingest, parse_object

LANDED = datetime(2026, 3, 2, tzinfo=UTC)
EXPOSURE: dict[str, Any] = {
    "event": "$flag_exposure",
    "feature_name": "checkout",
    "identifier": "ann",
    "value": "control",
    "traits": None,
    "metadata": {},
    "timestamp": 1772323200000,  # 2026-03-01T00:00:00Z
}


def object_of(*lines: str | bytes, environment: str = "demo", name: str = "one") -> LandingObject:
    """An object of these lines."""
    content = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    return LandingObject(name, environment, LANDED, content)


def parsed(**fields: Any) -> Event | Rejected:
    """The exposure with some fields changed, or dropped where `...` is given."""
    record = {name: content for name, content in (EXPOSURE | fields).items() if content is not ...}
    (outcome,) = parse_object(object_of(json.dumps(record)))
    return outcome


def reason(**fields: Any) -> str:
    """Why the changed exposure is rejected."""
    outcome = parsed(**fields)
    assert isinstance(outcome, Rejected), outcome
    return outcome.reason


def event(**fields: Any) -> Event:
    """The changed exposure, accepted."""
    outcome = parsed(**fields)
    assert isinstance(outcome, Event), outcome
    return outcome


def test_e1_a_line_is_a_record_an_envelope_or_empty() -> None:
    one, other = json.dumps(EXPOSURE), json.dumps(EXPOSURE | {"identifier": "bob"})
    records = parse_object(object_of(one, "", "  ", f'{{"events": [{other}, 5]}}', '{"events": []}'))
    first, second, third = records
    assert isinstance(first, Event)
    assert first.identifier == "ann"
    assert isinstance(second, Event)
    assert second.identifier == "bob"
    assert third == Rejected("not_an_object", "one", 4)


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [
        (1772323200001, 1),
        ("2026-03-01T00:00:00.001Z", 1),
        ("2026-03-01T01:00:00+01:00", 0),
        ("2026-03-01T00:00:01.5+00:00", 1500),
    ],
)
def test_e1_times_are_utc_milliseconds(written: object, milliseconds: int) -> None:
    assert event(timestamp=written).timestamp == datetime(2026, 3, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"event": ...}, "missing_field:event"),
        ({"identifier": None}, "missing_field:identifier"),
        ({"feature_name": ...}, "missing_field:feature_name"),
        ({"value": None}, "missing_field:value"),
        ({"timestamp": ...}, "missing_field:timestamp"),
        ({"identifier": 7.0}, "bad_type:identifier"),
        ({"identifier": True}, "bad_type:identifier"),
        ({"event": ["x"]}, "bad_type:event"),
        ({"value": {"a": 1}}, "bad_type:value"),
        ({"traits": [1]}, "bad_type:traits"),
        ({"event_id": 7}, "bad_type:event_id"),
        ({"event": ""}, "empty:event"),
        ({"identifier": ""}, "empty:identifier"),
        ({"feature_name": ""}, "empty:feature_name"),
        ({"value": ""}, "empty:value"),
        ({"identifier": "x" * 2001}, "too_long:identifier"),
        ({"value": "x" * 65536}, "too_long:value"),
        ({"event": "$pageview"}, "reserved_event"),
        ({"event": "$identity_link", "value": None}, "missing_field:value"),
        ({"event": "$identity_link", "value": "x" * 2_001}, "too_long:value"),
        ({"timestamp": "2026-03-01T00:00:00"}, "timestamp_without_zone"),
        ({"timestamp": "2026-02-30T00:00:00"}, "bad_timestamp"),
        ({"timestamp": "2026-02-30T00:00:00Z"}, "bad_timestamp"),
        ({"timestamp": 1772323200000.5}, "bad_timestamp"),
        ({"timestamp": "1772323200000"}, "bad_timestamp"),
        ({"timestamp": 1577836799999}, "timestamp_too_old"),
        ({"timestamp": 1772496000001}, "timestamp_in_future"),
        ({"environment_key": "other"}, "environment_mismatch"),
    ],
)
def test_e3_one_defect_one_reason(fields: dict[str, Any], expected: str) -> None:
    assert reason(**fields) == expected


def test_e3_a_source_may_have_older_events() -> None:
    content = json.dumps({"event": "x", "identifier": "a", "timestamp": 1420070400000}).encode()
    landed = LandingObject("a", "demo", datetime(2026, 3, 1, tzinfo=UTC), content, oldest_ms=1420070400000)
    assert [type(each) for each in parse_object(landed)] == [Event]
    assert [type(each) for each in parse_object(replace(landed, oldest_ms=1420070400001))] == [Rejected]


@pytest.mark.parametrize(
    "fields",
    [
        {"timestamp": 1577836800000},
        {"timestamp": 1772496000000},  # 24 h after the arrival
        {"identifier": "x" * 2000},
        {"environment_key": "demo"},
        {"traits": ..., "metadata": ...},
        {"event": "purchase", "feature_name": ..., "value": ...},
    ],
)
def test_e1_e3_the_last_that_is_still_accepted(fields: dict[str, Any]) -> None:
    assert isinstance(parsed(**fields), Event)


@pytest.mark.parametrize("line", ["{", "nonsense", '{"value": NaN}', b'{"event": "\xff"}', "{} {}"])
def test_e3_what_is_not_json(line: str | bytes) -> None:
    (outcome,) = parse_object(object_of(line))
    assert outcome == Rejected("not_json", "one", 1)


@pytest.mark.parametrize("bad", [b"NaN", b'{"event": "\xff"}', b'{"event": "a\tb"}', b"{'x, [1}', \", ]\"}", b""])
def test_e3_one_bad_record_costs_its_neighbours_nothing(bad: bytes) -> None:
    good = json.dumps(EXPOSURE).encode()
    outcomes = list(parse_object(object_of(b'{"events": [' + b", ".join([good, bad, good]) + b"]}")))
    assert outcomes == [event(), Rejected("not_json", "one", 1), event()]


def test_e3_an_unknown_environment_is_rejected_record_by_record() -> None:
    one, other = object_of(json.dumps(EXPOSURE), json.dumps(EXPOSURE)), object_of(json.dumps(EXPOSURE), environment="x")
    (batch,) = ingest([[one, other]], environments=["demo"])
    assert len(batch.new) == 1
    assert batch.duplicates == 1
    assert batch.rejected == (Rejected("unknown_environment", "one", 1),)


def test_e4_the_value_compares_as_text() -> None:
    assert event(value=1) == event(value="1")
    assert event(value=True) == event(value="true")
    assert event(value=1.0) != event(value=1)


def test_e1_an_integer_identifier_is_its_decimal_text() -> None:
    assert event(identifier=7) == event(identifier="7")
    assert event(identifier=-(10**30)).identifier == "-1" + "0" * 30


def test_e4_traits_do_not_make_another_event() -> None:
    assert event(traits={"a": 1}) == event(event_id="") == event()


@pytest.mark.parametrize(
    "fields",
    [{"event_id": "1"}, {"value": "b"}, {"timestamp": 1772323200001}, {"feature_name": "x"}, {"identifier": "Ann"}],
)
def test_e4_other_names_values_times_or_event_ids_make_another_event(fields: dict[str, Any]) -> None:
    assert event(**fields) != event()


def test_e4_e6_an_event_belongs_to_the_earliest_batch_that_it_came_in() -> None:
    one, two = json.dumps(EXPOSURE), json.dumps(EXPOSURE | {"identifier": "bob"})
    first, second = ingest([[object_of(one)], [object_of(two, one), object_of(two)]])
    assert [event.identifier for event in first.new] == ["ann"]
    assert [event.identifier for event in second.new] == ["bob"]
    assert second.duplicates == 2


def test_e4_the_first_delivery_keeps_its_traits() -> None:
    """Objects of a batch come in the order of arrival stamps and names, lines in their own."""

    def purchase(country: str) -> str:
        return json.dumps(EXPOSURE | {"traits": {"country": country}})

    early = LandingObject("z", "demo", LANDED - timedelta(hours=1), purchase("DE").encode())
    for batches in (
        [[object_of(purchase("DE"), purchase("AT"))]],
        [[object_of(purchase("AT"), name="b"), object_of(purchase("DE"), name="a")]],
        [[object_of(purchase("AT"), name="a"), early]],
        [[object_of(purchase("DE"), name="b")], [object_of(purchase("AT"), name="a")]],
    ):
        ((kept,), *_) = (batch.new for batch in ingest(batches))
        assert kept.traits == {"country": "DE"}


def test_e4_the_hash_is_that_of_the_parts() -> None:
    purchase = event(event="buy", feature_name=None, identifier="ünï", value="3", event_id="x")
    text = "4:demo3:buy-5:ünï1772323200000:1:3x"
    assert purchase.hash == int.from_bytes(hashlib.md5(text.encode()).digest(), "little")  # noqa: S324 - no secret
    assert event(traits={"a": 1}).hash == event().hash != event(event_id="1").hash


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("3", 3.0),
        ("+3", 3.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("1e-400", 0.0),
        ("1e400", None),
        (" 1", None),
        ("1\n", None),
        ("NaN", None),
        ("", None),
        ("1_000", None),
        ("٣", None),
        (True, None),
        (None, None),
        (2.5, 2.5),
    ],
)
def test_e5_numeric_values(written: object, number: float | None) -> None:
    assert event(event="purchase", value=written).number == number
