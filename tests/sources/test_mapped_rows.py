"""Rows of a source become records of the event contract."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.fields import adapter
from experiment_pipeline.domain.row_mapping import RowMapping
from experiment_pipeline.errors import ConfigurationError
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


def test_records__decimal_value__stays_as_it_is_written() -> None:
    assert [each["value"] for each in made(ROWS, event="purchased", value="amount")] == ["12.50", None]


def test_records__properties__keep_numbers_and_null() -> None:
    found = made(ROWS, event="purchased", metadata=["share", "amount", "country"])
    assert [each["metadata"] for each in found] == [
        {"share": 0.5, "amount": 12.5, "country": "DE"},
        {"share": None, "amount": None, "country": None},
    ]


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
        ({"event": "a", "timestamp": "at"}, "as.timestamp", "without a time zone: name the zone"),
        ({"event": "a", "timestamp": "day"}, "as.timestamp", "without a time zone"),
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
