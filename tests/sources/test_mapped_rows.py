"""Rows of a source become records of the event contract."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.fields import adapter
from experiment_pipeline.domain.row_mapping import RowMapping
from experiment_pipeline.domain.sources import SourceDraft
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.landing.record_text import record_texts
from experiment_pipeline.sources.mapped_rows import check_schema, records

EPOCH, NOON = datetime(1970, 1, 1), datetime(2026, 1, 5, 12)  # noqa: DTZ001 - without a zone, as databases have them
ROWS = pl.DataFrame(
    {
        "user": [7, 8],
        "arm": [True, False],
        "at": [NOON, NOON + timedelta(milliseconds=1)],
        "day": [date(2026, 1, 5), None],
        "amount": [Decimal("12.50"), None],
        "share": [0.5, None],
        "country": ["DE", None],
    }
)


def mapping(**fields: Any) -> RowMapping:
    found: RowMapping = adapter(RowMapping).validate_python({"identifier": "user", "timestamp": "at"} | fields)
    return found


def made(rows: pl.DataFrame, timezone: str | None = "UTC", **fields: Any) -> list[dict[str, Any]]:
    which = mapping(**fields)
    check_schema(which, rows.schema, timezone)
    return records(rows, which, timezone).to_dicts()


def test_records__exposures__have_the_flag_and_the_mapped_variant() -> None:
    found = made(ROWS, feature="button", variant={"column": "arm", "map": {"true": "larger"}}, traits=["country"])
    assert found[0] == {
        "event": "$flag_exposure",
        "feature_name": "button",
        "value": "larger",
        "identifier": "7",
        "timestamp": "2026-01-05T12:00:00.000Z",
        "traits": {"country": "DE"},
    }
    assert found[1]["value"] == "false"  # what a map does not name stays as it is


TEN = {
    "Int64": pl.Series([10]),
    "UInt8": pl.Series([10], dtype=pl.UInt8),
    "Float64": pl.Series([10.0]),
    "Float32": pl.Series([10.0], dtype=pl.Float32),
    "Decimal": pl.Series([Decimal("10.00")]),
    "String": pl.Series(["10.000"]),
}


@pytest.mark.parametrize("kind", TEN)
def test_records__number__is_one_text_of_whatever_type_its_column_is__e4(kind: str) -> None:
    rows = pl.DataFrame({"user": ["a"], "at": ["2026-01-05T00:00:00Z"], "ten": TEN[kind]})
    found = made(rows, None, event="purchased", value="ten")
    mapped = made(rows, None, event="purchased", value={"column": "ten", "map": {"10": "X", "10.000": "X"}})
    assert (found[0]["value"], mapped[0]["value"]) == ("10", "X")


def test_records__identity_link__has_the_known_identity_as_it_is_written__d6() -> None:
    (link,) = adapter(SourceDraft).validate_python({"files": "f", "as": {"anonymous": "a", "known": "b"}}).mappings
    found = records(pl.DataFrame({"a": ["1.0"], "b": ["2.0"]}), link, None).to_dicts()
    assert (found[0]["identifier"], found[0]["value"]) == ("1.0", "2.0")


def test_records__properties__keep_text_null_and_numbers_which_have_one_text() -> None:
    rows = ROWS.with_columns(whole=pl.Series([2.0, float("nan")]), code=pl.Series(['1.0 "a"', "\u00e9"]))
    found = made(rows, event="purchased", traits=["user", "country"], metadata=["share", "amount", "code", "whole"])
    assert [each["traits"] for each in found] == [{"user": 7, "country": "DE"}, {"user": 8, "country": None}]
    assert [each["metadata"] for each in found] == [
        '{"code":"1.0 \\"a\\"","share":0.5,"amount":12.5,"whole":2}',
        '{"code":"\u00e9","share":null,"amount":null,"whole":null}',
    ]


def test_records__property_that_is_a_fraction__alone__is_an_object() -> None:
    found = made(ROWS, event="purchased", metadata=["share"])
    assert [each["metadata"] for each in found] == ['{"share":0.5}', '{"share":null}']


@pytest.mark.parametrize(
    ("column", "unit", "zone", "expected"),
    [
        (pl.Series([NOON]).dt.replace_time_zone("Europe/Berlin"), None, None, "2026-01-05T11:00:00.000Z"),
        (pl.Series([NOON]), None, "Europe/Berlin", "2026-01-05T11:00:00.000Z"),
        (pl.Series([date(2026, 7, 5)]), None, "Europe/Berlin", "2026-07-04T22:00:00.000Z"),
        (pl.Series([1767614400000]), None, None, "2026-01-05T12:00:00.000Z"),
        (pl.Series([1767614400]), "s", None, "2026-01-05T12:00:00.000Z"),
        (pl.Series([1767614400000001]), "us", None, "2026-01-05T12:00:00.000Z"),
        (pl.Series(["1767614400"]), "s", None, "2026-01-05T12:00:00.000Z"),
        (pl.Series(["2026-01-05T12:00:00+01:00"]), None, "UTC", "2026-01-05T12:00:00+01:00"),
        (pl.Series(["2026-01-05"]), None, "Europe/Berlin", "2026-01-04T23:00:00.000Z"),
        (pl.Series(["2026-01-05 12:00"]), None, "Europe/Berlin", "2026-01-05T11:00:00.000Z"),
        (pl.Series(["2026-01-05T12:00:00.25"]), None, "Europe/Berlin", "2026-01-05T11:00:00.250Z"),
        *(
            (pl.Series([text]), None, zone, expected)
            for zone in (None, "Europe/Berlin")
            for text, expected in {
                "2026-01-05 12:00:00+00": "2026-01-05T12:00:00+00:00",
                "2026-01-05 12:00:00.123456-0330": "2026-01-05T12:00:00.123456-03:30",
                "2026-01-05 12:00:00 UTC": "2026-01-05T12:00:00Z",
                "2026-01-05T12:00:00+0100": "2026-01-05T12:00:00+01:00",
                " 2026-01-05 12:00Z": "2026-01-05T12:00:00Z",
                "2026-01-05 12:00:00 PST": "2026-01-05 12:00:00 PST",  # which of them? Ingestion rejects it
            }.items()
        ),
        (pl.Series(["05/01/2026"]), None, "UTC", "05/01/2026"),  # which month is it? Ingestion rejects it
        (pl.Series(["2026-02-30"]), None, "UTC", "2026-02-30"),
        (pl.Series(["2026-03-29 02:30:00"]), None, "Europe/Berlin", "2026-03-29 02:30:00"),  # no such time there
        (pl.Series(["2026-10-25 02:30:00"]), None, "Europe/Berlin", "2026-10-25T00:30:00.000Z"),  # the first of two
        (pl.Series([10**17]), "s", None, "100000000000000000"),
    ],
)
def test_records__times__are_rfc_3339_where_they_can_be_read(
    column: pl.Series, unit: str | None, zone: str | None, expected: str
) -> None:
    rows = pl.DataFrame({"user": ["a"], "at": column})
    timestamp = {"column": "at"} | ({} if unit is None else {"unit": unit})
    assert made(rows, zone, event="purchased", timestamp=timestamp)[0]["timestamp"] == expected


@given(st.datetimes(EPOCH + timedelta(days=18_300), EPOCH + timedelta(days=22_000)))
def test_records__any_time__is_the_same_as_text_as_number_and_as_time(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    number = (moment - EPOCH) // timedelta(milliseconds=1)
    columns = [pl.Series([moment]), pl.Series([number]), pl.Series([moment.isoformat(" ")])]
    rows = [pl.DataFrame({"user": ["a"], "at": column}) for column in columns]
    expected = moment.replace(tzinfo=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert {made(each, event="purchased")[0]["timestamp"] for each in rows} == {expected}


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"event": "a", "identifier": "share"}, "as.identifier", "must be text or whole numbers"),
        ({"event": "a", "value": "at"}, "as.value", "must be a number, text or true/false"),
        ({"event": "a", "timestamp": "share"}, "as.timestamp", "must be a time, a date, text"),
        ({"event": "a", "timestamp": "at"}, "as.timestamp", "holds times without a zone: name the zone"),
        ({"event": "a", "timestamp": "day"}, "as.timestamp", "holds dates: name the zone"),
        ({"event": "a", "value": "amonut"}, "as.value", "There is no column 'amonut'. Did you mean 'amount'?"),
        ({"event": "a", "traits": ["nothing"]}, "as.traits", "There is no column 'nothing'. The columns are 'user'"),
    ],
)
def test_check_schema__column_that_its_field_cannot_be_made_of__is_named(
    fields: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_schema(mapping(**fields), ROWS.schema, None)
    assert message in " ".join(refused.value.errors[field])


@pytest.mark.parametrize("dtype", [pl.List(pl.String), pl.Struct({"a": pl.Int64}), pl.Binary(), pl.Duration("us")])
@pytest.mark.parametrize("field", ["traits", "metadata"])
def test_check_schema__property_without_a_text_of_its_own__is_refused__d3(dtype: pl.DataType, field: str) -> None:
    schema = {"user": pl.String(), "at": pl.Datetime("us", "UTC"), "tags": dtype}
    with pytest.raises(
        ConfigurationError, match=rf"as\.{field}: Column 'tags' is .*: must be text, numbers, true/false"
    ):
        check_schema(mapping(event="a", **{field: ["tags"]}), schema, None)


def test_records__properties_of_every_type_that_is_accepted__are_json() -> None:
    whole = [pl.Int8, pl.Int128, pl.UInt64, pl.UInt128]
    rows = pl.DataFrame(
        {
            "user": ["a"],
            "at": ["2026-01-05T00:00:00Z"],
            "day": [date(2026, 1, 5)],
            "at_local": [NOON],
            "hour": [NOON.time()],
        }
        | {str(dtype): pl.Series([1], dtype=dtype) for dtype in whole}
        | {"kind": pl.Series(["x"], dtype=pl.Categorical), "none": pl.Series([None]), "share": [1.0], "ok": [True]}
    )
    columns = [name for name in rows.columns if name not in {"user", "at"}]
    (text,) = record_texts(
        (frame := records(rows, (of := mapping(event="a", traits=columns)), None)).lazy(), dict(frame.schema)
    )["text"]
    check_schema(of, rows.schema, None)
    found = json.loads(text)["traits"]
    assert [found.pop(name) for name in ("kind", "none", "share", "ok")] == ["x", None, 1, True]
    assert [found.pop(str(dtype)) for dtype in whole] == [1, 1, 1, 1]
    assert found == {"day": "2026-01-05", "at_local": "2026-01-05 12:00:00.000000", "hour": "12:00:00"}
