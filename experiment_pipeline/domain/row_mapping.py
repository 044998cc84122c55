"""Row mappings: which columns of a row that a team already has become which fields of an event (rule D0).

A mapping makes one event of a row: an exposure, if it has a `variant`, else a metric event.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, with_config

from experiment_pipeline.domain.events import LINK_EVENT
from experiment_pipeline.domain.fields import STRICT, FieldErrors, Line, Text
from experiment_pipeline.domain.texts import nearest, quoted
from experiment_pipeline.times import iso_utc

ColumnName = Annotated[Line, Field(description="a column of the query or the file")]


class TimeUnit(StrEnum):
    """The unit of a time that is a whole number since 1970-01-01T00:00:00Z."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"


def _as_text(given: object) -> object:
    """Return a time as its text: YAML reads 2026-01-05T00:00:00Z as one."""
    return iso_utc(given.astimezone(UTC)) if isinstance(given, datetime) and given.tzinfo else given


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class FieldSource:
    """Where the value of a field comes from: a column, or it is the same for every row. One of both is given.

    Attributes:
        column: its name.
        constant: the value.
        map: other texts for some of the column's values; a value that it does not name stays as it is.
        unit: of a column of whole numbers that are times; None for milliseconds.
    """

    column: ColumnName | None = None
    constant: Annotated[
        Annotated[Text, BeforeValidator(_as_text)] | None, Field(description="the same value for every row")
    ] = None
    map: Annotated[
        Mapping[str, Text] | None, Field(description="other texts for some of the column's values, by value")
    ] = None
    unit: Annotated[
        TimeUnit | None, Field(description="of times that are whole numbers since 1970; ms when left out")
    ] = None


def _text_as(field: str) -> BeforeValidator:
    return BeforeValidator(
        lambda given: {field: given} if isinstance(given, str) else given, json_schema_input_type=str | FieldSource
    )


NameField = Annotated[FieldSource, _text_as("constant")]  # a text is the value itself
ColumnField = Annotated[FieldSource, _text_as("column")]  # a text is a column's name


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class RowMapping:
    """The fields of one event of every row.

    Attributes:
        identifier: who.
        timestamp: when.
        event: the metric event's name; None for an exposure.
        feature: the flag; of an exposure always given.
        variant: the variant that an exposure saw; None for a metric event.
        value: a metric event's.
        event_id: tells two otherwise equal events apart (rule E4).
        traits: columns that become traits of these names; `metadata` likewise.
    """

    identifier: Annotated[ColumnField, Field(description="who: a column")]
    timestamp: Annotated[ColumnField, Field(description="when: a column, or {constant: 2026-01-05T00:00:00Z}")]
    event: Annotated[NameField | None, Field(description="of a metric event: its name, or {column: NAME}")] = None
    feature: Annotated[NameField | None, Field(description="of an exposure: the flag, or {column: NAME}")] = None
    variant: Annotated[ColumnField | None, Field(description="of an exposure: the column of its variant")] = None
    value: Annotated[ColumnField | None, Field(description="of a metric event: the column of its value")] = None
    event_id: Annotated[
        ColumnField | None, Field(description="a column that tells two otherwise equal events apart")
    ] = None
    traits: Annotated[tuple[ColumnName, ...], Field(description="columns that become traits of these names")] = ()
    metadata: Annotated[tuple[ColumnName, ...], Field(description="columns that become metadata of these names")] = ()

    @property
    def is_exposure(self) -> bool:
        """Whether its events are exposures."""
        return self.variant is not None

    @property
    def is_link(self) -> bool:
        """Whether its events are identity links, whose value is an identifier (rule D6)."""
        return self.event is not None and self.event.constant == LINK_EVENT

    def fields(self) -> Iterator[tuple[str, FieldSource]]:
        """Yield the fields that are mapped, by name."""
        for name in FIELDS:
            if (field := getattr(self, name)) is not None:
                yield name, field

    def columns(self) -> Iterator[tuple[str, str]]:
        """Yield every column that is read, with the field that it is read for."""
        for name, field in self.fields():
            if field.column is not None:
                yield name, field.column
        yield from (("traits", column) for column in self.traits)
        yield from (("metadata", column) for column in self.metadata)

    def required(self) -> Iterator[tuple[str, str]]:
        """Yield the columns without which a row is no event, with their fields."""
        for name, field in self.fields():
            if field.column is not None and name not in OPTIONAL:
                yield name, field.column


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class LinkMapping:
    """The two identifiers of an identity link (rule D6); its rows become events of a name of their own."""

    anonymous: Annotated[ColumnField, Field(description="of an identity link: the anonymous identifier")]
    known: Annotated[
        ColumnField, Field(description="of an identity link: the known identifier that its events are given to")
    ]


FIELDS = ("event", "feature", "variant", "identifier", "timestamp", "value", "event_id")
OPTIONAL = ("value", "event_id")
PROPERTIES = ("traits", "metadata")


def check_mapping(errors: FieldErrors, mapping: RowMapping, path: str = "as") -> None:
    """Add what is wrong between the fields of a mapping.

    Args:
        errors: collects the messages.
        mapping: see above.
        path: the field of the mapping itself.
    """
    if mapping.is_exposure:
        errors.require(mapping.feature is not None, f"{path}.feature", "An exposure must have the flag it is of.")
        for name in ("event", "value"):
            absent = getattr(mapping, name) is None
            errors.require(absent, f"{path}.{name}", "An exposure has none: a metric event has no 'variant'.")
    else:
        message = "A metric event must have a name; an exposure has 'feature' and 'variant' instead."
        errors.require(mapping.event is not None, f"{path}.event", message)
    for name, field in mapping.fields():
        _check_field(errors, field, name, f"{path}.{name}")


def _check_field(errors: FieldErrors, field: FieldSource, name: str, path: str) -> None:
    one = (field.column is None) != (field.constant is None)
    errors.require(one, path, "Must be a column's name, {column: NAME, map: {...}} or {constant: VALUE}.")
    mapped_column = field.map is None or field.column is not None
    errors.require(mapped_column, f"{path}.map", "Only the values of a column can be mapped.")
    timed_column = field.unit is None or (name == "timestamp" and field.column is not None)
    errors.require(timed_column, f"{path}.unit", "Only a column of timestamps has a unit.")


def check_columns(mapping: RowMapping, known: Mapping[str, Any], path: str = "as") -> dict[str, list[str]]:
    """Return messages on the columns that a mapping reads and the rows do not have, by field.

    Args:
        mapping: see above.
        known: the columns that there are.
        path: the field of the mapping itself.
    """
    errors = FieldErrors()
    for field, column in mapping.columns():
        if column not in known:
            errors.add(f"{path}.{field}", f"There is no column {quoted(column)}.{advice(column, known)}")
    return errors.errors


def advice(column: str, known: Mapping[str, Any]) -> str:
    """Return a sentence with the columns that were probably meant, or with those that there are; after a space."""
    near = nearest(column, known)
    if near:
        return f" Did you mean {' or '.join(quoted(name) for name in near[:2])}?"
    names = list(known)
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f" The columns are {', '.join(quoted(name) for name in names[:12])}{more}."
