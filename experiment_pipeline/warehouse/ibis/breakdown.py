"""Groups of identities by dimensions where events lie: each is in its variant and in a group of a dimension (M15)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis

from experiment_pipeline.domain.aggregates import Group, Part
from experiment_pipeline.domain.audience import LARGEST_VALUES, Audience
from experiment_pipeline.warehouse.ibis.first_exposures import NO_VALUE, dimension_column

EVERYBODY = 0  # the part that all identities of a variant are in
PARTS_OF_DIMENSION = LARGEST_VALUES + 1  # the last one holds all other values


def largest_values(people: Any, audience: Audience) -> Any:
    """Return `value`, which begins with the place of its dimension, of the largest values of every dimension.

    Args:
        people: the analysed identities of the compared variants.
        audience: with dimensions.
    """
    each = [ibis.literal(f"{place}") + people[dimension_column(place)] for place in range(len(audience.dimensions))]
    values = people.select(value=ibis.array(each).unnest())
    sizes = values.group_by("value").agg(n=values.count())
    by_size = ibis.window(group_by=sizes.value.substr(0, 1), order_by=[ibis.desc(sizes.n), sizes.value])
    ranked = sizes.mutate(place=ibis.row_number().over(by_size))
    return ranked.filter(ranked.place < LARGEST_VALUES).select("value")


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The groups of every dimension.

    Attributes:
        audience: of the analysis.
        values: of each dimension, the largest ones, as `first_exposures` has them.
    """

    audience: Audience
    values: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, audience: Audience, rows: Sequence[Mapping[str, Any]]) -> "Breakdown":
        """Return the groups that the rows of `largest_values` give."""
        texts = sorted(str(row["value"]) for row in rows)
        places = range(len(audience.dimensions))
        return cls(
            audience, tuple(tuple(text[1:] for text in texts if text.startswith(f"{place}")) for place in places)
        )

    @property
    def arms(self) -> tuple[str, ...]:
        """The columns that tell the arm of an identity."""
        return ("variant", "part") if self.audience.dimensions else ("variant",)

    @property
    def groups(self) -> Iterator[tuple[int, Group | None]]:
        """The numbers of all parts; None for everybody."""
        yield EVERYBODY, None
        for place, dimension in enumerate(self.audience.dimensions):
            for code, value in enumerate(self.values[place]):
                shown = None if value == NO_VALUE else value[1:]
                yield _part(place, code), Group(Part.DIMENSION, dimension.name, shown)
            yield _part(place, LARGEST_VALUES), Group(Part.DIMENSION, dimension.name, is_other=True)

    def coded(self, people: Any) -> Any:
        """Return the identities with the number of their part of each dimension in place of its text."""
        texts = [dimension_column(place) for place in range(len(self.audience.dimensions))]
        codes = {_code(place): self._part_of(people[text], place) for place, text in enumerate(texts)}
        return people.mutate(**codes).drop(*texts) if texts else people

    def by_arm(self, rows: Any) -> Any:
        """Return every row once for each part that its identity is in."""
        codes = [_code(place) for place in range(len(self.audience.dimensions))]
        if not codes:
            return rows
        whole = ibis.literal(EVERYBODY, type="int64")
        return rows.mutate(part=ibis.array([whole, *(rows[code] for code in codes)]).unnest()).drop(*codes)

    def _part_of(self, text: Any, place: int) -> Any:
        known = [
            (text == value, ibis.literal(_part(place, code), type="int64"))
            for code, value in enumerate(self.values[place])
        ]
        others = ibis.literal(_part(place, LARGEST_VALUES), type="int64")
        return ibis.cases(*known, else_=others) if known else others


def _part(place: int, code: int) -> int:
    return 1 + place * PARTS_OF_DIMENSION + code


def _code(place: int) -> str:
    return f"part_{place}"
