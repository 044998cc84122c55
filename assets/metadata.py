"""Metadata of assets in Dagster: the provenance of their numbers, and a few of the numbers."""

import json
import math
from collections.abc import Iterator, Mapping

import dagster as dg
import polars as pl

from experiment_pipeline.assets.columns import PARTITION_ROWS
from experiment_pipeline.domain.texts import printable, shortened
from experiment_pipeline.warehouse.artifacts import Stamp

TABLE_SHOWN = 12_000  # characters of a table, as JSON
ROWS_SHOWN = 50  # a metadata table has no paging, and it lands in the event log each time
TEXT_SHOWN = 200  # characters of a text that a sender chose
DIGITS_SHOWN = 9  # of a number; the artifact has all of them
SQL_SHOWN = 12_000  # characters; the artifact has all of it
PART_COLUMNS = ("part", "name", "value", "is_other")

Metadata = dict[str, dg.MetadataValue]


def provenance(stamp: Stamp) -> Metadata:
    """Return the window, data version, code and SQL behind a materialisation."""
    return {
        "started_at": dg.MetadataValue.timestamp(stamp.window.started_at),
        "as_of": dg.MetadataValue.timestamp(stamp.window.as_of),
        "data_version": dg.MetadataValue.int(stamp.data_version),
        "code_version": dg.MetadataValue.text(stamp.code_version),
        "sql": dg.MetadataValue.md(f"```sql\n{shortened(stamp.sql, SQL_SHOWN)}\n```"),
    }


def short_table(frame: pl.DataFrame) -> dg.MetadataValue:
    """Return the first rows of a small frame as a table. Values that JSON cannot hold become text."""
    records = list(_records(frame))
    columns = [dg.TableColumn(name, str(dtype)) for name, dtype in frame.schema.items()]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))


def row_count(frame: pl.DataFrame) -> Metadata:
    """Return the number of rows of a partition, as Dagster's pages know it."""
    return {PARTITION_ROWS: dg.MetadataValue.int(len(frame))}


def metric_tables(frame: pl.DataFrame, metrics: Mapping[int, str]) -> Metadata:
    """Return the rows of a frame about metrics: those of whole metrics, and apart from them those of their parts.

    Columns that are empty in all rows of a table are left out: each kind of metric has some of its own.

    Args:
        frame: with a column `metric_id`, and those of `PART_COLUMNS` if metrics have parts.
        metrics: names by id.
    """
    name = pl.col("metric_id").replace_strict(metrics, return_dtype=pl.String).alias("metric")
    named = frame.select(name, pl.exclude("metric_id"))
    if "part" not in named.columns:
        return {"rows": short_table(_without_empty_columns(named))}
    whole, parts = named.filter(pl.col("part").is_null()), named.filter(pl.col("part").is_not_null())
    tables: Metadata = {"rows": short_table(_without_empty_columns(whole.drop(PART_COLUMNS)))}
    if len(parts):
        tables["rows_of_parts"] = short_table(_without_empty_columns(parts))
    for name_of, of in (("rows", whole), ("rows_of_parts", parts)):
        table = tables.get(name_of)
        if isinstance(table, dg.TableMetadataValue) and len(of) > len(table.records):
            tables[f"{name_of}_not_shown"] = dg.MetadataValue.int(len(of) - len(table.records))
    return tables


def _records(frame: pl.DataFrame) -> Iterator[dg.TableRecord]:
    """Yield the first rows, as many as fit."""
    size = 0
    for row in frame.head(ROWS_SHOWN).iter_rows(named=True):
        shown = {name: _json_safe(value) for name, value in row.items()}
        size += len(json.dumps(shown))
        if size > TABLE_SHOWN:
            return
        yield dg.TableRecord(shown)


def _without_empty_columns(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(column for column in frame if column.null_count() < len(column) or frame.is_empty())


def _json_safe(value: object) -> str | int | float | bool | None:
    if isinstance(value, str):
        return printable(shortened(value, TEXT_SHOWN))
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.{DIGITS_SHOWN}g}")
    return str(value)
