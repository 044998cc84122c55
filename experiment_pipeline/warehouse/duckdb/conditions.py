"""Conditions on events as SQL expressions, their operands bound as parameters (rule M7)."""

import json
from collections.abc import Iterable
from typing import Any

from experiment_pipeline.domain.measures import Condition, Operator, Scalar

Parameters = dict[str, Any]

# DuckDB gives 100.0 for 1e2, 2.5 for 2.50 and 0 for -0. Where it may have, the text is read again with every number in
# quotes: this is what stands before a number, strings whole, and the number. A 0 is put at the end and taken away, for
# what follows the last number would be searched, too, from within its strings.
EACH_NUMBER = r'((?:"(?:[^"\\]|\\.)*"|[^"0-9-])*)(-?[0-9][0-9.eE+-]*)'


def meets_all(conditions: Iterable[Condition], name: str) -> tuple[str, Parameters]:
    """Return an expression that is true for events that meet all conditions, and false for others; never null.

    Args:
        conditions: at least one.
        name: that the names of its parameters begin with.

    Returns:
        The expression, over the columns `value`, `numeric_value`, `traits` and `metadata`, and its parameters.
    """
    expressions, parameters = [], Parameters()
    for position, condition in enumerate(conditions):
        expression, bound = _meets(condition, f"{name}_{position}")
        expressions.append(f"coalesce({expression}, false)")
        parameters |= bound
    return " and ".join(expressions), parameters


def text_of(column: str, parameter: str) -> str:
    """Return the SQL of the text of a property that is a scalar, a number as written; null of anything else (M15, M18).

    Args:
        column: that holds it.
        parameter: name of the parameter that its path is bound to.
    """
    json_type, text = f"json_type({column}, ${parameter})", f"json_extract_string({column}, ${parameter})"
    in_quotes = f"left(regexp_replace({column} || '0', '{EACH_NUMBER}', '\\1\"\\2\"', 'g'), -3)"
    as_written = f"json_extract_string({in_quotes}, ${parameter})"
    is_rewritten = f"{json_type} = 'DOUBLE' or ({json_type} = 'BIGINT' and {text} = '0')"
    return f"case when {is_rewritten} then {as_written} when {_is_scalar(json_type)} then {text} end"


def path_of(field: str) -> tuple[str, str]:
    """Return the column of a field and its path within: `traits.cart.size` is at `$."cart"."size"` of `traits`."""
    column, _, path = field.partition(".")
    names = path.split(".")
    if "*" in names:  # which stands for any name in such a path; in JSON pointers it does not
        return column, "".join(f"/{name.replace('~', '~0').replace('/', '~1')}" for name in names)
    return column, "$" + "".join(f".{json.dumps(name, ensure_ascii=False)}" for name in names)


def _meets(condition: Condition, name: str) -> tuple[str, Parameters]:
    field = _Value() if condition.field == "value" else _Property(condition.field, name)
    if condition.operator is Operator.EXISTS:
        return (field.exists if condition.operand else f"not coalesce({field.exists}, false)"), field.parameters
    operands = condition.operands
    compared = [field.compared(each, condition.operator, f"{name}_{at}") for at, each in enumerate(operands)]
    any_of = " or ".join(f"coalesce({expression}, false)" for expression in compared)
    parameters = field.parameters | {f"{name}_{at}": _bound(each) for at, each in enumerate(operands)}
    if condition.operator is Operator.NOT_IN:
        return f"{field.is_comparable_with(operands)} and not ({any_of})", parameters
    return f"({any_of})", parameters


def _is_scalar(json_type: str) -> str:
    return f"{json_type} not in ('NULL', 'OBJECT', 'ARRAY')"


def _bound(operand: Scalar) -> str | float | bool:
    return operand if isinstance(operand, str | bool) else float(operand)


def _sign(operator: Operator) -> str:
    return {Operator.AT_LEAST: ">=", Operator.AT_MOST: "<="}.get(operator, "=")


class _Value:
    """The event's own value, which the lake keeps as a text, and as a number where it is one (rule E5)."""

    exists = "value is not null"

    def __init__(self) -> None:
        self.parameters: Parameters = {}

    def is_comparable_with(self, operands: Iterable[Scalar]) -> str:
        """Return an expression: of a value that is no number, an operand that is one finds nothing."""
        is_number = any(isinstance(each, int | float) and not isinstance(each, bool) for each in operands)
        return "numeric_value is not null" if is_number else self.exists

    def compared(self, operand: Scalar, operator: Operator, name: str) -> str:
        if isinstance(operand, bool):
            return f"value {_sign(operator)} case when ${name} then 'true' else 'false' end"
        column = "value" if isinstance(operand, str) else "numeric_value"
        return f"{column} {_sign(operator)} ${name}"


class _Property:
    """A property of the event's traits or metadata."""

    def __init__(self, field: str, name: str) -> None:
        column, path = path_of(field)
        self.parameters: Parameters = {f"{name}_path": path}
        self._type = f"json_type({column}, ${name}_path)"
        self._json = f"json_extract({column}, ${name}_path)"
        self._text = f"json_extract_string({column}, ${name}_path)"
        self.exists = f"{self._type} <> 'NULL'"

    def is_comparable_with(self, _: Iterable[Scalar]) -> str:
        return _is_scalar(self._type)

    def compared(self, operand: Scalar, operator: Operator, name: str) -> str:
        if isinstance(operand, bool):
            return f"{self._type} = 'BOOLEAN' and {self._text} = case when ${name} then 'true' else 'false' end"
        if isinstance(operand, str) and operator not in (Operator.AT_LEAST, Operator.AT_MOST):
            return f"{self._json} = to_json(${name}::varchar)"  # read once: half the time of type and text
        if isinstance(operand, str):
            return f"{self._type} = 'VARCHAR' and {self._text} {_sign(operator)} ${name}"
        is_number = f"{self._type} in ('BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE')"
        return f"{is_number} and try_cast({self._text} as double) {_sign(operator)} ${name}"
