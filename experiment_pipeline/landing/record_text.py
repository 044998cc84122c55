"""Record text: what a row of columns would have landed as, had it been written as a line of JSON (rule E1).

Expressions make the text of all rows at once. A few values have no such text, or another one than Python writes, and a
row's JSON text may hold more than one value: these rows are looked at one by one.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from zoneinfo import ZoneInfo

import polars as pl
from polars.exceptions import PolarsError

from experiment_pipeline.domain import events
from experiment_pipeline.domain.envelopes import NOT_UTF_8
from experiment_pipeline.errors import NotJson

JSON_FIELDS = ("traits", "metadata")
SMALL = 1e-4  # below, Python writes an exponent
NO_NUMBERS = {"NaN": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}  # as text, they are values without a number
NULL_VALUE = '"value":null'  # never within a string, whose quotes are escaped, and `value` comes before traits
LOCAL_TIME = "%Y-%m-%dT%H:%M:%S%.3f"
GOES_ON = r"(?:\}|null)\s*,"  # what JSON text holds that goes on behind its value; and much that does not

Schema = Mapping[str, pl.DataType]


def record_texts(rows: pl.LazyFrame, columns: Schema, timezone: ZoneInfo | None = None) -> pl.DataFrame:
    """Return the rows' records as a frame of one column, `text`.

    Args:
        rows: As they lie in the file.
        columns: The columns among them that a record has.
        timezone: Of times without one, which stay times without one if it is None.
    """
    texts = _json_texts(columns)
    frame = rows.select(
        _record(columns, texts, timezone).alias("text"),
        _odd_value(columns).alias("value"),
        _any(_is_no_text(name) for name, dtype in columns.items() if dtype == pl.Binary).alias("bad"),
        *(_as_text(pl.col(name), columns[name]).alias(name) for name in texts),
    ).collect()
    odd = frame.select(pl.arg_where(pl.col("value").is_not_null() | pl.col("bad"))).to_series()
    may_go_on = frame.with_row_index("at").filter(_any(pl.col(name).str.contains(GOES_ON) for name in texts))
    goes_on = may_go_on.filter(_any(_goes_on(pl.col(name)) for name in texts))["at"]
    at = pl.concat([odd, goes_on]).unique()
    if at.is_empty():
        return frame.select("text")
    mended = [_mended(row, texts) for row in frame[at].iter_rows(named=True)]
    return pl.DataFrame({"text": frame["text"].scatter(at, mended)})


def _record(columns: Schema, texts: list[str], timezone: ZoneInfo | None) -> pl.Expr:
    """Return the record as JSON text. JSON text in a column is inserted as it is; if it is bad, so is the record."""
    encoded = [_member(name, dtype, timezone) for name, dtype in columns.items() if name not in texts]
    record = pl.struct(encoded or [pl.lit(None).alias("event")]).struct.json_encode()
    members = [pl.format(f',"{name}":{{}}', _as_text(pl.col(name), columns[name]).fill_null("null")) for name in texts]
    return pl.concat_str([record.str.strip_suffix("}"), *members, pl.lit("}")])


def _member(name: str, dtype: pl.DataType, timezone: ZoneInfo | None) -> pl.Expr:
    column = _as_text(pl.col(name), dtype)
    if name == "timestamp" and isinstance(dtype, pl.Datetime):
        return column.dt.epoch("ms") if dtype.time_zone is not None else _local_time(column, timezone).alias(name)
    if name == "timestamp" and isinstance(dtype, pl.Decimal) and not dtype.scale:
        return column.cast(pl.Int64, strict=False)
    if name == "value" and dtype.is_float():
        return pl.when(_is_odd(column)).then(None).otherwise(column).alias(name)
    return column


def _local_time(column: pl.Expr, timezone: ZoneInfo | None) -> pl.Expr:
    """A time without a zone as text: with an offset where the time zone has that time, as `events.parse` reads it."""
    text = column.dt.strftime(LOCAL_TIME)
    if timezone is None:
        return text
    moment = column.dt.replace_time_zone(timezone.key, ambiguous="earliest", non_existent="null")
    return pl.coalesce(moment.dt.convert_time_zone("UTC").dt.strftime(f"{LOCAL_TIME}Z"), text)


def _odd_value(columns: Schema) -> pl.Expr:
    """A number that JSON has no text for, or that Polars writes otherwise than Python; null for all others."""
    if "value" not in columns or not columns["value"].is_float():
        return pl.lit(None, pl.String)
    value = pl.col("value")
    return pl.when(_is_odd(value)).then(value.cast(pl.String))


def _is_odd(value: pl.Expr) -> pl.Expr:
    return value.is_finite().not_() | ((value.abs() < SMALL) & (value != 0))


def _goes_on(text: pl.Expr) -> pl.Expr:
    return text.is_not_null() & text.str.json_path_match("$").is_null()


def _mended(row: dict[str, str | bool | None], texts: list[str]) -> str:
    text = str(row["text"])
    if row["bad"] or not all(_is_one_value(row[name]) for name in texts):
        return NOT_UTF_8 + text
    if (value := row["value"]) is not None:
        literal = NO_NUMBERS.get(str(value)) or repr(float(value))
        return text.replace(NULL_VALUE, f'"value":{literal}', 1)
    return text


def _is_one_value(text: str | bool | None) -> bool:
    """Return whether JSON text is one value, and not one with members of the record behind it."""
    if not isinstance(text, str):
        return True
    try:
        events.decode(text)
    except NotJson:
        return False
    return True


def _json_texts(columns: Schema) -> list[str]:
    return [name for name in JSON_FIELDS if name in columns and _readable(columns[name]) == pl.String]


def _is_no_text(name: str) -> pl.Expr:
    return pl.col(name).is_not_null() & _as_text(pl.col(name), pl.Binary()).is_null()


def _as_text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return a column as text. Some writers store text as bytes or in a dictionary; bad UTF-8 becomes null."""
    readable = _readable(dtype)
    if readable == dtype:
        return column
    return column.map_batches(partial(_cast, dtype=readable), return_dtype=readable)


def _cast(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    try:
        return series.cast(dtype)
    except PolarsError:
        return pl.Series(series.name, [_decoded(value) for value in series.to_list()], dtype=dtype, strict=False)


def _decoded(value: object) -> object:
    if isinstance(value, dict):
        return {name: _decoded(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return None


def _readable(dtype: pl.DataType) -> pl.DataType:
    """The type with text in the place of what stands for text."""
    if isinstance(dtype, pl.Binary | pl.Categorical | pl.Enum):
        return pl.String()
    if isinstance(dtype, pl.List):
        return pl.List(_readable(_instance(dtype.inner)))
    if isinstance(dtype, pl.Struct):
        return pl.Struct([pl.Field(field.name, _readable(_instance(field.dtype))) for field in dtype.fields])
    return dtype


def _instance(dtype: object) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else dtype()  # type: ignore[operator]


def _any(conditions: Iterable[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal([pl.lit(value=False), *conditions])
