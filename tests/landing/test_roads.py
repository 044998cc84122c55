"""One record, three roads: a JSON line, a row of a Parquet file, and `events.parse` alone come to the same event."""

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from experiment_pipeline.domain import events
from experiment_pipeline.domain.envelopes import decode_record
from experiment_pipeline.domain.events import Event, Rejected
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from tests.lake.ledger import NOW, PROD, MemoryLedger, land, stored

MOMENT = datetime(2026, 2, 25, 6, 13, 20, 123_456, tzinfo=UTC)
BASE: dict[str, Any] = {"event": "purchase", "identifier": "ada", "timestamp": 1_772_000_000_000}
STORED = ("event", "feature_name", "identifier", "value", "numeric_value", "timestamp", "event_id")
Row = dict[str, Any]


def by_line(folder: Path, records: list[Row], timezone: ZoneInfo | None = None) -> list[Row | str]:
    """Return the lake's rows for records that land as JSON lines."""
    return _ingested(folder / "lines", [json.dumps(each) for each in records], timezone=timezone)


def by_row(folder: Path, frame: pl.DataFrame, timezone: ZoneInfo | None = None) -> list[Row | str]:
    """Return the lake's rows for rows of a Parquet file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.parquet"
    frame.write_parquet(path)
    return _ingested(folder / "rows", path.read_bytes(), "a.parquet", timezone=timezone)


def by_parse(records: list[Row], timezone: ZoneInfo | None = None) -> list[Row | str]:
    """Return the judge's rows for the same records."""
    return [_parsed(events.parse(decode_record(json.dumps(each)), PROD, NOW, timezone)) for each in records]


def _ingested(
    root: Path, lines: list[str] | bytes, name: str = "a.jsonl", timezone: ZoneInfo | None = None
) -> list[Row | str]:
    land(root, lines, f"20260301T120000Z-{name}")
    lake = Lake(root / "lake")
    assert ingest(lake, MemoryLedger(), root, NOW, timezone=timezone.key if timezone else None).problems == {}
    accepted = {row["event_id"]: {name: row[name] for name in STORED} | _opened(row) for row in stored(lake)}
    rejected = {f"{row['line'] - 1}": row["reason"] for row in stored(lake, "rejected")}
    found: dict[str, Row | str] = accepted | rejected
    assert not set(accepted) & set(rejected)
    return [found[f"{number}"] for number in range(len(found))]


def _parsed(verdict: Event | Rejected) -> Row | str:
    if isinstance(verdict, Rejected):
        return verdict.reason
    row = {name: getattr(verdict, name) for name in STORED if name != "numeric_value"}
    texts = {"traits": verdict.traits, "metadata": verdict.metadata}
    return row | {"numeric_value": events.numeric_value(verdict.value)} | _opened(texts)


def _opened(row: Row) -> Row:
    """Traits and metadata with their numbers as they are written."""
    return {
        name: None if row[name] is None else json.loads(row[name], parse_float=str, parse_int=str)
        for name in ("traits", "metadata")
    }


def numbered(rows: list[Row]) -> list[Row]:
    return [BASE | row | {"event_id": str(number)} for number, row in enumerate(rows)]


def agree(folder: Path, rows: list[Row], **schema: Any) -> None:
    records = numbered(rows)
    frame = pl.DataFrame(records, schema_overrides={"event_id": pl.String, **schema}, infer_schema_length=None)
    expected = by_parse(records)
    assert by_line(folder, records) == expected
    assert by_row(folder, frame) == expected


FLOATS = [
    0.0, -0.0, 1.0, -1.5, 100.0, 0.1, 0.1 + 0.2, 1 / 3, 1e-4, 9.999e-5, 1e-5, 1.5e-5, 9.99e-6, 1e-7, 5e-324, 1e15, 1e16,
    123456789012345680.0, 1e21, 1e22, 1e23, 1.7976931348623157e308, 2**53 + 2.0, 9.99, 19.90, 1234567.891, -2.5e-9,
]  # fmt: skip
INTEGERS = [0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 10**15, 10**16]


@pytest.mark.parametrize("values", [FLOATS, INTEGERS, [True, False], [None, None]])
def test_roads__numbers__keep_their_digits(tmp_path: Path, values: list[Any]) -> None:
    agree(tmp_path, [{"value": value} for value in values])


@pytest.mark.parametrize("examples", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_roads__any_float__keeps_its_digits(tmp_path_factory: pytest.TempPathFactory, examples: int) -> None:
    @settings(max_examples=examples)
    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60))
    @example([1e-5, 9.9e-5, 1.0, 1e16])
    def keeps_its_digits(values: list[float]) -> None:
        agree(tmp_path_factory.mktemp("roads"), [{"value": value} for value in values], value=pl.Float64)

    keeps_its_digits()


