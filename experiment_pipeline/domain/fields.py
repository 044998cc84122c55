"""Kinds of fields that drafts are made of, each with its rule, and the collection of what breaks them, by field.

A kind is a type with validators: pydantic enforces it where a body is parsed, `FieldErrors.validate` where a draft was
made in Python. Text that a database or a URL cannot carry (control characters) is refused here too.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)

from experiment_pipeline.domain.events import ENVIRONMENT_KEY, NAME_LIMIT
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.times import Duration

T = TypeVar("T")

# Unknown fields are refused: a misspelt one must not pass for a default. A draft made in Python is validated as well.
STRICT = ConfigDict(extra="forbid", revalidate_instances="always")

EXPERIMENT_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,79}")  # rule L6
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
NOT_TEXT = re.compile(r"[\x00\ud800-\udfff]")  # no database and no UTF-8 holds these
NAME_LENGTH = 255
TEXT_LENGTH = 65_535
VARIANT_KEY_LENGTH = 2_000  # rule L3
FEATURE_BYTES = 2_000  # what a PostgreSQL index entry holds beside the environment's key
SHORTEST_REFRESH_INTERVAL = timedelta(minutes=5)  # rule R4
LONGEST_DURATION = timedelta(days=366)
MAX_LOOKS = 1_000
MAX_IGNORED = 100
UNIT_LENGTH = 40
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}.*", re.ASCII)
MOMENT_EXPECTED = "Must be a time with a zone, such as 2026-11-01T00:00:00Z"
MESSAGES = {  # in place of pydantic's own, by its type of error
    "missing": "This field is required.",
    "dataclass_type": "Must be an object.",
    "extra_forbidden": "Unknown field.",
    "unexpected_keyword_argument": "Unknown field.",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition that a value must meet, and the message where it does not."""

    holds: Callable[[Any], bool]
    message: str

    def __call__(self, value: T) -> T:
        """Return the value. Raises ValueError with the message where it breaks the rule."""
        if not self.holds(value):
            raise ValueError(self.message)
        return value


def rule(holds: Callable[[Any], bool], message: str) -> AfterValidator:
    """Return a validator that refuses with `message` where the value does not hold."""
    return AfterValidator(Rule(holds, message))


def at_most(characters: int) -> AfterValidator:
    """Return a validator of a text's length."""
    return rule(lambda text: len(text) <= characters, f"Must not be longer than {characters} characters.")


def between(low: float, high: float, message: str) -> AfterValidator:
    """Return a validator of a number that lies between the two, neither included; NaN never does."""
    return rule(lambda value: math.isfinite(value) and low < value < high, message)


def whole_seconds(shortest: timedelta) -> AfterValidator:
    """Return a validator of a duration from `shortest` to a year, without fractions of a second."""
    low, high = int(shortest.total_seconds()), int(LONGEST_DURATION.total_seconds())
    return rule(
        lambda duration: shortest <= duration <= LONGEST_DURATION and not duration.microseconds,
        f"Must be whole seconds from {low} to {high}.",
    )


def _metric_reference(value: object) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("Must be a metric's id or its name.")  # noqa: TRY004 - pydantic reports ValueErrors
    if isinstance(value, str) and NOT_TEXT.search(value):
        raise ValueError("Must not hold null characters or half of a surrogate pair.")
    return value


