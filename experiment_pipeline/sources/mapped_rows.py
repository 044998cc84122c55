"""Rows of a source as records of the event contract (rules D0, D3, E1): columns renamed, mapped and converted.

What cannot be an event at all is refused before anything lands: a column that is missing, of the wrong type, or all
null. A single row that breaks the contract goes on as it is, and ingestion rejects it with its reason (rule E3).
"""

import json
from collections.abc import Mapping, Sequence

import polars as pl

from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.domain.row_mapping import PROPERTIES, FieldSource, RowMapping, TimeUnit, check_columns
from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.sources.column_types import in_words
from experiment_pipeline.sources.number_texts import number_texts

Schema = Mapping[str, pl.DataType]

RECORD_FIELDS = {  # of a record, by the field of the mapping that it is made of
    "event": "event",
    "feature": "feature_name",
    "variant": "value",
    "identifier": "identifier",
    "timestamp": "timestamp",
    "value": "value",
    "event_id": "event_id",
}
RFC_3339 = "%Y-%m-%dT%H:%M:%S%.3fZ"
ZONELESS = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?$"  # a date, or a time without an offset
ZONED = (  # as databases write them: "2026-11-02 10:00:00+00", "2026-11-02 10:00 UTC"
    r"^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2})(:\d{2}(?:\.\d+)?)? ?(?:[Zz]|UTC|GMT|([+-]\d{2})(?::?(\d{2}))?)$"
)
WHOLE_NUMBER = r"^-?\d{1,18}$"
FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S%.f")
NAME_THE_ZONE = "name the zone that it is in, such as --timezone UTC, or timezone: UTC of a source."
PROPERTY = "must be text, numbers, true/false, times or dates. Cast it in the query."
YEARS = -62_135_596_800_000, 253_402_300_799_999  # 0001 to 9999, in milliseconds since 1970
NANOSECONDS = {
    TimeUnit.SECONDS: 1_000_000_000,
    TimeUnit.MILLISECONDS: 1_000_000,
    TimeUnit.MICROSECONDS: 1_000,
    TimeUnit.NANOSECONDS: 1,
}


def check_schema(mapping: RowMapping, schema: Schema, timezone: str | None, path: str = "as") -> None:
    """Refuse columns that are missing or of a type that their field cannot be made of.

    Args:
        mapping: of the rows.
        schema: the columns of the rows and their types.
        timezone: of times without one; None where they are not allowed.
        path: the field of the mapping, for messages.

    Raises:
        ConfigurationError: names every such field and what is allowed.
    """
    errors = check_columns(mapping, schema, path)
    for name, field in mapping.fields():
        dtype = schema.get(field.column) if field.column is not None else None
        if field.column is not None and dtype is not None and (wrong := _wrong_type(name, dtype, timezone)):
            errors.setdefault(f"{path}.{name}", []).append(f"Column {quoted(field.column)} {wrong}")
    for name in PROPERTIES:
        for column in getattr(mapping, name):
            if column in schema and not _is_property(schema[column]):
                message = f"Column {quoted(column)} is {schema[column]}: {PROPERTY}"
                errors.setdefault(f"{path}.{name}", []).append(message)
    if errors:
        raise ConfigurationError(errors)


def time_without_zone(rows: pl.DataFrame, mapping: RowMapping) -> str | None:
    """Return the first of the rows' times that is a text without a zone; None where there is none."""
    column = mapping.timestamp.column
    if column is None or rows.schema[column] != pl.String:
        return None
    found = rows.get_column(column).str.strip_chars()
    return next(iter(found.filter(found.str.contains(ZONELESS))), None)


def records(rows: pl.DataFrame, mapping: RowMapping, timezone: str | None) -> pl.DataFrame:
    """Return the records of rows: the columns of rule E1, as a landing object of Parquet has them.

    Args:
        rows: those of the source, of checked types.
        mapping: of them.
        timezone: of times without one.
    """
    fields = [
        _field(name, field, rows.schema, timezone, is_link=mapping.is_link).alias(RECORD_FIELDS[name])
        for name, field in mapping.fields()
    ]
    if mapping.is_exposure:
        fields.insert(0, pl.lit(EXPOSURE_EVENT).alias("event"))
    properties = [
        _object(columns, rows.schema).alias(name) for name in PROPERTIES if (columns := getattr(mapping, name))
    ]
    return rows.select(*fields, *properties)


def _is_property(dtype: pl.DataType) -> bool:
    is_text = isinstance(dtype, pl.String | pl.Categorical | pl.Enum)
    is_time = isinstance(dtype, pl.Datetime | pl.Date | pl.Time)
    return is_text or is_time or dtype.is_numeric() or isinstance(dtype, pl.Boolean | pl.Null)


def _wrong_type(name: str, dtype: pl.DataType, timezone: str | None) -> str | None:
    """Return why a column of this type cannot be this field; None where it can."""
    if name == "timestamp":
        return _wrong_time(dtype, timezone)
    if name == "value":
        fits = dtype == pl.String or dtype.is_numeric() or dtype == pl.Boolean
        return None if fits else f"holds {in_words(dtype)}: a value must be a number, text or true/false."
    fits = dtype == pl.String or dtype.is_integer() or (dtype == pl.Boolean and name == "variant")
    return None if fits else f"holds {in_words(dtype)}: must be text or whole numbers. Cast it in the query."