NUMBERS_AS_TEXT = ["1.50", "-0", "1e5", ".5", "5.", "+3", "1e400", "1e-400", "0x10", "٣", "", " 1", "NaN", "inf", "1,5"]


def test_roads__text_values__are_the_same_text(tmp_path: Path) -> None:
    agree(tmp_path, [{"value": value} for value in NUMBERS_AS_TEXT])


@pytest.mark.parametrize("examples", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_roads__texts_of_every_kind__are_the_same_text(tmp_path_factory: pytest.TempPathFactory, examples: int) -> None:
    @settings(max_examples=examples)
    @given(st.lists(st.text(max_size=8), min_size=1, max_size=40))
    @example(["a\x00b", '"', "\\", "\u2028", "\x7f", "\ufeff", "/", "é", "e\u0301", "🎈", "\u0085", '{"a":1}', "null"])
    def are_the_same(texts: list[str]) -> None:
        rows = [{"identifier": text, "value": text, "feature_name": text, "traits": {"t": text}} for text in texts]
        agree(tmp_path_factory.mktemp("roads"), rows)

    are_the_same()


LITERALS = [
    "1.50",
    "1e5",
    "-0",
    "0.12345678901234567890",
    "100000000000000000000000.0",
    "12345678901234567890123",
    "1.0",
]


def test_roads__numbers_within_traits__are_kept_as_they_were_written(tmp_path: Path) -> None:
    records = numbered([{} for _ in LITERALS])
    texts = [f'{{"a":{literal},"b":[{literal}]}}' for literal in LITERALS]
    lines = [f'{json.dumps(one)[:-1]}, "traits": {text}}}' for one, text in zip(records, texts, strict=True)]
    expected = [_parsed(events.parse(decode_record(line), PROD, NOW)) for line in lines]
    traits = [each["traits"] for each in expected if isinstance(each, dict)]
    assert traits == [{"a": literal, "b": [literal]} for literal in LITERALS]
    assert _ingested(tmp_path / "lines", lines) == expected
    assert by_row(tmp_path, pl.DataFrame(records).with_columns(traits=pl.Series(texts))) == expected


PRECISIONS = [
    (pl.Datetime("ms", "UTC"), "UTC"),
    (pl.Datetime("us", "UTC"), "Asia/Kolkata"),
    (pl.Datetime("ns", "UTC"), "Pacific/Kiritimati"),
]
ZONES = [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-11)), timezone(timedelta(hours=14))]


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_roads__times_of_every_zone__are_one_moment(tmp_path: Path, zone: timezone) -> None:
    moments = [
        MOMENT,
        MOMENT.replace(microsecond=999_999),
        MOMENT.replace(microsecond=0),
        datetime(2020, 1, 1, tzinfo=UTC),
    ]
    texts = numbered([{"timestamp": moment.astimezone(zone).isoformat()} for moment in moments])
    expected = by_parse(texts)
    assert all(isinstance(each, dict) for each in expected)
    assert by_line(tmp_path, texts) == expected
    assert by_row(tmp_path, pl.DataFrame(texts)) == expected
    for number, (dtype, name) in enumerate(PRECISIONS):
        stamps = pl.Series("timestamp", moments).cast(dtype).dt.convert_time_zone(name)
        assert by_row(tmp_path / str(number), pl.DataFrame(texts).with_columns(stamps)) == expected


LOCAL = ["2025-07-01T12:00:00.123456", "2025-10-26T02:30:00", "2025-03-30T02:30:00", "2026-02-25T06:13:20"]
PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize("timezone", [None, PARIS])
def test_roads__times_without_a_zone__are_of_the_landing_time_zone_or_rejected(
    tmp_path: Path, timezone: ZoneInfo | None
) -> None:
    records = numbered([{"timestamp": text} for text in LOCAL])
    expected = by_parse(records, timezone)
    reasons = [each for each in expected if isinstance(each, str)]
    assert reasons == (["timestamp_without_zone"] * 4 if timezone is None else ["bad_timestamp"])
    assert by_line(tmp_path, records, timezone) == expected
    moments = pl.Series("timestamp", map(datetime.fromisoformat, LOCAL))
    for number, dtype in enumerate((pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("ns"))):
        frame = pl.DataFrame(records).with_columns(moments.cast(dtype))
        assert by_row(tmp_path / str(number), frame, timezone) == expected


