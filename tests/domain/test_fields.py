"""Kinds of fields, and messages by field."""

from typing import Any

import pytest

from experiment_pipeline.domain.fields import EnvironmentKey, EventName, FieldErrors, Name, Percentage, VariantKey
from experiment_pipeline.errors import ConfigurationError


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (Name, "  ", "Must not be empty."), (Name, "a\x7f", "Must not hold control characters."),
        (Name, "x" * 256, "Must not be longer than 255 characters."), (Name, 5, "Input should be a valid string"),
        (EnvironmentKey, "a/b", "Must be 1 to 255 letters, digits, dots, underscores or hyphens."),
        (EventName, "x" * 2001, "Must not be longer than 2000 characters."),
        (Percentage, 100.1, "Must be a number from 0 to 100."), (Percentage, "5", "Input should be a valid number"),
        (VariantKey, False, "Input should be a valid string"),
    ],
)  # fmt: skip
def test_validate__value_that_breaks_the_rule__is_named_by_its_path(kind: Any, value: Any, message: str) -> None:
    errors = FieldErrors()
    assert errors.validate(kind, value, "entry.field") is value
    assert errors.errors == {"entry.field": [message]}


@pytest.mark.parametrize(
    ("kind", "value", "expected"), [(VariantKey, "", None), (Percentage, 0, 0.0), (Percentage, 100.0, 100.0)]
)
def test_validate__value_that_keeps_the_rule__is_returned_as_the_kind_has_it(
    kind: Any, value: Any, expected: Any
) -> None:
    errors = FieldErrors()
    assert errors.validate(kind, value, "field") == expected
    errors.raise_any()


def test_raise_any__several_messages__are_all_in_one_error() -> None:
    errors = FieldErrors()
    errors.add("a", "First.")
    errors.require(False, "a", "Second.")
    errors.require(True, "b", "Not this one.")
    with pytest.raises(ConfigurationError, match=r"^a: First\. Second\.$"):
        errors.raise_any()
