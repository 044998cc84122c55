"""Conditions on events as Ibis expressions (rule M7)."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import ibis

from experiment_pipeline.domain.measures import Condition, Operator, Scalar
from experiment_pipeline.warehouse.ibis.properties import (
    BOOLEAN,
    KINDS,
    NUMBER,
    SCALARS,
    TEXT,
    column_and_path,
    property_kind,
    property_number,
    property_text,
)


def meets_all(rows: Any, conditions: Iterable[Condition]) -> Any:
    """Return an expression that is true for rows that meet all conditions, and false for others; never null.

    Args:
        rows: with the columns `value`, `numeric_value`, `traits` and `metadata`.
        conditions: may be none, which everything meets.
    """
    found = ibis.literal(True)
    for number, condition in enumerate(conditions):
        met = _meets(rows, condition).fill_null(False)
        found = found & met if number else met
    return found


def _meets(rows: Any, condition: Condition) -> Any:
    field: _Field = _Value(rows) if condition.field == "value" else _Property(rows, condition.field)
    if condition.operator is Operator.EXISTS:
        exists = field.exists().fill_null(False)
        return exists if condition.operand else ~exists
    operands = condition.operands
    any_of = ibis.literal(False)
    for number, operand in enumerate(operands):
        compared = field.compared(operand, condition.operator).fill_null(False)
        any_of = any_of | compared if number else compared
    return field.is_comparable_with(operands) & ~any_of if condition.operator is Operator.NOT_IN else any_of


def _compared(content: Any, operator: Operator, operand: Any) -> Any:
    if operator is Operator.AT_LEAST:
        return content >= operand
    return content <= operand if operator is Operator.AT_MOST else content == operand


def _is_number(operand: Scalar) -> bool:
    return isinstance(operand, int | float) and not isinstance(operand, bool)


class _Field(Protocol):
    """A field that a condition compares; every expression may be null."""

    def exists(self) -> Any: ...

    def is_comparable_with(self, operands: Sequence[Scalar]) -> Any: ...

    def compared(self, operand: Scalar, operator: Operator) -> Any: ...


class _Value:
    """The event's own value: a text, and a number where it is one (rule E5)."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def exists(self) -> Any:
        return self._rows.value.notnull()

    def is_comparable_with(self, operands: Sequence[Scalar]) -> Any:
        """Return whether it compares: of a value that is no number, an operand that is one finds nothing."""
        return self._rows.numeric_value.notnull() if any(map(_is_number, operands)) else self.exists()

    def compared(self, operand: Scalar, operator: Operator) -> Any:
        if isinstance(operand, bool):
            return _compared(self._rows.value, operator, "true" if operand else "false")
        if isinstance(operand, str):
            return _compared(self._rows.value, operator, operand)
        return _compared(self._rows.numeric_value, operator, float(operand))


class _Property:
    """A property of the event's traits or metadata."""

    def __init__(self, rows: Any, field: str) -> None:
        column, path = column_and_path(field)
        self._at = (rows[column], path)
        self._kind = property_kind(*self._at)

    def exists(self) -> Any:
        return self._kind.isin(KINDS)

    def is_comparable_with(self, _: Sequence[Scalar]) -> Any:
        return self._kind.isin(SCALARS).fill_null(False)

    def compared(self, operand: Scalar, operator: Operator) -> Any:
        if isinstance(operand, bool):
            return (self._kind == BOOLEAN) & (property_text(*self._at) == ("true" if operand else "false"))
        if isinstance(operand, str):
            return (self._kind == TEXT) & _compared(property_text(*self._at), operator, operand)
        return (self._kind == NUMBER) & _compared(property_number(*self._at), operator, float(operand))
