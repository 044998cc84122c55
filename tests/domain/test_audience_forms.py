"""Audiences as declared (rules M15, M19, M20, M23)."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiment_pipeline.domain.audience import EVERYBODY, Audience, Dimension
from experiment_pipeline.domain.audience_forms import (
    audience_from_json,
    audience_json,
    audience_of,
    declared_fields,
)
from experiment_pipeline.domain.definition_forms import ConditionForm, EventsForm
from experiment_pipeline.domain.drafts import ExperimentDraft, VariantDraft, changed_fields, check_experiment
from experiment_pipeline.domain.measures import WHOLE_TIME
from experiment_pipeline.errors import ConfigurationError
from tests.domain.statistics import conditions, events

DRAFT = ExperimentDraft(name="n", hypothesis="h", feature="f", variants=(VariantDraft("a", 50.0),))
COUNTRY, DEVICE = Dimension("country", "country"), Dimension("device", "device.kind")
IN_GERMANY = ConditionForm("traits.country", equals="DE")


def errors_of(**fields: Any) -> dict[str, list[str]]:
    with pytest.raises(ConfigurationError) as refused:
        check_experiment(replace(DRAFT, **fields))
    return refused.value.errors


@given(
    st.builds(
        Audience,
        st.lists(conditions(), max_size=3).map(tuple),
        st.lists(st.text(min_size=1, max_size=5), max_size=3, unique=True).map(tuple),
        st.none() | events(st.just(WHOLE_TIME)),
        st.sampled_from(((), (COUNTRY, DEVICE))),
        st.sampled_from(((), (("country", "device"),))),
    )
)
@settings(max_examples=30)
def test_audience__declared_or_stored_and_read_again__is_the_same(audience: Audience) -> None:
    assert audience_of(replace(DRAFT, **declared_fields(audience))) == audience
    assert audience_from_json(json.loads(json.dumps(audience_json(audience)))) == audience


def test_audience__of_rows_from_before__is_everybody() -> None:
    assert audience_from_json({}) == EVERYBODY


def test_check__audience_that_breaks_nothing__is_accepted() -> None:
    entry = EventsForm("opened", (IN_GERMANY,))
    check_experiment(
        replace(
            DRAFT, dimensions=(COUNTRY, DEVICE), cross=(("device", "country"),), entry=entry, only=(IN_GERMANY,),
            exclude_identifiers=("staff",), post_stratify="country",
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"dimensions": tuple(Dimension(f"d{number}", "a") for number in range(9))}, "dimensions",
         "Must not be more than 8 dimensions."),
        ({"dimensions": (COUNTRY, Dimension("country", "land"))}, "dimensions",
         "Names of dimensions must be unique, got 'country' more than once."),
        ({"dimensions": (Dimension("", "a"),)}, "dimensions.0.name", "Must not be empty."),
        ({"dimensions": (Dimension("x" * 41, "a"),)}, "dimensions.0.name", "Must not be longer than 40 characters."),
        *(({"dimensions": (Dimension("a", trait),)}, "dimensions.0.trait",
           "Must be names joined by dots below the traits, such as device.kind.")
          for trait in ("", ".a", "a..b", "traits.country")),
        ({"dimensions": (COUNTRY, DEVICE), "cross": (("country", "devise"),)}, "cross.0",
         "No dimension 'devise'. Did you mean 'device'?"),
        ({"dimensions": (COUNTRY, DEVICE), "cross": (("country", "country"),)}, "cross.0",
         "Must be two dimensions, such as [country, device]."),
        ({"dimensions": (COUNTRY, DEVICE), "cross": (("country", "device"), ("device", "country"))}, "cross",
         "Must not name a pair more than once."),
        ({"post_stratify": "country"}, "post_stratify",
         "No dimension 'country'. Declare it, such as {name: country, trait: country}."),
        ({"dimensions": (DEVICE,), "post_stratify": "x"}, "post_stratify", "No dimension 'x'. There are device."),
        ({"only": (ConditionForm("value", equals="control"),)}, "only.0.field",
         "Must not be value: that of an exposure is its variant, and the condition would leave out an arm. Use "
         "ignored_variants, or a trait such as traits.country."),
        ({"only": (ConditionForm("traits.a"),)}, "only.0",
         "Must have exactly one of is, in, not_in, at_least, at_most, exists, such as is: DE."),
        ({"entry": EventsForm("e", (ConditionForm("value"),))}, "entry.where.0",
         "Must have exactly one of is, in, not_in, at_least, at_most, exists, such as is: DE."),
        ({"entry": EventsForm("$flag_exposure")}, "entry.event",
         "Must not begin with $: those events are the SDKs' own (rule E2)."),
        ({"exclude_identifiers": ("a", "a")}, "exclude_identifiers", "Must not name an identifier more than once."),
        ({"exclude_identifiers": ("",)}, "exclude_identifiers.0", "Must not be empty."),
        ({"exclude_identifiers": ("x" * 2_001,)}, "exclude_identifiers.0",
         "Must not be longer than 2000 characters."),
        ({"exclude_identifiers": tuple(map(str, range(10_001)))}, "exclude_identifiers",
         "Must not be more than 10000 identifiers."),
    ],
)  # fmt: skip
def test_check__audience_that_breaks_a_rule__names_the_field(fields: dict[str, Any], path: str, message: str) -> None:
    assert errors_of(**fields) == {path: [message]}


def test_changed_fields__condition_with_true_instead_of_1__has_changed() -> None:
    one, other = (replace(DRAFT, only=(ConditionForm("value", equals=operand),)) for operand in (1, True))
    assert changed_fields(one, other) == ["only"]
    assert changed_fields(one, replace(one, only=(ConditionForm("value", equals=1),))) == []
