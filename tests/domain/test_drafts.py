"""What a declaration may say (rules L3, L6, M1, E8)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.drafts import (
    ExperimentDraft,
    MetricDraft,
    VariantDraft,
    check_environment,
    check_experiment,
    check_metric,
    key_from_name,
)
from experiment_pipeline.domain.experiments import Design, Variant, VariantRole
from experiment_pipeline.domain.fields import EXPERIMENT_KEY
from experiment_pipeline.domain.metrics import Aggregation
from experiment_pipeline.errors import ConfigurationError

DRAFT = ExperimentDraft(name="n", hypothesis="h", feature="f", variants=(VariantDraft("a", 50.0),))
METRIC = MetricDraft("m", Aggregation.COUNT, {"version": 1, "event": "e"})


def errors_of(draft: ExperimentDraft) -> dict[str, list[str]]:
    with pytest.raises(ConfigurationError) as refused:
        check_experiment(draft)
    return refused.value.errors


def test_check__control_left_out__is_added_first_with_the_remainder() -> None:
    assert check_experiment(DRAFT) == (
        Variant("control", VariantRole.CONTROL, 50.0),
        Variant("a", VariantRole.TREATMENT, 50.0),
    )


def test_check__empty_keys__are_null_and_may_repeat() -> None:
    arms = check_experiment(replace(DRAFT, variants=(VariantDraft("", 10.0), VariantDraft(None, 20.0))))
    assert [arm.key for arm in arms] == ["control", None, None]


@pytest.mark.parametrize(
    ("variants", "errors"),
    [
        ((VariantDraft("a", 60.0), VariantDraft("b", 60.0)),
         {"variants": ["Variant allocations must not exceed 100%, got 120%."]}),
        ((VariantDraft("control", 60.0), VariantDraft("b", 60.0)),
         {"variants": ["Variant allocations must not exceed 100%, got 120%."]}),
        ((VariantDraft("control", 10.0), VariantDraft("b", 60.0)),
         {"variants": ["Control takes what is not allocated, 40%: leave its allocation out or state just that."]}),
        ((VariantDraft("control", 0.5), VariantDraft("a", 0.5)),
         {"variants": ["Control takes what is not allocated, 99.5%: leave its allocation out or state just that. "
                       "Allocations are per cent: 50 is a half."]}),
        ((), {"variants": ["Only multivariate features can be experimented on: add a treatment."]}),
        ((VariantDraft("control"), VariantDraft("h", 5.0, VariantRole.HOLDOUT)),
         {"variants": ["Only multivariate features can be experimented on: add a treatment."]}),
        ((VariantDraft("a", 5.0), VariantDraft("a", 5.0)),
         {"variants": ["Variant keys must be unique, got 'a' more than once."]}),
        ((VariantDraft("a"),),
         {"variants.0.percentage_allocation": ["This field is required; only control may leave it out."]}),
        ((VariantDraft("a", float("nan")),),
         {"variants.0.percentage_allocation": ["Must be a number from 0 to 100."]}),
        ((VariantDraft("a\x00", 5.0),), {"variants.0.key": ["Must not hold control characters."]}),
        ((VariantDraft("x" * 2001, 5.0),), {"variants.0.key": ["Must not be longer than 2000 characters."]}),
        ((VariantDraft("a", 5.0), VariantDraft("other", None, VariantRole.CONTROL)),
         {"variants.1.key": ["The key 'control' is reserved for the control, which must have it."]}),
        ((VariantDraft("a", 5.0), VariantDraft("control", 5.0, VariantRole.HOLDOUT)),
         {"variants.1.key": ["The key 'control' is reserved for the control, which must have it."]}),
    ],
)  # fmt: skip
def test_check__variants_that_break_a_rule__name_it(
    variants: tuple[VariantDraft, ...], errors: dict[str, list[str]]
) -> None:
    assert errors_of(replace(DRAFT, variants=variants)) == errors


def test_check__several_rules_broken__all_are_named_at_once() -> None:
    broken = replace(DRAFT, name="", design=Design(alpha=0.9), variants=())
    assert list(errors_of(broken)) == ["name", "design.alpha", "variants"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", "1st"), ("key", "a b"), ("key", "a" * 81), ("key", "a\n"), ("name", ""), ("name", " "),
        ("name", "a\x00"), ("name", "x" * 256), ("hypothesis", "\x00"), ("feature", ""),
        ("feature", "ü" * 1001), ("feature", "a\tb"),
        ("refresh_interval", timedelta(minutes=4)), ("refresh_interval", timedelta(days=367)),
    ],
)  # fmt: skip
def test_check__field_that_breaks_a_rule__names_it(field: str, value: Any) -> None:
    assert list(errors_of(replace(DRAFT, **{field: value}))) == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alpha", 0.0), ("alpha", 0.5), ("alpha", float("nan")), ("power", 1.0), ("mde", 0.0), ("mde", float("inf")),
        ("mde", 5.0), ("mde", 20.0),
        ("n_looks", 0), ("n_looks", 1001), ("baseline", float("inf")),
    ],
)  # fmt: skip
def test_check__design_that_breaks_a_rule__names_it(field: str, value: Any) -> None:
    design: Any = {field: value}
    assert list(errors_of(replace(DRAFT, design=Design(**design)))) == [f"design.{field}"]


@pytest.mark.parametrize(
    ("baseline", "message"),
    [(None, "Needed with mde, which is relative to it."), (0.0, "Must not be 0: mde is relative to it.")],
)
def test_check__design_with_an_effect_that_is_relative_to_nothing__names_the_baseline(
    baseline: float | None, message: str
) -> None:
    draft = replace(DRAFT, design=Design(mde=0.1, baseline=baseline))
    assert errors_of(draft) == {"design.baseline": [message]}
    check_experiment(replace(draft, name="New"), draft)  # what an older version stored may still be renamed
    with pytest.raises(ConfigurationError, match=r"^design\.baseline: "):
        check_experiment(replace(draft, design=Design(mde=0.2, baseline=baseline)), draft)


@pytest.mark.parametrize(
    ("definition", "messages"),
    [
        ("purchase", ["Definition must be an object."]),
        ({"event": "e"}, ["Definition must specify a supported 'version'."]),
        ({"version": True, "event": "e"}, ["Definition must specify a supported 'version'."]),
        ({"version": 1}, ["Definition must specify a non-empty 'event'."]),
        ({"version": 1, "event": " "}, ["Definition must specify a non-empty 'event'."]),
        ({"version": 2, "event": 5},
         ["Definition must specify a supported 'version'.", "Definition must specify a non-empty 'event'."]),
        ({"version": 1, "event": "e", "wher": 1}, ["Unknown field 'wher'."]),
    ],
)  # fmt: skip
def test_check_metric__definition_that_breaks_a_rule__says_which(definition: object, messages: list[str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_metric(replace(METRIC, definition=definition))
    assert refused.value.errors == {"definition": messages}


@pytest.mark.parametrize("window", [timedelta(0), timedelta(seconds=1.5), timedelta(days=400)])
def test_check_metric__window_out_of_range__is_refused(window: timedelta) -> None:
    with pytest.raises(ConfigurationError, match=r"^window: Must be whole seconds"):
        check_metric(replace(METRIC, window=window))


@pytest.mark.parametrize("key", ["", "a/b", "ü", "a" * 256, "a\n"])
def test_check_environment__key_that_is_no_path_part__is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^key: "):
        check_environment(key, "Name")


@given(st.text(min_size=1, max_size=300))
def test_key_from_name__any_name__is_a_key(name: str) -> None:
    assert EXPERIMENT_KEY.fullmatch(key_from_name(name, lambda _: False))
