"""Audiences as declared: the fields of a draft, the rules between them, and their JSON (rules M15, M19, M20, M23)."""

from collections import Counter
from typing import Annotated, Any, Protocol

from pydantic import Field

from experiment_pipeline.domain.audience import Audience, Dimension
from experiment_pipeline.domain.definition_forms import ConditionForm, Conditions, EventsForm
from experiment_pipeline.domain.definition_rules import check_condition
from experiment_pipeline.domain.definitions import (
    condition_json,
    conditions_of,
    events_json,
    form_of_condition,
    step_of,
)
from experiment_pipeline.domain.fields import FieldErrors, VariantValue, adapter, at_most, rule
from experiment_pipeline.domain.texts import quoted, suggestion

MAX_DIMENSIONS = 8
MAX_EXCLUDED = 10_000
IDENTIFIER_LENGTH = 2_000  # rule E3

NOT_VALUE = (
    "Must not be value: that of an exposure is its variant, and the condition would leave out an arm. Use "
    "ignored_variants, or a trait such as traits.country."
)
Dimensions = Annotated[
    tuple[Dimension, ...],
    rule(lambda dimensions: len(dimensions) <= MAX_DIMENSIONS, f"Must not be more than {MAX_DIMENSIONS} dimensions."),
    Field(description="traits of the first exposure that results are broken down by"),
]
Pair = Annotated[
    tuple[str, ...],
    rule(lambda pair: len(set(pair)) == len(pair) == 2, "Must be two dimensions, such as [country, device]."),
]
Crossed = Annotated[
    tuple[Pair, ...],
    rule(lambda pairs: len({frozenset(pair) for pair in pairs}) == len(pairs), "Must not name a pair more than once."),
    Field(description="pairs of dimensions whose values are also crossed"),
]
Excluded = Annotated[
    tuple[Annotated[VariantValue, at_most(IDENTIFIER_LENGTH)], ...],
    rule(lambda names: len(names) <= MAX_EXCLUDED, f"Must not be more than {MAX_EXCLUDED} identifiers."),
    rule(lambda names: len(set(names)) == len(names), "Must not name an identifier more than once."),
    Field(description="identities that are not analysed, such as staff"),
]
Entry = Annotated[
    EventsForm | None, Field(description="analyse identities from this event on, and only those that have it")
]
Only = Annotated[Conditions, Field(description="conditions on the first exposure; others are not analysed")]
Stratified = Annotated[str | None, Field(description="the dimension that the overall effect is also adjusted by")]


class DeclaredAudience(Protocol):
    """The fields of a draft that say who is analysed, and by what."""

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Traits that results are broken down by."""

    @property
    def cross(self) -> tuple[tuple[str, ...], ...]:
        """Pairs of names of dimensions that are crossed."""

    @property
    def entry(self) -> EventsForm | None:
        """The events that identities are analysed from."""

    @property
    def only(self) -> tuple[ConditionForm, ...]:
        """Conditions on the first exposure."""

    @property
    def exclude_identifiers(self) -> tuple[str, ...]:
        """Identities that are not analysed."""

    @property
    def post_stratify(self) -> str | None:
        """The dimension that the overall effect is also adjusted by."""


def check_audience(errors: FieldErrors, draft: DeclaredAudience) -> None:
    """Collect the rules between the fields of an audience that a draft breaks."""
    names = [dimension.name for dimension in draft.dimensions]
    for name in (name for name, times in Counter(names).items() if times > 1):
        errors.add("dimensions", f"Names of dimensions must be unique, got {quoted(name)} more than once.")
    for position, pair in enumerate(draft.cross):
        for name in pair:
            _check_dimension(errors, f"cross.{position}", name, names)
    if draft.post_stratify is not None:
        _check_dimension(errors, "post_stratify", draft.post_stratify, names)
    for position, condition in enumerate(draft.only):
        check_condition(errors, f"only.{position}", condition)
        errors.require(condition.field != "value", f"only.{position}.field", NOT_VALUE)
    for position, condition in enumerate(draft.entry.where if draft.entry else ()):
        check_condition(errors, f"entry.where.{position}", condition)


def _check_dimension(errors: FieldErrors, path: str, name: str, known: list[str]) -> None:
    if name not in known:
        listed = f" There are {', '.join(known)}." if known else " Declare it, such as {name: country, trait: country}."
        errors.add(path, f"No dimension {quoted(name)}.{suggestion(name, known) or listed}")


def audience_of(draft: DeclaredAudience) -> Audience:
    """Return the audience that a draft declares."""
    return Audience(
        only=conditions_of(draft.only),
        exclude_identifiers=draft.exclude_identifiers,
        entry=None if draft.entry is None else step_of(draft.entry),
        dimensions=draft.dimensions,
        cross=tuple((first, second) for first, second in draft.cross),
    )


def declared_fields(audience: Audience) -> dict[str, Any]:
    """Return the fields of the draft that declares an audience."""
    entry = audience.entry
    return {
        "dimensions": audience.dimensions,
        "cross": audience.cross,
        "entry": None if entry is None else EventsForm(entry.name, tuple(map(form_of_condition, entry.where))),
        "only": tuple(map(form_of_condition, audience.only)),
        "exclude_identifiers": audience.exclude_identifiers,
    }


def audience_json(audience: Audience) -> dict[str, Any]:
    """Return an audience in its canonical form, JSON-ready; `audience_from_json` reads it."""
    return {
        "dimensions": [{"name": each.name, "trait": each.trait} for each in audience.dimensions],
        "cross": [list(pair) for pair in audience.cross],
        "entry": None if audience.entry is None else events_json(audience.entry),
        "only": [condition_json(condition) for condition in audience.only],
        "exclude_identifiers": list(audience.exclude_identifiers),
    }


def audience_from_json(stored: dict[str, Any]) -> Audience:
    """Return the audience of its canonical form, checked when it was declared; of nothing it is everybody."""
    entry = stored.get("entry")
    return Audience(
        only=conditions_of(adapter(Conditions).validate_python(stored.get("only", ()))),
        exclude_identifiers=tuple(stored.get("exclude_identifiers", ())),
        entry=None if entry is None else step_of(adapter(EventsForm).validate_python(entry)),
        dimensions=tuple(Dimension(**each) for each in stored.get("dimensions", ())),
        cross=tuple((first, second) for first, second in stored.get("cross", ())),
    )