def _wrong_time(dtype: pl.DataType, timezone: str | None) -> str | None:
    if isinstance(dtype, pl.Datetime | pl.Date):
        has_zone = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
        return None if has_zone or timezone else f"holds {in_words(dtype)}: {NAME_THE_ZONE}"
    if dtype.is_integer() or dtype == pl.String:
        return None
    return f"holds {in_words(dtype)}: must be a time, a date, text (RFC 3339), or whole numbers with a unit."


def _field(name: str, field: FieldSource, schema: Schema, timezone: str | None, *, is_link: bool) -> pl.Expr:
    if field.column is None:
        return pl.lit(field.constant)
    column, dtype = pl.col(field.column), schema[field.column]
    if name == "timestamp":
        return rfc_3339(column, dtype, field.unit or TimeUnit.MILLISECONDS, timezone)
    if name == "value" and dtype == pl.Boolean and field.map is None:
        return column
    text = _number_texts(column) if dtype.is_numeric() else column.cast(pl.String)
    if field.map is not None:
        text = text.replace(dict(field.map))
    return _number_texts(text) if name == "value" and not is_link else text  # an identity is its text, whatever it is


def _number_texts(column: pl.Expr) -> pl.Expr:
    return column.map_batches(number_texts, return_dtype=pl.String)


def rfc_3339(column: pl.Expr, dtype: pl.DataType, unit: TimeUnit, timezone: str | None) -> pl.Expr:
    """Return times as RFC 3339; a text that is none stays as it came, so that its row is rejected with it."""
    if isinstance(dtype, pl.Datetime | pl.Date):
        return _rfc_3339(column.cast(pl.Datetime("us", getattr(dtype, "time_zone", None))), dtype, timezone)
    if dtype.is_integer():
        return pl.coalesce(_since_epoch(column, unit), column.cast(pl.String))
    text = _with_offset(column.str.strip_chars())
    number = pl.when(text.str.contains(WHOLE_NUMBER)).then(text).cast(pl.Int64)
    if timezone is None:
        return pl.coalesce(_since_epoch(number, unit), text)
    local = pl.when(text.str.contains(ZONELESS)).then(text.str.replace("T", " "))
    moments = [_rfc_3339(local.str.to_datetime(form, time_unit="us", strict=False), None, timezone) for form in FORMS]
    return pl.coalesce(_since_epoch(number, unit), *moments, text)


def _with_offset(text: pl.Expr) -> pl.Expr:
    """Return texts of times with a zone as RFC 3339 has them; other texts stay as they are."""
    parts = text.str.extract_groups(ZONED).struct
    day, minute, seconds, hours, minutes = (parts.field(str(number)) for number in range(1, 6))
    offset = pl.when(hours.is_null()).then(pl.lit("Z")).otherwise(hours + ":" + minutes.fill_null("00"))
    return pl.coalesce(day + "T" + minute + seconds.fill_null(":00") + offset, text)


def _rfc_3339(moment: pl.Expr, dtype: pl.DataType | None, timezone: str | None) -> pl.Expr:
    """Return moments as text in UTC: of a local time that comes twice the first, null of one that never comes."""
    if not (isinstance(dtype, pl.Datetime) and dtype.time_zone is not None):
        assert timezone is not None  # noqa: S101 - checked with the schema
        moment = moment.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    return moment.dt.convert_time_zone("UTC").dt.strftime(RFC_3339)


def _since_epoch(number: pl.Expr, unit: TimeUnit) -> pl.Expr:
    """Return whole numbers since 1970 as text; null beyond the years of a calendar."""
    milliseconds = number.cast(pl.Int128) * NANOSECONDS[unit] // NANOSECONDS[TimeUnit.MILLISECONDS]
    within = pl.when(milliseconds.is_between(*YEARS)).then(milliseconds.cast(pl.Int64))
    return within.cast(pl.Datetime("ms", "UTC")).dt.strftime(RFC_3339)


def _object(columns: Sequence[str], schema: Schema) -> pl.Expr:
    """Return columns as the members of an object; as JSON text where there are numbers that must be written as one."""
    fractions = [column for column in columns if schema[column].is_float() or isinstance(schema[column], pl.Decimal)]
    others = [_whole_or_text(column, schema[column]) for column in columns if column not in fractions]
    if not fractions:
        return pl.struct(others)
    begun = pl.struct(others).struct.json_encode().str.strip_suffix("}") if others else pl.lit("{")
    numbers = [
        pl.lit(f"{json.dumps(column, ensure_ascii=False)}:") + _finite(_number_texts(pl.col(column))).fill_null("null")
        for column in fractions
    ]
    comma = [pl.lit(",")] if others else []
    return pl.concat_str([begun, *comma, pl.concat_str(numbers, separator=","), pl.lit("}")])


def _whole_or_text(column: str, dtype: pl.DataType) -> pl.Expr:
    return pl.col(column) if dtype.is_integer() or dtype == pl.Boolean else pl.col(column).cast(pl.String)


def _finite(texts: pl.Expr) -> pl.Expr:
    """Return texts of numbers, null in the place of those that JSON has no number for."""
    return pl.when(texts.str.contains(r"^-?[0-9]")).then(texts)
