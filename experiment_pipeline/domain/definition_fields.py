"""Kinds of fields that definitions of version 2 are made of, each with its rule (rules M6-M8, M10, M18).

They are as those of `domain/fields`: types with validators, whose messages say what is allowed and show it.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_plain_validator_function

from experiment_pipeline.domain.events import NAME_LIMIT
from experiment_pipeline.domain.fields import NOT_TEXT, EventName, Number, at_most, rule, whole_seconds
from experiment_pipeline.domain.measures import Scalar
from experiment_pipeline.times import Duration

MAX_OPERANDS = 100
LONGEST_PATH = 255  # characters
LARGEST_WHOLE = 2**53  # beyond it a double cannot tell two whole numbers apart, and numbers compare as doubles
PATH = re.compile(r"(traits|metadata)(\.[^.]+)+", re.DOTALL)
SCALAR_SCHEMA: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}
ORDERED_SCHEMA: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "number"}]}
TRUTH_SCHEMA: dict[str, Any] = {"type": "boolean"}
LIST_SCHEMA: dict[str, Any] = {"type": "array", "items": SCALAR_SCHEMA, "minItems": 1, "maxItems": MAX_OPERANDS}


def canonical_number(number: float) -> int | float:
    """Return a number as definitions are written: whole ones that a double holds exactly without a fraction."""
    return int(number) if float(number).is_integer() and abs(number) <= LARGEST_WHOLE else number


def scalar(value: object) -> Scalar:
    """Return the operand of `is`: one text, number or truth, in its canonical form. Raises ValueError."""
    if isinstance(value, str):
        if NOT_TEXT.search(value) or len(value) > NAME_LIMIT:
            raise ValueError(f"Must be text of at most {NAME_LIMIT} characters, without null characters.")
        return value
    if isinstance(value, bool):
        return value
    if not isinstance(value, int | float):
        raise ValueError("Must be one text, number, true or false, such as is: DE.")  # noqa: TRY004 - for pydantic
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        raise ValueError("Must not be a whole number beyond 2**53: numbers compare as doubles. Compare it as text.")
    if not math.isfinite(value):
        raise ValueError("Must be a finite number, such as at_least: 10.")
    return canonical_number(value)


def ordered(value: object) -> Scalar:
    """Return an operand that has an order: a text or a number. Raises ValueError."""
    found = scalar(value)
    if isinstance(found, bool):
        raise ValueError("Must be a number or a text, such as at_least: 10: true and false have no order.")  # noqa: TRY004
    return found


def scalars(value: object) -> tuple[Scalar, ...]:
    """Return the operand of `in` and `not_in`: a list of scalars. Raises ValueError."""
    if not isinstance(value, list | tuple):
        raise ValueError("Must be a list, such as in: [DE, AT].")  # noqa: TRY004 - pydantic reports ValueErrors
    if not 1 <= len(value) <= MAX_OPERANDS:
        raise ValueError(f"Must be a list of 1 to {MAX_OPERANDS} texts, numbers, true or false, such as in: [DE, AT].")
    if any(each is None for each in value):
        raise ValueError("Must not hold null, such as in: [DE, AT]. Events without the field have exists: false.")
    if not all(isinstance(each, str | bool | int | float) for each in value):
        raise ValueError("Must be a list of texts, numbers, true or false, such as in: [DE, AT].")
    found = tuple(map(scalar, value))
    if 0 < sum(isinstance(each, bool) for each in found) < len(found):
        raise ValueError(
            "Must not hold true or false beside texts and numbers. YAML reads on, off, yes and no as true and false: "
            "write them in quotes."
        )
    return found


def truth(value: object) -> bool:
    """Return the operand of `exists`: true or false. Raises ValueError."""
    if not isinstance(value, bool):
        raise ValueError("Must be true or false, such as exists: true.")  # noqa: TRY004 - pydantic reports ValueErrors
    return value


@dataclass(frozen=True, slots=True)
class Operand:
    """The rule of a comparison's operand, which may be left out and is not null, and its schema."""

    check: Callable[[object], object]
    schema: dict[str, Any]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, _own: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return dict(self.schema)


Path = Annotated[
    str,
    rule(lambda path: not NOT_TEXT.search(path), "Must not hold null characters or half of a surrogate pair."),
    at_most(LONGEST_PATH),
]
ConditionField = Annotated[
    Path,
    rule(
        lambda path: path == "value" or PATH.fullmatch(path),
        "Must be value, or names joined by dots below traits or metadata, such as traits.country.",
    ),
]
SliceField = Annotated[
    Path,
    rule(PATH.fullmatch, "Must be names joined by dots below metadata or traits, such as metadata.category."),
]
MeasuredEvent = Annotated[
    EventName,
    rule(lambda name: not name.startswith("$"), "Must not begin with $: those events are the SDKs' own (rule E2)."),
]
WindowStart = Annotated[Duration, whole_seconds(timedelta(0))]
BoundNumber = Annotated[
    Annotated[Number, rule(math.isfinite, "Must be a finite number, such as at: 500.")] | None,
    Field(description="the bound itself"),
]
OfNonzero = Annotated[bool, Field(strict=True, description="take the percentile of the values that are not 0")]