def _moment(value: object) -> object:
    """Return a time as it was stated; a number is refused, which could be seconds, milliseconds or a date."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{MOMENT_EXPECTED}, not the number {value}.")  # noqa: TRY004 - pydantic reports ValueErrors
    is_stated = isinstance(value, datetime) or (isinstance(value, str) and MOMENT.fullmatch(value))
    if not is_stated or (isinstance(value, datetime) and value.tzinfo is None):
        raise ValueError(f"{MOMENT_EXPECTED}.")
    return value


Line = Annotated[
    str,
    rule(lambda text: bool(text.strip()), "Must not be empty."),
    rule(lambda text: not CONTROL_CHARACTER.search(text), "Must not hold control characters."),
]
Name = Annotated[Line, at_most(NAME_LENGTH)]
Text = Annotated[
    str,
    rule(lambda text: not NOT_TEXT.search(text), "Must not hold null characters or half of a surrogate pair."),
    at_most(TEXT_LENGTH),
]
Unit = Annotated[
    str,
    rule(lambda text: not CONTROL_CHARACTER.search(text), "Must not hold control characters."),
    at_most(UNIT_LENGTH),
]
EnvironmentKey = Annotated[
    str, rule(ENVIRONMENT_KEY.fullmatch, "Must be 1 to 255 letters, digits, dots, underscores or hyphens.")
]
ExperimentKey = Annotated[
    str,
    rule(
        EXPERIMENT_KEY.fullmatch,
        "Must begin with a letter and hold up to 80 letters, digits, underscores or hyphens.",
    ),
]
Feature = Annotated[
    Line,
    rule(
        lambda text: len(text.encode(errors="replace")) <= FEATURE_BYTES,
        f"Must not be longer than {FEATURE_BYTES} bytes.",
    ),
]
VariantKey = Annotated[
    Annotated[Line, at_most(VARIANT_KEY_LENGTH)] | None,
    BeforeValidator(lambda key: None if key == "" else key),  # rule L3: an empty key is null
]
VariantValue = Annotated[
    Text,  # whatever an exposure may hold, which is more than a variant may be called
    rule(bool, "Must not be empty."),
]
IgnoredVariants = Annotated[
    tuple[VariantValue, ...],
    rule(lambda values: len(values) <= MAX_IGNORED, f"Must not be more than {MAX_IGNORED} variants."),
    rule(lambda values: len(set(values)) == len(values), "Must not name a variant more than once."),
]
EventName = Annotated[Line, at_most(NAME_LIMIT)]  # rule E3
Number = Annotated[float, Field(strict=True)]
Alpha = Annotated[
    Number,
    between(0, 0.5, "Must lie between 0 and 0.5."),
    Field(description="the chance of a false verdict that is accepted"),
]
Power = Annotated[
    Number,
    between(0, 1, "Must lie between 0 and 1."),
    Field(description="the chance to find an effect of the size of mde"),
]
Percentage = Annotated[
    Number, rule(lambda share: math.isfinite(share) and 0 <= share <= 100, "Must be a number from 0 to 100.")
]
Margin = Annotated[
    Number,
    between(0, 5, "Must be a share above 0 and below 5: 0.02 is 2 %."),  # rule M16
]
Looks = Annotated[
    int,
    Field(strict=True),
    rule(lambda looks: 1 <= looks <= MAX_LOOKS, f"Must lie between 1 and {MAX_LOOKS}."),
]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
RefreshInterval = Annotated[Duration, whole_seconds(SHORTEST_REFRESH_INTERVAL)]
AttributionWindow = Annotated[Duration, whole_seconds(timedelta(seconds=1))]
MetricReference = Annotated[
    int | str,
    PlainValidator(_metric_reference),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}], "description": "a metric's id or its name"}),
]


class FieldErrors:
    """Messages by field, collected so that everything that is wrong can be named at once."""

    def __init__(self) -> None:
        self.errors: dict[str, list[str]] = {}

    def add(self, path: str, message: str) -> None:
        """Add a message on the field at a dotted path."""
        self.errors.setdefault(path, []).append(message)

    def require(self, holds: bool, path: str, message: str) -> None:
        """Add the message unless the condition holds."""
        if not holds:
            self.add(path, message)

    def validate(self, kind: Any, value: T, path: str = "") -> T:
        """Return the value as a kind of field or a draft allows it; where it does not, add why and return it as it is.

        Args:
            kind: a kind of this module, or the class of a draft
            value: what to validate; a draft is validated again, field by field
            path: where the value stands; empty for a draft as a whole
        """
        try:
            validated: T = adapter(kind).validate_python(value)
        except ValidationError as invalid:
            for field, messages in errors_by_field(invalid.errors(include_url=False)).items():
                self.errors.setdefault(path or field, []).extend(messages)
            return value
        return validated

    def raise_any(self) -> None:
        """Raise ConfigurationError when anything was added."""
        if self.errors:
            raise ConfigurationError(self.errors)


def validated(kind: Any, value: object, path: str) -> Any:
    """Return a value as a kind of field allows it.

    Raises:
        ConfigurationError: it does not; names the path.
    """
    errors = FieldErrors()
    allowed = errors.validate(kind, value, path)
    errors.raise_any()
    return allowed


def errors_by_field(errors: Iterable[Mapping[str, Any]], *, skip: int = 0) -> dict[str, list[str]]:
    """Return pydantic's errors as messages by dotted field.

    Args:
        errors: as `ValidationError.errors()` lists them
        skip: how many leading parts of each path to drop, such as `body`
    """
    fields: dict[str, list[str]] = {}
    for error in errors:
        path = ".".join(str(part) for part in error["loc"][skip:]) or "body"
        message = MESSAGES.get(error["type"], error["msg"].removeprefix("Value error, "))
        fields.setdefault(path, []).append(message)
    return fields


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the validator of a kind of field or of a class of drafts, made once."""
    return TypeAdapter(kind)