def test_roads__integer_identifiers__are_their_decimal_text(tmp_path: Path) -> None:
    agree(tmp_path, [{"identifier": value} for value in INTEGERS])
    agree(tmp_path / "small", [{"identifier": value} for value in (0, 7, 255)], identifier=pl.UInt8)
    agree(tmp_path / "large", [{"identifier": 2**64 - 1}], identifier=pl.UInt64)
    agree(tmp_path / "floats", [{"identifier": value} for value in (7.0, 0.5, 1e300)])
    agree(tmp_path / "flags", [{"identifier": True}])
    text = by_parse(numbered([{"identifier": str(value)} for value in INTEGERS]))
    assert by_line(tmp_path / "text", numbered([{"identifier": value} for value in INTEGERS])) == text


def test_roads__columns_of_other_types_that_say_the_same__are_the_same(tmp_path: Path) -> None:
    rows = [{"identifier": name, "value": "control", "traits": '{"plan": "pro"}'} for name in ("ada", "bob", "é")]
    records = [row | {"traits": json.loads(row["traits"])} for row in numbered(rows)]
    expected = by_parse(records)
    frame = pl.DataFrame(numbered(rows))
    texts = ["event", "identifier", "value", "traits", "event_id"]
    for number, dtype in enumerate((pl.Binary, pl.Categorical, pl.String)):
        folder = tmp_path / str(number)
        assert by_row(folder, frame.with_columns(pl.col(texts).cast(dtype))) == expected
    whole = frame.with_columns(timestamp=pl.col("timestamp").cast(pl.Decimal(20, 0)))
    assert by_row(tmp_path / "decimal", whole) == expected
    nested = frame.with_columns(traits=pl.struct(plan=pl.lit("pro").cast(pl.Binary)))
    assert by_row(tmp_path / "nested", nested) == expected


def test_roads__decimals__keep_every_digit(tmp_path: Path) -> None:
    values = [Decimal("9.90"), Decimal("-0.01"), Decimal("12345678901234567890.12"), Decimal(7)]
    frame = pl.DataFrame(numbered([{}] * 4)).with_columns(value=pl.Series(values, dtype=pl.Decimal(38, 2)))
    found = by_row(tmp_path, frame)
    assert [each["value"] for each in found if isinstance(each, dict)] == [
        "9.90",
        "-0.01",
        "12345678901234567890.12",
        "7.00",
    ]


def test_roads__what_no_number_is__is_kept_as_text_without_a_number(tmp_path: Path) -> None:
    values = [math.nan, math.inf, -math.inf, 1.5]
    found = by_row(tmp_path, pl.DataFrame(numbered([{"value": value} for value in values])))
    kept = [(each["value"], each["numeric_value"]) for each in found if isinstance(each, dict)]
    assert kept == [("NaN", None), ("Infinity", None), ("-Infinity", None), ("1.5", 1.5)]


BAD = [
    {"identifier": b"\xff"},
    {"event": b"a\x80"},
    {"traits": b'{"a":"\xff"}'},
    {"traits": '{"a":1},"event_id":"another"'},
    {"traits": 'null,"feature_name":"another"'},
    {"traits": '{"a":1}, "metadata":{"b":2}'},
    {"traits": "{"},
    {"traits": ""},
    {"metadata": '{"a":NaN}'},
]


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_roads__a_row_that_no_line_could_say__is_not_json_and_costs_its_neighbours_nothing(
    tmp_path: Path, bad: Row
) -> None:
    ((name, value),) = bad.items()
    good = {"traits": '{"a":{"b":1},"c":null,"d":2}', "metadata": "{}"}.get(name, "ada")
    column = [value, good.encode() if isinstance(value, bytes) else good]
    found = by_row(tmp_path, pl.DataFrame(numbered([{}, {}])).with_columns(pl.Series(name, column)))
    assert found[0] == "not_json"
    assert isinstance(found[1], dict)


def test_roads__other_types_than_the_contract_knows__are_told_by_the_same_reasons(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {"identifier": [[1]], "timestamp": [date(2026, 2, 25)], "traits": [[1]]}
    reasons = {"identifier": "bad_type:identifier", "timestamp": "bad_timestamp", "traits": "bad_type:traits"}
    for name, column in columns.items():
        frame = pl.DataFrame(numbered([{}])).with_columns(pl.Series(name, column))
        assert by_row(tmp_path / name, frame) == [reasons[name]]
    frame = pl.DataFrame(numbered([{}])).with_columns(value=pl.lit(time(1, 2, 3)))
    (found,) = by_row(tmp_path / "times", frame)
    assert isinstance(found, dict)
    assert found["value"] == "01:02:03"
