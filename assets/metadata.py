"""Metadata of assets in Dagster: the provenance of their numbers, and a few of the numbers."""

import math

import dagster as dg
import polars as pl

from experiment_pipeline.domain.texts import printable, shortened
from experiment_pipeline.warehouse.artifacts import Stamp

ROWS_SHOWN = 50  # a metadata table has no paging, and it lands in the event log each time
TEXT_SHOWN = 200  # characters of a text that a sender chose

Metadata = dict[str, dg.MetadataValue]


def provenance(stamp: Stamp) -> Metadata:
    """Return the window, data version, code and SQL behind a materialisation."""
    return {
        "started_at": dg.MetadataValue.timestamp(stamp.window.started_at),
        "as_of": dg.MetadataValue.timestamp(stamp.window.as_of),
        "data_version": dg.MetadataValue.int(stamp.data_version),
        "code_version": dg.MetadataValue.text(stamp.code_version),
        "sql": dg.MetadataValue.md(f"```sql\n{stamp.sql}\n```"),
    }


def short_table(frame: pl.DataFrame) -> dg.MetadataValue:
    """Return the first rows of a small frame as a table. Values that JSON cannot hold become text."""
    records = [
        dg.TableRecord({name: _json_safe(value) for name, value in row.items()})
        for row in frame.head(ROWS_SHOWN).iter_rows(named=True)
    ]
    columns = [dg.TableColumn(name, str(dtype)) for name, dtype in frame.schema.items()]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))


def _json_safe(value: object) -> str | int | float | bool | None:
    if isinstance(value, str):
        return printable(shortened(value, TEXT_SHOWN))
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value)
