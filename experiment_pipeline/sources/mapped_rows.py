"""Rows of a source as records of the event contract (rules D0, D3, E1): columns renamed, mapped and converted.

What cannot be an event at all is refused before anything lands: a column that is missing, of the wrong type, or all
null. A single row that breaks the contract goes on as it is, and ingestion rejects it with its reason (rule E3).
"""

from collections.abc import Mapping

import polars as pl

from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.domain.row_mapping import PROPERTIES, FieldSource, RowMapping, TimeUnit, check_columns
from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.errors import ConfigurationError

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
WHOLE_NUMBER = r"^-?\d{1,18}$"
FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S%.f")
NAME_THE_ZONE = "name the zone that it is in, such as --timezone UTC, or timezone: UTC of a source."
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
    fields = [_field(name, field, rows.schema, timezone).alias(RECORD_FIELDS[name]) for name, field in mapping.fields()]
    if mapping.is_exposure:
        fields.insert(0, pl.lit(EXPOSURE_EVENT).alias("event"))
    properties = [
        pl.struct(_property(column, rows.schema[column]) for column in columns).alias(name)
        for name in PROPERTIES
        if (columns := getattr(mapping, name))
    ]
    return rows.select(*fields, *properties)


def _wrong_type(name: str, dtype: pl.DataType, timezone: str | None) -> str | None:
    """Return why a column of this type cannot be this field; None where it can."""
    if name == "timestamp":
        return _wrong_time(dtype, timezone)
    if name == "value":
        fits = dtype == pl.String or dtype.is_numeric() or dtype == pl.Boolean
        return None if fits else f"is {dtype}: a value must be a number, text or true/false."
    fits = dtype == pl.String or dtype.is_integer() or (dtype == pl.Boolean and name == "variant")
    return None if fits else f"is {dtype}: must be text or whole numbers. Cast it in the query."


def _wrong_time(dtype: pl.DataType, timezone: str | None) -> str | None:
    if isinstance(dtype, pl.Datetime | pl.Date):
        has_zone = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
        return None if has_zone or timezone else f"is {dtype} without a time zone: {NAME_THE_ZONE}"
    if dtype.is_integer() or dtype == pl.String:
        return None
    return f"is {dtype}: must be a time, a date, text (RFC 3339), or whole numbers with a unit."


def _field(name: str, field: FieldSource, schema: Schema, timezone: str | None) -> pl.Expr:
    if field.column is None:
        return pl.lit(field.constant)
    column, dtype = pl.col(field.column), schema[field.column]
    if name == "timestamp":
        return rfc_3339(column, dtype, field.unit or TimeUnit.MILLISECONDS, timezone)
    if field.map is not None:
        return column.cast(pl.String).replace(dict(field.map))
    if name == "value" and not isinstance(dtype, pl.Decimal):
        return column
    return column.cast(pl.String)


def rfc_3339(column: pl.Expr, dtype: pl.DataType, unit: TimeUnit, timezone: str | None) -> pl.Expr:
    """Return times as RFC 3339; a text that is none stays as it came, so that its row is rejected with it."""
    if isinstance(dtype, pl.Datetime | pl.Date):
        return _rfc_3339(column.cast(pl.Datetime("us", getattr(dtype, "time_zone", None))), dtype, timezone)
    if dtype.is_integer():
        return pl.coalesce(_since_epoch(column, unit), column.cast(pl.String))
    text = column.str.strip_chars()
    number = pl.when(text.str.contains(WHOLE_NUMBER)).then(text).cast(pl.Int64)
    if timezone is None:
        return pl.coalesce(_since_epoch(number, unit), text)
    local = pl.when(text.str.contains(ZONELESS)).then(text.str.replace("T", " "))
    moments = [_rfc_3339(local.str.to_datetime(form, time_unit="us", strict=False), None, timezone) for form in FORMS]
    return pl.coalesce(_since_epoch(number, unit), *moments, text)


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


def _property(column: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column as a member of a JSON object: numbers, text and true/false as they are, the rest as text."""
    if isinstance(dtype, pl.Decimal):
        return pl.col(column).cast(pl.Float64)
    is_scalar = dtype.is_numeric() or dtype in (pl.String, pl.Boolean)
    return pl.col(column) if is_scalar else pl.col(column).cast(pl.String)
