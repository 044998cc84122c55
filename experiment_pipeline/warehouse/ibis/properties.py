"""Properties of events: what lies at a path of `traits` or `metadata`, in the SQL that each engine declares (rule M7).

Ibis has no expression for it that means the same on every engine: it compiles calls of the functions here, and a
dialect puts its own SQL in their place.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import ibis

TEXT, NUMBER, BOOLEAN = "string", "number", "boolean"
SCALARS = (TEXT, NUMBER, BOOLEAN)
KINDS = (*SCALARS, "object", "array")
PROPERTY_FUNCTIONS = "event_property_"  # what the names of the functions begin with


@ibis.udf.scalar.builtin(name="event_property_kind")  # type: ignore[untyped-decorator]
def property_kind(properties: str, path: str) -> str:  # type: ignore[empty-body]
    """Return one of KINDS; null or another text where nothing is, or a null."""


@ibis.udf.scalar.builtin(name="event_property_text")  # type: ignore[untyped-decorator]
def property_text(properties: str, path: str) -> str:  # type: ignore[empty-body]
    """Return the text of a scalar, a number as it is stored; null of anything else (rules M15, M18)."""


@ibis.udf.scalar.builtin(name="event_property_number")  # type: ignore[untyped-decorator]
def property_number(properties: str, path: str) -> float:  # type: ignore[empty-body]
    """Return a number; null of anything else."""


def column_and_path(field: str) -> tuple[str, str]:
    """Return the column of a field and the path within it: `traits.cart.size` is at `["cart", "size"]` of `traits`."""
    column, _, path = field.partition(".")
    return column, json.dumps(path.split("."))


@dataclass(frozen=True, slots=True)
class PropertySql:
    """The SQL of properties in one engine, as templates.

    `{column}` is the column, `{names}` every name of the path by `name`, and `{at}` both, one after the other.

    Attributes:
        name: of one name of the path, `{name}` quoted; a path leads through the names of objects alone, not of lists.
        kind: what `property_kind` is.
        text: what `property_text` is; texts compare by bytes.
        number: what `property_number` is; a cast that cannot fail (rule N9).
    """

    name: str
    kind: str
    text: str
    number: str

    def of(self, function: str, column: str, names: Sequence[str]) -> str:
        """Return the SQL of a call.

        Args:
            function: as Ibis compiles it.
            column: its SQL.
            names: of the path, each quoted.
        """
        templates = {
            "event_property_kind": self.kind,
            "event_property_text": self.text,
            "event_property_number": self.number,
        }
        path = "".join(self.name.format(name=name) for name in names)
        return templates[function].format(column=column, names=path, at=column + path)
