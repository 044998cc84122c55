"""Tables that Dagster's pages show of small frames."""

from typing import Any

import dagster as dg
import polars as pl

from experiment_pipeline.assets.metadata import ROWS_SHOWN, Metadata, metric_tables, short_table

NAMES = {1: "revenue", 2: "checkout"}


def rows(*parts: str | None, **others: Any) -> pl.DataFrame:
    """A frame of one row for each part; None for a whole metric."""
    columns = {"metric_id": 2, "part": parts, "name": "country", "value": None, "is_other": False, "mean": 0.5}
    return pl.DataFrame(columns | others, schema_overrides={"part": pl.String, "value": pl.String})


def shown(metadata: Metadata, name: str) -> list[dict[str, object]]:
    table = metadata[name]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


def test_metric_tables__metrics__are_named_and_their_parts_stand_apart() -> None:
    tables = metric_tables(rows("step", None, "dimension"), NAMES)
    assert shown(tables, "rows") == [{"metric": "checkout", "mean": 0.5}]
    assert [row["part"] for row in shown(tables, "rows_of_parts")] == ["step", "dimension"]
    assert "rows_of_parts_not_shown" not in tables


def test_metric_tables__without_parts__are_one() -> None:
    frame = pl.DataFrame({"metric_id": [1, 2], "lift": [None, 0.25]})
    tables = metric_tables(frame, NAMES)
    assert list(tables) == ["rows"]
    assert shown(tables, "rows") == [{"metric": "revenue", "lift": None}, {"metric": "checkout", "lift": 0.25}]


def test_metric_tables__more_parts_than_are_shown__are_counted() -> None:
    tables = metric_tables(rows(None, *["dimension"] * (ROWS_SHOWN + 3)), NAMES)
    assert len(shown(tables, "rows_of_parts")) == ROWS_SHOWN
    assert tables["rows_of_parts_not_shown"].value == 3
    assert len(shown(tables, "rows")) == 1, "parts push no metric out"


def test_metric_tables__columns_that_no_row_uses__are_left_out_and_of_no_rows_all_stay() -> None:
    assert "quantile" not in shown(metric_tables(rows(None, quantile=None), NAMES), "rows")[0]
    empty = metric_tables(rows(None).clear(), NAMES)["rows"]
    assert isinstance(empty, dg.TableMetadataValue)
    assert [column.name for column in empty.schema.columns] == ["metric", "mean"]


def test_short_table__numbers__are_rounded_and_what_json_cannot_hold_is_text() -> None:
    table = short_table(pl.DataFrame({"number": [0.11891165602955996, float("inf")]}))
    assert isinstance(table, dg.TableMetadataValue)
    assert [record.data["number"] for record in table.records] == [0.118911656, "inf"]
