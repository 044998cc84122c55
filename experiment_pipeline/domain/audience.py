"""Audiences: the identities that an experiment analyses, and the groups of them (rules M15, M19, M20, M23)."""

import json
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, with_config

from experiment_pipeline.domain.definition_fields import Path
from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.domain.fields import STRICT, Line, at_most, rule
from experiment_pipeline.domain.measures import Condition, Events

LARGEST_VALUES = 20  # of a dimension that are told apart; the others are one group


DIMENSION_LENGTH = 40
TRAIT = re.compile(r"[^.]+(\.[^.]+)*", re.DOTALL)


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Dimension:
    """A trait of identities by which results are broken down (rule M15).

    Attributes:
        name: what results call it.
        trait: the path into the traits of the first exposure, with dots: `device.kind`.
    """

    name: Annotated[Annotated[Line, at_most(DIMENSION_LENGTH)], Field(description="what results call it")]
    trait: Annotated[
        Annotated[
            Path,
            rule(
                lambda path: TRAIT.fullmatch(path) and not path.startswith("traits."),
                "Must be names joined by dots below the traits, such as device.kind.",
            ),
        ],
        Field(description="of the first exposure"),
    ]


@dataclass(frozen=True, slots=True)
class Audience:
    """The identities that an experiment analyses, and the groups that it breaks its results down by.

    Attributes:
        only: conditions on the first exposure; who does not meet them is not analysed (rule M23).
        exclude_identifiers: identities that are not analysed, such as staff.
        entry: events of which the first one at or after the exposure is where the analysis of an identity starts; who
            has none is not analysed (rule M19). None for the exposure itself.
        dimensions: that results are broken down by.
        cross: pairs of names of dimensions whose values are also crossed (rule M20).
    """

    only: tuple[Condition, ...] = ()
    exclude_identifiers: tuple[str, ...] = ()
    entry: Events | None = None
    dimensions: tuple[Dimension, ...] = ()
    cross: tuple[tuple[str, str], ...] = ()

    @property
    def reads_properties(self) -> bool:
        """Whether it reads the first exposure's traits or other properties."""
        return bool(self.only or self.dimensions)

    @property
    def properties(self) -> tuple[tuple[str, str], ...]:
        """The properties by whose values identities are chosen or grouped, each with the name of the event."""
        of_exposure = [condition.field for condition in self.only if condition.compares_property]
        of_exposure += [f"traits.{dimension.trait}" for dimension in self.dimensions]
        found = [(EXPOSURE_EVENT, field) for field in of_exposure]
        if self.entry is not None:
            found += [(self.entry.name, each.field) for each in self.entry.where if each.compares_property]
        return tuple(dict.fromkeys(found))


EVERYBODY = Audience()


def crossed_name(pair: tuple[str, str]) -> str:
    """Return the name of two crossed dimensions."""
    return " × ".join(pair)


def crossed_values(value: str) -> tuple[str | None, str | None]:
    """Return the values of two crossed dimensions, which engines and payloads have as one text; None for no value.

    Example:
        >>> crossed_values('["DE",null]')
        ('DE', None)
    """
    one, other = json.loads(value)
    return one, other
