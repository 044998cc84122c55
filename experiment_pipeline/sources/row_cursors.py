"""Cursors of rows that supersede earlier ones, as whole numbers that the lake compares (rule D7)."""

import polars as pl

from experiment_pipeline.domain.row_mapping import TimeUnit, advice
from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.landing.source_objects import CURSOR_COLUMN
from experiment_pipeline.sources.column_types import in_words
from experiment_pipeline.sources.mapped_rows import WHOLE_NUMBER, Schema, rfc_3339

FIELD = "cursor.column"
LARGEST = 2**63 - 1
ALLOWED = f"must be whole numbers up to {LARGEST}, times or dates: the row of an event id with the largest one counts."


def check_cursor(column: str, schema: Schema) -> None:
    """Refuse a column that is missing, or of a type that has no order of this kind.

    Raises:
        ConfigurationError: names the column and what is allowed.
    """
    if column not in schema:
        raise ConfigurationError.of(FIELD, f"There is no column {quoted(column)}.{advice(column, schema)}")
    dtype = schema[column]
    if not (dtype.is_integer() or dtype == pl.String or isinstance(dtype, pl.Datetime | pl.Date)):
        raise ConfigurationError.of(FIELD, f"Column {quoted(column)} holds {in_words(dtype)}: {ALLOWED}")


def row_cursors(rows: pl.DataFrame, column: str, timezone: str | None) -> pl.Series:
    """Return the cursor of every row: times and dates as microseconds since 1970.

    Args:
        rows: of a source, their columns checked.
        column: that grows whenever a row changes.
        timezone: of times without one; their order is the same without.

    Raises:
        ConfigurationError: a row has none, or a text that is neither a whole number nor a time.
    """
    cursors = rows.select(_numbers(pl.col(column), rows.schema[column], timezone).alias(CURSOR_COLUMN)).to_series()
    if cursors.null_count():
        first = rows.filter(cursors.is_null())[column][0]
        shown = "empty" if first is None else quoted(str(first))
        raise ConfigurationError.of(FIELD, f"Column {quoted(column)} is {shown} in a row: {ALLOWED}")
    return cursors


def _numbers(column: pl.Expr, dtype: pl.DataType, timezone: str | None) -> pl.Expr:
    if dtype.is_integer():
        return column.cast(pl.Int64, strict=False)
    if isinstance(dtype, pl.Datetime | pl.Date):
        return column.cast(pl.Datetime("us", getattr(dtype, "time_zone", None))).dt.epoch("us")
    text = column.str.strip_chars()
    number = pl.when(text.str.contains(WHOLE_NUMBER)).then(text).cast(pl.Int64)
    time = pl.when(~text.str.contains(WHOLE_NUMBER)).then(text)
    moment = rfc_3339(time, pl.String(), TimeUnit.MILLISECONDS, timezone or "UTC")
    return pl.coalesce(number, moment.str.to_datetime(time_unit="us", time_zone="UTC", strict=False).dt.epoch("us"))
