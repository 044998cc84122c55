"""Slices: a measure by the values of a property of its own events (rule M18)."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiment_pipeline.domain.aggregates import Group, Part
from experiment_pipeline.domain.audience import LARGEST_VALUES
from experiment_pipeline.warehouse.duckdb.conditions import Parameters, path_of, text_of


@dataclass(frozen=True, slots=True)
class Slice:
    """Events by the text of one of their properties.

    Attributes:
        path: of the property: `metadata.category`.
        values: its texts; None for events without one.
        is_other: whether it holds all events but these.
    """

    path: str
    values: tuple[str | None, ...]
    is_other: bool = False

    @property
    def group(self) -> Group:
        """The part of the metric that it is."""
        return Group(Part.SLICE, self.path, None if self.is_other else self.values[0], self.is_other)

    def holds(self, name: str) -> tuple[str, Parameters]:
        """Return the SQL of whether an event is in the slice, never null; `name` begins its parameters' names."""
        column, path = path_of(self.path)
        text = text_of(column, f"{name}_path")
        listed = f"coalesce(list_contains(${name}_values, {text}), {text} is null and ${name}_null)"
        texts = [value for value in self.values if value is not None]
        parameters = {f"{name}_path": path, f"{name}_values": texts, f"{name}_null": None in self.values}
        return (f"not {listed}" if self.is_other else listed), parameters


def slices_of(path: str, values: Sequence[str | None]) -> list[Slice]:
    """Return the slices of a property whose values are given, the largest first: one more than are told apart."""
    listed = tuple(values[:LARGEST_VALUES])
    slices = [Slice(path, (value,)) for value in listed]
    return [*slices, Slice(path, listed, is_other=True)] if len(values) > len(listed) else slices
