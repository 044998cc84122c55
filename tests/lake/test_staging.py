"""Whatever bytes land, the SQL and `events.parse` give every record the same verdict, reason and row."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from arro3.core import Table
from hypothesis import example, given, settings
from hypothesis import strategies as st

from experiment_pipeline.domain import events
from experiment_pipeline.domain.batches import LandedObject, PlannedBatch
from experiment_pipeline.domain.envelopes import decode_record, open_envelope
from experiment_pipeline.domain.events import Event, Rejected
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.reading_mark import ReadingMark
from experiment_pipeline.lake.staging import Staging
from tests.lake.ledger import NOW, PROD, MemoryLedger, exposure, land, record, stored

NUMBERS = [
    "0",
    "-0",
    "1",
    "1.0",
    "1.00",
    "10",
    "1e5",
    "1E+2",
    "0.00001",
    "9.99",
    "-3.10",
    "1" * 17,
    "1" * 30,
    "1e400",
    "-0.5",
    "1e-7",
    "1e22",
    "1.7976931348623157e308",
]
TIMESTAMPS = [
    "1772000000000", "1772000000000.0", "1.772e12", "-1", "0", "1" * 13, "9" * 25, '"2026-02-25T06:13:20Z"',
    '"2026-02-25T06:13:20.1239+05:30"', '"2026-02-25 06:13:20Z"', '"2026-02-30T00:00:00Z"', '"2026-02-25T24:00:00Z"',
    '"2026-02-25T06:13:60Z"', '"2026-02-25T06:13:20.1234567-00:00"', '"2026-02-25T06:13:20+23:59"', '"soon"', '""',
    '"2019-12-31T23:59:59.999999Z"', '"2026-03-02T12:00:00.000999Z"', '"2026-02-25T06:13:20"',
    '"2025-10-26 02:30:00.5"', '"2025-03-30T02:30:00"',
    '"2026-03-02T12:00:00.001Z"', "true",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        [
            "$flag_exposure",
            "$identity_link",
            "$other",
            "control",
            "prod",
            "staging",
            "1e5",
            " 7 ",
            "a\x00b",
            "x" * 2_001,
            "é" * 2_000,
        ]
    ),
)
LITERALS = st.one_of(
    TEXTS.map(json.dumps),
    TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from([*NUMBERS, "null", "true", "false", "NaN", "-Infinity", "NAN", "iNF"]),
    st.sampled_from(["7", "-7", "-0", "18446744073709551615", "9223372036854775808", "7.0", "7e0"]),
    st.sampled_from(["[]", "{}", '{"a":1}', '{"value": 1.50}', "[1,]"]),
    st.sampled_from(['"\\ud800"', '"\\ud83d\\ude00"', '"\\u0041"', '{"a":"\\udfff"}', "[" * 150 + "]" * 150]),
)  # fmt: skip
NAMES = st.sampled_from(
    [
        "event",
        "identifier",
        "feature_name",
        "value",
        "traits",
        "metadata",
        "event_id",
        "environment_key",
        "v\\u0061lue",
        "x",
    ]
)


@st.composite
def record_texts(draw: st.DrawFn) -> str:
    """JSON objects near the contract: valid records with some members replaced, repeated, or spelled oddly."""
    valid = draw(st.sampled_from([record(), exposure(), record(value=7), record(traits=None, environment_key="prod")]))
    members = [(name, json.dumps(value)) for name, value in valid.items() if name != "timestamp"]
    members += draw(st.lists(st.tuples(NAMES, LITERALS), max_size=3))
    members.append(("timestamp", draw(st.sampled_from(TIMESTAMPS[:1] * 20 + TIMESTAMPS))))
    if draw(st.booleans()):
        members = draw(st.permutations(members))
    space = draw(st.sampled_from(["", " ", "\t", "\r"]))
    return "{" + ",".join(f'"{name}"{space}:{space}{literal}' for name, literal in members) + "}"


def spoiled(text: str, place: int, spoiler: str) -> str:
    """A record with something in it that JSON has no place for, as often as not in a string or instead of a bracket."""
    at = place % (len(text) + 1)
    return text[:at] + spoiler + text[at + place % 2 :]


SPOILERS = st.sampled_from(["NaN", "\t", "\x00", "\\", '"', "{", "}", "]", ",", "'", "Infinity", " NaN,", "\ufeff"])
SPOILED = st.builds(spoiled, record_texts(), st.integers(0, 400), SPOILERS)
LINES = st.one_of(
    st.lists(record_texts() | SPOILED, min_size=1, max_size=4).map(
        lambda texts: '{"events": [' + ",".join(texts) + "]}"
    ),
    st.lists(SPOILED, max_size=2).map(lambda texts: '{"sent_at": 1, "events": [' + ", ".join(texts) + "]"),
    record_texts(),
    st.lists(record_texts(), max_size=3).map(lambda texts: '{"events": [' + ", ".join(texts) + "]}"),
    record_texts().map(lambda text: text[:-1]),
    LITERALS,
    st.sampled_from(
        ["", "  \r", '{"events": 1}', '{"events": null, "event": "x"}', '{"events": [1, null, []]}', "\ufeff{}"]
    ),
)


def reference(lines: list[str], timezone: ZoneInfo | None) -> tuple[list[Event], list[tuple[int, str]]]:
    """Return the verdicts of `events` alone on the same lines."""
    accepted, refused = [], []
    for number, line in enumerate(lines, start=1):
        text = line.lstrip("\ufeff")  # a byte order mark may begin every line
        if not text.strip(" \t\r"):
            continue
        envelope = open_envelope(text)
        for one in [decode_record(text)] if envelope is None else envelope:
            match events.parse(one, PROD, NOW, timezone):
                case Rejected(reason):
                    refused.append((number, reason))
                case event:
                    accepted.append(event)
    return accepted, refused


def staged(
    folder: Path, data: bytes, timezone: ZoneInfo | None = None
) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """Return the rows that ingestion stages of an object with these bytes."""
    path = land(folder, data)
    name = path.relative_to(folder).as_posix()
    batch = PlannedBatch(1, NOW, (LandedObject(name, PROD, NOW, len(data)),), timezone.key if timezone else None)
    with Lake(folder / "lake").connect() as connection:
        Staging(connection, batch, ReadingMark(folder)).read(folder, {PROD}, None)
        accepted = pl.DataFrame(Table.from_arrow(connection.sql("from staged"))).to_dicts()
        return accepted, connection.sql("select line, reason from rejected_rows order by line, position").fetchall()


def row(event: Event) -> dict[str, Any]:
    """An event as ingestion stores it."""
    fields = asdict(event)
    fields["timestamp_ms"] = (fields.pop("timestamp") - events.EPOCH) // events.MILLISECOND
    fields["numeric_value"] = events.numeric_value(event.value)
    return {name: value for name, value in fields.items() if name not in ("traits", "metadata")}


ZONES = st.sampled_from([None, ZoneInfo("Europe/Paris")])


@settings(max_examples=12, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=30), ZONES)
@example([json.dumps(record(identifier="a\x00b")), '{"events": [' + json.dumps(record()) + ', {"value": 1.50}]}'], None)
@example([json.dumps(record(value="?")).replace('"?"', each) for each in (*NUMBERS, "NAN", "nan", "INF", "-iNf")], None)
@example(
    [json.dumps(record(traits={"a": "?"})).replace('"?"', each) for each in ("NAN", "Inf", "[" * 98 + "]" * 98)], None
)
@example([json.dumps(record(x="?")).replace('"?"', "[" * depth + "]" * depth) for depth in (2, 97, 98, 99, 100)], None)
def test_sql_and_parse_agree_on_every_record(lines: list[str], timezone: ZoneInfo | None) -> None:
    assert_sql_and_parse_agree(lines, timezone)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=30), ZONES)
def test_sql_and_parse_agree_on_every_record_of_many(lines: list[str], timezone: ZoneInfo | None) -> None:
    assert_sql_and_parse_agree(lines, timezone)


def assert_sql_and_parse_agree(lines: list[str], timezone: ZoneInfo | None) -> None:
    """Stage lines in both ways."""
    lines = [part for line in lines for part in line.split("\n")]
    with tempfile.TemporaryDirectory() as folder:
        accepted, refused = staged(Path(folder), "\n".join(lines).encode(), timezone)
    expected, expected_refused = reference(lines, timezone)
    assert refused == expected_refused
    key = json.dumps
    rows = [{name: found[name] for name in row(expected[0])} for found in accepted] if expected else accepted
    assert sorted(rows, key=key) == sorted(map(row, expected), key=key)
    for name in ("traits", "metadata"):
        assert sorted(key(found[name] and json.loads(found[name])) for found in accepted) == sorted(
            key(getattr(event, name) and json.loads(getattr(event, name))) for event in expected
        )


@settings(max_examples=5, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=30))
@example([json.dumps(record(x=1)), json.dumps({"events": [record(y=1), record(x=None)]}), '{"x":1,"x":2,"event":1}'])
def test_unknown_fields__in_sql_and_in_python__are_the_same(lines: list[str]) -> None:
    assert_the_same_fields_are_unknown(lines)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=30))
def test_unknown_fields__in_sql_and_in_python__are_the_same_for_many(lines: list[str]) -> None:
    assert_the_same_fields_are_unknown(lines)


def assert_the_same_fields_are_unknown(lines: list[str]) -> None:
    """Count them in both ways."""
    data = "\n".join(lines).encode()
    with tempfile.TemporaryDirectory() as folder:
        assert unknown_fields(Path(folder), data) == unknown_fields(Path(folder), data, in_python=True)


def unknown_fields(folder: Path, data: bytes, *, in_python: bool = False) -> dict[str, int]:
    """Return the unknown fields that ingestion counts in an object with these bytes."""
    name = land(folder, data).relative_to(folder).as_posix()
    batch = PlannedBatch(1, NOW, (LandedObject(name, PROD, NOW, len(data)),))
    with Lake(folder / "lake").connect() as connection:
        Staging(connection, batch, ReadingMark(folder)).read(folder, {PROD}, None, in_python=in_python)
        found = connection.sql("select name, sum(records)::bigint from unknown_fields group by name").fetchall()
    return dict(found)


@pytest.mark.parametrize("data", [b"\xef\xbb\xbf", b""])
def test_byte_order_mark_crlf_and_blank_lines_are_no_records(tmp_path: Path, data: bytes) -> None:
    text = json.dumps(record()).encode()
    accepted, refused = staged(tmp_path, data + b"\r\n" + text + b"\r\n  \n\n{\r\n" + text)
    assert len(accepted) == 2
    assert refused == [(5, "not_json")]


def test_envelope__one_record_is_no_json__its_neighbours_are_accepted__e3(tmp_path: Path) -> None:
    good, other = (json.dumps(record(identifier=name)).encode() for name in ("ann", "bob"))
    bad = [b'{"metadata": {"discount": NaN}}', b'{"event": "caf\xe9"}', b"[" * 5_000, b""]
    lines = [b'{"events": [' + good + b", " + each + b", " + other + b"]}" for each in bad[:2]]
    lines += [b'{"sdk": 1, "events": [' + good + b", " + other + b", " + each for each in bad[2:]]
    accepted, refused = staged(tmp_path, b"\n".join(lines))
    assert [each["identifier"] for each in accepted] == ["ann", "bob"] * 4
    assert refused == [(number, "not_json") for number in (1, 2, 3, 4)]


@pytest.mark.parametrize(("good", "problem"), [([], {"not_json"}), ([json.dumps(record())], set())])
def test_object_whose_envelopes_hold_no_json__is_named_unless_another_record_is_good(
    tmp_path: Path, good: list[str], problem: set[str]
) -> None:
    ledger = MemoryLedger()
    land(tmp_path, ['{"events": [NaN, NaN]}', "{", *good])
    assert set(ingest(Lake(tmp_path / "lake"), ledger, tmp_path, NOW).problems.values()) == problem


def test_envelope_of_an_unknown_environment__each_record_is_rejected_by_itself__e3(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    text = json.dumps(record())
    land(tmp_path, [f'{{"events": [{text}, NaN]}}', f'{{"sdk": 1, "events": [{text}]}}', text], environment="later")
    ingest(lake, MemoryLedger(), tmp_path, NOW)
    rejected = [(each["line"], each["position"], each["reason"]) for each in stored(lake, "rejected")]
    assert rejected == [(1, 1, "unknown_environment"), (1, 2, "unknown_environment"), (2, 1, "unknown_environment"),
                        (3, None, "unknown_environment")]  # fmt: skip


def test_a_line_that_is_no_utf_8_is_not_json_and_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    text = json.dumps(record()).encode()
    accepted, refused = staged(tmp_path, text + b'\n{"event": "\xff"}\n' + text)
    assert len(accepted) == 2
    assert refused == [(2, "not_json")]
