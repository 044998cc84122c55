"""Operands of conditions and the canonical form of numbers (rule M7)."""

from typing import Any

import pytest

from experiment_pipeline.domain.definition_fields import canonical_number, ordered, scalar, scalars, truth


@pytest.mark.parametrize(
    ("number", "written"),
    [(1, "1"), (1.0, "1"), (-0.0, "0"), (0.5, "0.5"), (2.0**53, "9007199254740992"), (1e300, "1e+300")],
)
def test_canonical_number__whole_or_not__has_one_spelling(number: float, written: str) -> None:
    assert repr(canonical_number(number)) == written


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (scalar, None, "Must be one text, number, true or false, such as is: DE."),
        (scalar, {"a": 1}, "Must be one text, number, true or false, such as is: DE."),
        (scalar, float("nan"), "Must be a finite number, such as at_least: 10."),
        (scalar, 2**53 + 1,
         "Must not be a whole number beyond 2**53: numbers compare as doubles. Compare it as text."),
        (scalar, 10**400,
         "Must not be a whole number beyond 2**53: numbers compare as doubles. Compare it as text."),
        (scalar, "\x00", "Must be text of at most 2000 characters, without null characters."),
        (scalar, "x" * 2_001, "Must be text of at most 2000 characters, without null characters."),
        (ordered, True, "Must be a number or a text, such as at_least: 10: true and false have no order."),
        (ordered, [1], "Must be one text, number, true or false, such as is: DE."),
        (scalars, "DE", "Must be a list, such as in: [DE, AT]."),
        (scalars, [], "Must be a list of 1 to 100 texts, numbers, true or false, such as in: [DE, AT]."),
        (scalars, ["a"] * 101, "Must be a list of 1 to 100 texts, numbers, true or false, such as in: [DE, AT]."),
        (scalars, ["DE", ["AT"]], "Must be a list of texts, numbers, true or false, such as in: [DE, AT]."),
        (scalars, ["DE", False],
         "Must not hold true or false beside texts and numbers. YAML reads on, off, yes and no as true and false: "
         "write them in quotes."),
        (truth, 1, "Must be true or false, such as exists: true."),
        (truth, "true", "Must be true or false, such as exists: true."),
    ],
)  # fmt: skip
def test_operand__that_is_none__says_what_is_allowed__m7(check: Any, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=r"^Must") as refused:
        check(value)
    assert str(refused.value) == message


def test_operand__of_each_kind__stays_what_it_is__m7() -> None:
    assert [repr(scalar(value)) for value in ("", "1", 1, 1.5, True)] == ["''", "'1'", "1", "1.5", "True"]
    assert repr(scalars([1.0, "1"])) == "(1, '1')"
    assert scalars([True, False]) == (True, False)
    assert ordered("a") == "a"
    assert truth(value=False) is False
