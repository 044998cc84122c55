"""Whether an event meets conditions on its value, traits and metadata: rule M7."""

from collections.abc import Iterable
from typing import Any

from tests.reference.events import Event, JsonNumber, numeric_value
from tests.reference.metrics import Condition, Scalar

ABSENT = None  # rule M7: JSON null and a missing field are the same


def meets_all(event: Event, conditions: Iterable[Condition]) -> bool:
    """All must hold."""
    return all(meets(event, condition) for condition in conditions)


def meets(event: Event, condition: Condition) -> bool:
    """One condition of rule M7."""
    operand = condition.operand
    if condition.operator == "exists":
        return (content_of(event, condition.field) is not ABSENT) == operand
    operands = operand if isinstance(operand, tuple) else (operand,)
    found = [(_read(event, condition.field, one), one) for one in operands]
    match condition.operator:
        case "is" | "in":
            return any(content is not ABSENT and _equal(content, one) for content, one in found)
        case "not_in":
            return all(content is not ABSENT and not _equal(content, one) for content, one in found)
        case "at_least":
            return all(_has_kind_of(content, one) and content >= _as_read(one) for content, one in found)
        case "at_most":
            return all(_has_kind_of(content, one) and content <= _as_read(one) for content, one in found)


def content_of(event: Event, field: str) -> Any:
    """The content under a path; `ABSENT` where nothing does. A path leads through the names of objects alone."""
    if field == "value":
        return event.value
    first, *names = field.split(".")
    content: Any = {"traits": event.traits, "metadata": event.metadata}[first]
    for name in names:
        content = content.get(name) if isinstance(content, dict) else ABSENT
    return content


def text_of(event: Event, field: str) -> str | None:
    """Rules M15 and M18: a scalar as text, numbers as they were written; None for anything else."""
    content = content_of(event, field)
    if isinstance(content, bool):
        return "true" if content else "false"
    return str(content) if isinstance(content, str) else None


def _read(event: Event, field: str, operand: Scalar) -> Any:
    """A scalar that compares with the operand, or with no operand of its kind; `ABSENT` where there is none.

    A value is kept as text, so the operand says how it is read.
    """
    content = content_of(event, field)
    if isinstance(content, dict | list):
        return ABSENT
    if field != "value":
        return float(content) if isinstance(content, JsonNumber) else content
    if _is_number(operand):
        return numeric_value(content)
    if isinstance(operand, bool):
        return {"true": True, "false": False}.get(content, content)
    return content


def _equal(content: Any, operand: Scalar) -> bool:
    return _has_kind_of(content, operand) and bool(content == _as_read(operand))


def _has_kind_of(content: Any, operand: Scalar) -> bool:
    """Whether both are of one kind: in Python a boolean is a number, too; in JSON it is none."""
    return type(content) is type(_as_read(operand))


def _as_read(operand: Scalar) -> str | bool | float:
    return float(operand) if _is_number(operand) else operand


def _is_number(operand: Scalar) -> bool:
    return isinstance(operand, int | float) and not isinstance(operand, bool)
