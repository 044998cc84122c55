"""Row mappings given as texts, `identifier=user_id`, for the columns of one file; and what is guessed of its columns.

A text that names a column is that column. Otherwise it is the value itself, where a field may be the same for every
row: `event`, `feature`, and a `timestamp` that is a time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from experiment_pipeline.domain.events import RFC_3339
from experiment_pipeline.domain.fields import FieldErrors
from experiment_pipeline.domain.row_mapping import FIELDS, PROPERTIES, RowMapping, advice, check_mapping
from experiment_pipeline.domain.texts import quoted

USUAL_NAMES: Mapping[str, tuple[str, ...]] = {  # of columns, the likeliest first, without case and separators
    "identifier": (
        "identifier", "userid", "user", "customerid", "customer", "visitorid", "anonymousid", "deviceid", "accountid",
        "memberid", "subjectid", "personid", "person", "subject", "uid",
    ),
    "timestamp": (
        "timestamp", "eventtimestamp", "eventtime", "occurredat", "createdat", "assignedat", "exposedat", "orderedat",
        "purchasedat", "placedat", "assigned", "exposed", "placed", "orderdate", "time", "ts", "datetime", "date",
    ),
    "feature": ("feature", "featurename", "featurekey", "flag", "flagkey", "experiment", "experimentid", "test"),
    "variant": ("variant", "variantkey", "variation", "variationid", "group", "arm", "treatment", "bucket", "cohort"),
    "event": ("event", "eventname", "eventtype", "action"),
    "value": ("value", "amount", "revenue", "price", "total", "ordervalue"),
    "event_id": ("eventid", "messageid", "orderid", "transactionid", "insertid", "uuid"),
}  # fmt: skip
OF_EXPOSURES = ("feature", "variant", "identifier", "timestamp", "event_id")
OF_EVENTS = ("event", "identifier", "timestamp", "value", "event_id")
MAY_BE_VALUES = ("event", "feature", "timestamp")
ALL_FIELDS = (*FIELDS, *PROPERTIES)


@dataclass(frozen=True, slots=True)
class GivenMapping:
    """A mapping as its texts were given.

    Attributes:
        fields: a column or a value by field; of `traits` and `metadata` names of columns with commas between them.
        maps: other texts for some values of a field's column, by field.
        units: the unit of a column of whole numbers, by field.
    """

    fields: Mapping[str, str]
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


def guessed_fields(given: Iterable[str], columns: Iterable[str], *, exposures: bool) -> dict[str, str]:
    """Return the columns that fields which are not given are probably in, by field."""
    letters = {_letters(name): name for name in reversed(list(columns))}
    wanted = [name for name in (OF_EXPOSURES if exposures else OF_EVENTS) if name not in set(given)]
    return {
        name: letters[found]
        for name in wanted
        if (found := next((usual for usual in USUAL_NAMES[name] if usual in letters), None)) is not None
    }


def are_exposures(columns: Iterable[str]) -> bool:
    """Return whether rows with these columns are probably exposures: one of them is named as a variant is."""
    return any(_letters(name) in USUAL_NAMES["variant"] for name in columns)


def mapping_of(given: GivenMapping, columns: Iterable[str]) -> RowMapping:
    """Return the mapping that texts mean for rows with these columns.

    Raises:
        ConfigurationError: names every field that is wrong, and what is allowed.
    """
    known, errors = dict.fromkeys(columns), FieldErrors()
    for name in given.fields:
        errors.require(name in ALL_FIELDS, f"as.{name}", f"Unknown field: must be one of {', '.join(ALL_FIELDS)}.")
    for name in (*given.maps, *given.units):
        errors.require(name in given.fields, name, "Is not given with --as: only the values of a column are mapped.")
    errors.raise_any()
    for name in ("identifier", "timestamp"):
        errors.require(name in given.fields, f"as.{name}", f"Must be given: --as {name}=COLUMN.{advice('', known)}")
    if not {"event", "variant"} & given.fields.keys():
        message = (
            "Must be given: --as event=purchased, or a column; of exposures --as feature=button --as variant=COLUMN."
        )
        errors.add("as.event", message)
    elif "variant" in given.fields:
        errors.require("feature" in given.fields, "as.feature", "Must be given: --as feature=button, or a column.")
    fields: Any = {}
    for name, text in given.fields.items():
        fields[name] = _columns(text) if name in PROPERTIES else _field(errors, name, text, known, given)
    errors.raise_any()
    mapping: RowMapping = errors.validate(RowMapping, fields)
    errors.raise_any()
    check_mapping(errors, mapping)
    errors.raise_any()
    return mapping


def _field(errors: FieldErrors, name: str, text: str, known: Mapping[str, None], given: GivenMapping) -> dict[str, Any]:
    """Return a field as a declaration has it."""
    if text in known:
        field = {"column": text, "map": given.maps.get(name), "unit": given.units.get(name)}
        return {key: value for key, value in field.items() if value is not None}
    if name not in MAY_BE_VALUES or (name == "timestamp" and RFC_3339.fullmatch(text) is None):
        errors.add(f"as.{name}", f"There is no column {quoted(text)}.{advice(text, known)}")
    return {"constant": text}


def _columns(text: str) -> tuple[str, ...]:
    return tuple(column.strip() for column in text.split(","))


def _letters(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
