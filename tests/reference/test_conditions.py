"""Rule M7 on one event at a time."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.reference.conditions import meets, meets_all, text_of
from tests.reference.events import Event, LandingObject, parse_object
from tests.reference.metrics import Condition, Operator

LANDED = datetime(2026, 3, 2, tzinfo=UTC)
TRAITS = """{
    "country": "DE", "seats": 5, "as_text": "5", "exact": 5.0, "large": 9007199254740993, "paid": true, "said": "true",
    "nothing": null, "list": ["DE"], "empty": "", "a b": 1, "sl/ash": 2, "ti~lde": 3, "qu\\"ote": 4, "*": 5, "0": 6,
    "twice": "first", "twice": "second", "small": "z", "umlaut": "ä", "last": "\\uffff", "beyond": "😀",
    "plan": {"seats": 3, "owner": {"name": "ann"}, "dotted.name": 1}
}"""


def event(traits: str = TRAITS, value: object = None) -> Event:
    """A purchase with these traits, given as JSON."""
    record = f'{{"event": "purchase", "identifier": "ann", "timestamp": 1772323200000, "traits": {traits}'
    text = f'{record}, "metadata": {{"price": 2.50}}, "value": {json.dumps(value)}}}'.replace("\n", " ")
    (outcome,) = parse_object(LandingObject("one", "demo", LANDED, text.encode()))
    assert isinstance(outcome, Event), outcome
    return outcome


def holds(field: str, operator: Operator, operand: Any, value: object = None) -> bool:
    """Whether the event meets one condition."""
    return meets(event(value=value), Condition(field, operator, operand))


@pytest.mark.parametrize(
    ("path", "operand", "expected"),
    [
        ("country", "DE", True),
        ("country", "de", False),
        ("seats", 5, True),
        ("seats", 5.0, True),
        ("exact", 5, True),
        ("seats", "5", False),
        ("as_text", 5, False),
        ("as_text", "5", True),
        ("large", 9007199254740992, True),  # as doubles
        ("paid", True, True),
        ("paid", "true", False),
        ("paid", 1, False),
        ("said", True, False),
        ("seats", True, False),
        ("empty", "", True),
        ("nothing", "null", False),
        ("list", "DE", False),
        ("twice", "first", True),
        ("twice", "second", False),
        ("plan.seats", 3, True),
        ("plan.owner.name", "ann", True),
        ("plan.seats.deeper", 3, False),
        ("plan.dotted.name", 1, False),
        ("list.0", "DE", False),
        ("a b", 1, True),
        ("sl/ash", 2, True),
        ("ti~lde", 3, True),
        ('qu"ote', 4, True),
        ("*", 5, True),
        ("0", 6, True),
    ],
)
def test_m7_is__a_scalar_of_the_operands_kind_under_a_path(path: str, operand: object, expected: bool) -> None:
    assert holds(f"traits.{path}", "is", operand) is expected


@pytest.mark.parametrize(
    ("path", "operands", "is_in", "is_not_in"),
    [
        ("country", ("AT", "DE"), True, False),
        ("country", ("AT", "CH"), False, True),
        ("country", (5,), False, True),  # another kind equals no operand
        ("seats", ("5", 5), True, False),
        ("paid", (1,), False, True),
        ("missing", ("DE",), False, False),
        ("nothing", ("DE",), False, False),
        ("list", ("AT",), False, False),
        ("plan", (3,), False, False),
    ],
)
def test_m7_in_and_not_in__what_is_no_scalar_meets_neither(
    path: str, operands: tuple[object, ...], is_in: bool, is_not_in: bool
) -> None:
    assert holds(f"traits.{path}", "in", operands) is is_in
    assert holds(f"traits.{path}", "not_in", operands) is is_not_in


@pytest.mark.parametrize(
    ("path", "at_least", "expected"),
    [
        ("seats", 5, True),
        ("seats", 5.5, False),
        ("seats", "5", False),
        ("as_text", "5", True),
        ("as_text", "41", True),  # text as text
        ("as_text", 4, False),
        ("umlaut", "z", True),
        ("small", "Z", True),
        ("beyond", "\uffff", True),  # by code point
        ("last", "😀", False),
        ("paid", 0, False),
        ("missing", 0, False),
    ],
)
def test_m7_at_least__numbers_as_numbers_and_text_by_code_point(path: str, at_least: object, expected: bool) -> None:
    assert holds(f"traits.{path}", "at_least", at_least) is expected


def test_m7_at_most__holds_at_its_operand() -> None:
    assert holds("metadata.price", "at_most", 2.5)
    assert not holds("metadata.price", "at_most", 2.49)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        *(("traits.country", True), ("traits.list", True), ("traits.plan", True), ("traits.empty", True)),
        *(("traits.nothing", False), ("traits.missing", False), ("traits.list.0", False), ("value", False)),
    ],
)
def test_m7_exists__of_whatever_is_not_null(field: str, expected: bool) -> None:
    assert holds(field, "exists", True) is expected
    assert holds(field, "exists", False) is not expected


@pytest.mark.parametrize(
    ("value", "operator", "operand", "expected"),
    [
        ("2.50", "is", 2.5, True),
        ("2.50", "is", "2.5", False),
        ("2.50", "is", "2.50", True),
        (2.5, "is", "2.5", True),
        (" 1", "is", 1, False),
        (" 1", "not_in", (2,), False),  # read as a number it is missing
        (" 1", "not_in", ("1",), True),
        ("10", "at_least", 9, True),
        ("10", "at_least", "9", False),
        ("many", "at_least", 0, False),
        (True, "is", True, True),
        ("true", "is", True, True),
        (True, "is", "true", True),
        ("yes", "is", True, False),
        ("yes", "not_in", (True,), True),
        (None, "not_in", ("a",), False),
    ],
)
def test_m7_value__is_text_that_the_operand_says_how_to_read(
    value: object, operator: Operator, operand: Any, expected: bool
) -> None:
    assert holds("value", operator, operand, value=value) is expected


def test_m7_all_conditions_hold_together() -> None:
    country, seats = Condition("traits.country", "is", "DE"), Condition("traits.seats", "at_least", 6)
    assert meets_all(event(), [])
    assert meets_all(event(), [country])
    assert not meets_all(event(), [country, seats])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        *(("country", "DE"), ("seats", "5"), ("exact", "5.0"), ("paid", "true"), ("empty", ""), ("plan.seats", "3")),
        *(("nothing", None), ("missing", None), ("list", None), ("plan", None)),
    ],
)
def test_m15_m18_a_scalar_as_text__numbers_as_written(path: str, text: str | None) -> None:
    assert text_of(event(), f"traits.{path}") == text
