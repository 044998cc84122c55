"""Records of rows with several mappings, and what is refused of rows as a whole (rules D0, D3)."""

import json

import polars as pl
import pytest

from experiment_pipeline.domain.row_mapping import FieldSource, RowMapping
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.sources.row_records import RowRecords

ROWS = pl.DataFrame(
    {
        "user": ["a", "b"],
        "ordered": ["2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z"],
        "refunded": [None, "2026-01-07T00:00:00Z"],
        "nothing": [None, None],
    },
    schema_overrides={"nothing": pl.String},
)


def mapping(event: str, at: str, identifier: str = "user") -> RowMapping:
    return RowMapping(
        identifier=FieldSource(column=identifier), timestamp=FieldSource(column=at), event=FieldSource(constant=event)
    )


def of(*mappings: RowMapping, empty_from: int = 1, timezone: str | None = None) -> RowRecords:
    return RowRecords({f"as.{n}": each for n, each in enumerate(mappings)}, timezone, "prod", empty_from)


def test_of__wide_rows__give_an_event_for_each_time_that_they_have() -> None:
    counted: list[int] = []
    frames = of(mapping("purchased", "ordered"), mapping("refunded", "refunded")).of([ROWS, ROWS], counted.append)
    found = [(row["event"], row["identifier"]) for frame in frames for row in frame.to_dicts()]
    assert found == [("purchased", "a"), ("purchased", "b"), ("refunded", "b")] * 2
    assert counted == [2, 2]


def test_of__column_that_is_null_everywhere__is_refused_from_so_many_rows() -> None:
    wrong = mapping("purchased", "ordered", "nothing")
    with pytest.raises(ConfigurationError, match=r"as\.0\.identifier: Every row of column 'nothing' is empty"):
        list(of(wrong).of([ROWS], lambda _: None))
    assert len(list(of(wrong, empty_from=3).of([ROWS], lambda _: None))) == 1


def test_of__time_of_a_mapping_among_several__may_be_null_everywhere() -> None:
    frames = of(mapping("purchased", "ordered"), mapping("refunded", "nothing")).of([ROWS], lambda _: None)
    assert [frame.height for frame in frames] == [2, 0]
    with pytest.raises(ConfigurationError, match=r"as\.0\.timestamp: Every row"):
        list(of(mapping("refunded", "nothing")).of([ROWS], lambda _: None))


def test_check__columns_of_every_mapping__are_named_with_their_place() -> None:
    with pytest.raises(ConfigurationError) as refused:
        of(mapping("purchased", "orderd"), mapping("refunded", "ordered", "usr")).check(ROWS.schema)
    assert list(refused.value.errors) == ["as.0.timestamp", "as.1.identifier"]
    assert "Did you mean 'ordered'?" in str(refused.value)


def test_judge__rows__are_judged_as_ingestion_does() -> None:
    rows = ROWS.with_columns(ordered=pl.Series(["2026-01-05T00:00:00Z", "yesterday"]))
    judged = of(mapping("purchased", "ordered")).judge(rows)
    assert (judged.records, judged.rejected) == (2, {"bad_timestamp": 1})
    assert json.loads(judged.first[0])["identifier"] == "a"
