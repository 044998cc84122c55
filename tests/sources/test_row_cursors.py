"""Cursors of rows as whole numbers, in the order of what they are of (rule D7)."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.sources.row_cursors import check_cursor, row_cursors

MOMENT = datetime(2026, 1, 5, 10, 3, 0, 5, UTC)


def cursors(*values: Any, timezone: str | None = None) -> list[int]:
    return row_cursors(pl.DataFrame({"at": values}), "at", timezone).to_list()


@pytest.mark.parametrize(
    ("value", "cursor"),
    [
        (17, 17),
        ("17", 17),
        (MOMENT, 1_767_607_380_000_005),
        (MOMENT.replace(tzinfo=None), 1_767_607_380_000_005),
        (date(2026, 1, 5), 1_767_571_200_000_000),
        ("2026-01-05T10:03:00.005Z", 1_767_607_380_005_000),
        ("2026-01-05T11:03:00.005+01:00", 1_767_607_380_005_000),
        ("2026-01-05 10:03:00.005", 1_767_607_380_005_000),
        ("2026-01-05", 1_767_571_200_000_000),
    ],
)
def test_cursors__of_numbers_times_dates_and_their_texts(value: Any, cursor: int) -> None:
    assert cursors(value) == [cursor]


def test_cursors__of_texts_with_several_offsets__are_in_their_order() -> None:
    found = cursors("2026-01-05 11:03:00.005+01", "2026-01-05 10:03:00.005001 UTC", "2026-01-05T10:03:00.005002Z")
    assert found == [1_767_607_380_005_000, 1_767_607_380_005_001, 1_767_607_380_005_002]


def test_cursors__of_local_times__are_in_their_order() -> None:
    assert cursors("2026-01-05 10:03:00", timezone="Europe/Berlin") == [1_767_603_780_000_000]


@pytest.mark.parametrize(("value", "shown"), [(None, "empty"), ("soon", "'soon'"), ("", "''")])
def test_cursors__that_are_none__are_refused(value: str | None, shown: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"cursor\.column: Column 'at' is {shown} in a row: must be whole"):
        cursors("2026-01-05", value)


@pytest.mark.parametrize("dtype", [pl.UInt64, pl.Int128, pl.UInt128])
def test_cursors__whole_number_that_is_too_large__is_refused(dtype: type[pl.DataType]) -> None:
    large = pl.DataFrame({"at": pl.Series([1, 2**63], dtype=dtype)})
    with pytest.raises(ConfigurationError, match="Column 'at' is '9223372036854775808' in a row: must be whole"):
        row_cursors(large, "at", None)
    assert row_cursors(large.head(1), "at", None).to_list() == [1]


def test_check_cursor__missing_column_or_type_without_an_order__is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"cursor\.column: There is no column 'att'\. Did you mean 'at'\?"):
        check_cursor("att", {"at": pl.String()})
    with pytest.raises(ConfigurationError, match=r"cursor\.column: Column 'at' holds numbers: must be whole numbers"):
        check_cursor("at", {"at": pl.Float64()})
    check_cursor("at", {"at": pl.Int32()})
